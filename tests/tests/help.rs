//! What there is to read: help, topics, manual pages and completions, which are kept in `tests/snapshots` so that a change of
//! them is seen. `UPDATE_SNAPSHOTS=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tracerun_tests::sandbox::Sandbox;
use tracerun_tests::{fixture, have};

fn told(sandbox: &Sandbox, line: &str) -> String {
    let answer = sandbox.tracerun(line.split_whitespace());
    assert_eq!(answer.status, 0, "{line}: {answer:?}");
    assert_eq!(answer.stderr, "", "{line}");
    answer.stdout
}

/// Compares with what is kept, or keeps it.
fn assert_as_kept(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots").join(name);
    // A new version is no change of what there is to read.
    let text = text.replace(concat!(env!("CARGO_PKG_VERSION"), "\n"), "VERSION\n");
    let text = text.replace(concat!(env!("CARGO_PKG_VERSION"), "\""), "VERSION\"");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept != text {
        let line = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
        panic!("{name} is not as it is kept: {line:?}; UPDATE_SNAPSHOTS=1 keeps it as it is now");
    }
}

/// The manual pages of all commands, by the words of each.
fn manual(sandbox: &Sandbox) -> Vec<(String, PathBuf)> {
    let folder = sandbox.path("man");
    told(sandbox, &format!("man --all {}", folder.display()));
    let mut pages: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .expect("made")
        .map(|entry| entry.expect("read").path())
        .map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), path))
        .collect();
    pages.sort();
    pages
}

/// The words that a shell completes a command by, from the name of its page: `ignore-input` is one word.
fn words(page: &str) -> String {
    let words = page.strip_prefix("tracerun").expect("its name").trim_start_matches('-');
    words.strip_prefix("cache-").map_or_else(|| words.to_owned(), |rest| format!("cache {rest}"))
}

#[test]
fn the_help_of_each_command_is_as_it_is_kept() {
    let sandbox = Sandbox::new();
    let mut whole = String::new();
    for (page, _) in manual(&sandbox) {
        let words = words(&page);
        let long = told(&sandbox, &format!("{words} --help"));
        assert_eq!(told(&sandbox, &format!("help {words}")), long, "help {words}");
        whole += &format!("$ tracerun {words} --help\n{long}\n");
    }
    whole += &format!("$ tracerun -h\n{}", told(&sandbox, "-h"));
    assert_as_kept("help.txt", &whole);
}

#[test]
fn each_command_has_a_manual_page_that_man_understands() {
    let sandbox = Sandbox::new();
    let mut whole = String::new();
    let pages = manual(&sandbox);
    assert!(pages.len() > 20, "{pages:?}");
    for (page, path) in &pages {
        let text = fs::read_to_string(path).expect("written");
        assert_eq!(told(&sandbox, &format!("man {}", words(page))), text, "{page}");
        whole += &format!("==> {page}.1\n{text}");
    }
    assert_as_kept("man.txt", &whole);
    if !have("groff") {
        return;
    }
    for (page, path) in pages {
        let read = Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(path)
            .output()
            .expect("groff runs");
        assert!(read.status.success() && read.stderr.is_empty(), "{page}: {read:?}");
    }
}

#[test]
fn completions_are_as_they_are_kept_and_shells_understand_them() {
    let sandbox = Sandbox::new();
    let script = |shell: &str, change: &dyn Fn(String) -> String| {
        let script = told(&sandbox, &format!("completions {shell}"));
        let name = format!("completions.{shell}");
        assert_as_kept(&name, &script);
        sandbox.write(&name, change(script));
        sandbox.path(&name)
    };
    let assert_understood = |mut reader: Command, script: &Path| {
        let read = reader.arg(script).output().expect("it runs");
        assert!(read.status.success() && read.stderr.is_empty(), "{reader:?}: {read:?}");
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = script(shell, &|script| script);
        if have(shell) {
            let mut reader = Command::new(shell);
            reader.arg("-n");
            assert_understood(reader, &script);
        }
    }
    // Its editor, and what belongs to that, is only there when somebody types.
    let in_editor = |script: String| {
        format!("var made = [&]\n{}", script.replace("edit:completion:arg-completer", "made"))
    };
    let elvish = script("elvish", &in_editor);
    if have("elvish") {
        let mut reader = Command::new("elvish");
        reader.arg("-compileonly");
        assert_understood(reader, &elvish);
    }
    // The grammar does not know that a method's block needs no parentheses.
    let block = r#"{ $_.CompletionText -like "$wordToComplete*" }"#;
    let powershell = script("powershell", &|script| script.replace(block, &format!("({block})")));
    if let Some(readers) = fixture("readers") {
        let parse = "import sys, tree_sitter as t, tree_sitter_powershell as p\n\
                     tree = t.Parser(t.Language(p.language())).parse(open(sys.argv[1], 'rb').read())\n\
                     sys.exit(tree.root_node.has_error)";
        let mut reader = Command::new(readers.join("bin/python"));
        reader.args(["-c", parse]);
        assert_understood(reader, &powershell);
    }
}

#[test]
fn a_topic_is_read_in_the_width_of_the_terminal_and_another_is_told_of() {
    let sandbox = Sandbox::new();
    let overview = told(&sandbox, "help");
    let (_, topics) = overview.split_once("tracerun help TOPIC`:\n").expect("topics");
    let topics: Vec<&str> = topics.lines().map_while(|line| line.trim().split(' ').next()).collect();
    let topics: Vec<&str> = topics.into_iter().take_while(|name| !name.is_empty()).collect();
    for needed in ["caching", "environment", "inputs", "capture", "remote", "tools", "configuration"] {
        assert!(topics.contains(&needed), "{needed}: {topics:?}");
    }
    for topic in topics {
        let text = told(&sandbox, &format!("help {topic}"));
        assert!(text.lines().count() > 5 && !text.contains("```"), "{topic}: {text}");
        let prose = text.lines().filter(|line| !line.starts_with("    "));
        assert!(prose.clone().all(|line| line.chars().count() <= 100), "{topic}: {text}");
    }
    let unknown = sandbox.tracerun(["help", "cashing"]);
    assert_eq!(unknown.status, 125);
    assert!(unknown.stderr.contains("`cashing`") && unknown.stderr.contains("caching"), "{unknown:?}");
}
