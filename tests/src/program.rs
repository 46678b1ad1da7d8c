//! The trap programs of `tests/programs`: what their headers ask for and promise, and the check of it.
//!
//! A header is the comment lines at the top of a file, one directive each:
//!
//! ```text
//! //! What is nasty about it, in a sentence.
//! // build: -static -pthread            arguments for the compiler
//! // compiler: musl-gcc                 instead of cc
//! // only: x86_64                       the architecture that it is about
//! // file: a.txt                        made before each run, as are:
//! // file: s.sh #!{dir}/inner           a file with this content, executable if that begins with #!
//! // dir: d
//! // link: l -> a.txt
//! // expects: read {dir}/a.txt          {dir}: where it runs; * matches any bytes; \n and \xff as in C
//! // expects-not: any {dir}/b.txt       any: in no way at all
//! // complete: no                       the trace must say that it is not; `maybe`: what it expects holds if it is
//! // strace: blind                      strace can't see what it does
//! // ptrace: own                        it traces a process itself, as it can't where ptrace watches
//! ```
//!
//! A program exits with 0 if all went as it should natively, with 77 if this machine can't run it.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use shm_protocol::access::AccessKind;

use crate::observed::{Observed, Touched};
use crate::sandbox::Sandbox;
use crate::tracer::Tracer;

/// The variable that names another folder of the programs, on a machine that has neither checkout nor compiler: beside
/// each source lies what [`compile_all`] made of it.
pub const COMPILED: &str = "TRAP_PROGRAMS";

/// The folder of the programs.
#[must_use]
pub fn folder() -> PathBuf {
    let checkout = || Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    std::env::var_os(COMPILED).map_or_else(checkout, PathBuf::from)
}

/// Status of a program that this machine can't run.
const CANNOT_RUN: i32 = 77;

/// What a header says.
#[derive(Debug, Default)]
struct Header {
    compiler: Option<String>,
    only: Option<String>,
    build: Vec<String>,
    fixtures: Vec<Fixture>,
    expects: Vec<Pattern>,
    rejects: Vec<Pattern>,
    complete: Complete,
    blind_strace: bool,
    own_ptrace: bool,
}

#[derive(Debug)]
enum Fixture {
    File(String, String),
    Directory(String),
    Link(String, String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Complete {
    #[default]
    Yes,
    No,
    Maybe,
}

/// An access that must, or must not, be there.
#[derive(Debug)]
struct Pattern {
    /// `None`: any.
    kind: Option<AccessKind>,
    path: String,
}

/// The source of the program `name`.
fn source(name: &str) -> PathBuf {
    folder().join(name).with_extension("c")
}

impl Header {
    /// The header of the program `name`.
    fn of(name: &str) -> Self {
        let source = source(name);
        Self::parse(&std::fs::read_to_string(&source).unwrap_or_else(|error| panic!("{source:?}: {error}")))
    }

    fn parse(source: &str) -> Self {
        let mut header = Self::default();
        assert!(
            source.starts_with("//! "),
            "a program begins with a sentence that says what is nasty about it"
        );
        for line in source.lines().skip(1).map_while(|line| line.strip_prefix("//")) {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name.trim() {
                "build" => header.build = value.split_whitespace().map(str::to_owned).collect(),
                "only" => header.only = Some(value.to_owned()),
                "compiler" => header.compiler = Some(value.to_owned()),
                "file" => {
                    let (path, content) = value.split_once(' ').unwrap_or((value, "content"));
                    header.fixtures.push(Fixture::File(path.to_owned(), content.to_owned()));
                }
                "dir" => header.fixtures.push(Fixture::Directory(value.to_owned())),
                "link" => {
                    let (path, target) = value.split_once(" -> ").expect("link: NAME -> TARGET");
                    header.fixtures.push(Fixture::Link(path.to_owned(), target.to_owned()));
                }
                "expects" => header.expects.push(Pattern::parse(value)),
                "expects-not" => header.rejects.push(Pattern::parse(value)),
                "complete" => {
                    header.complete = match value {
                        "no" => Complete::No,
                        "maybe" => Complete::Maybe,
                        _ => panic!("complete: no, or maybe"),
                    }
                }
                "strace" => header.blind_strace = value == "blind",
                "ptrace" => header.own_ptrace = value == "own",
                other => panic!("unknown directive: {other}"),
            }
        }
        assert!(
            header.complete == Complete::No || !header.expects.is_empty(),
            "a program says what it expects"
        );
        header
    }

    /// Whether this is about the machine that the tests are compiled for.
    fn concerns_this_machine(&self) -> bool {
        self.only.as_deref().is_none_or(|architecture| architecture == std::env::consts::ARCH)
    }

    fn compiler(&self) -> String {
        self.compiler.clone().unwrap_or_else(|| std::env::var("CC").unwrap_or_else(|_| "cc".into()))
    }
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let (kind, path) = text.split_once(' ').expect("KIND PATH");
        let known = AccessKind::ALL.into_iter().find(|known| known.name() == kind);
        assert!(known.is_some() || kind == "any", "unknown kind: {kind}");
        Self { kind: known, path: path.trim().to_owned() }
    }

    fn matches(&self, touched: &Touched, directory: &Path) -> bool {
        let path = unescape(&self.path);
        let path = expand(&path, directory);
        self.kind.is_none_or(|kind| kind == touched.kind) && matches(&path, &touched.path)
    }
}

/// Replaces `{dir}`, and `{long}` by as much as makes an absolute path of 4095 bytes, the longest the kernel takes.
fn expand(text: &[u8], directory: &Path) -> Vec<u8> {
    let text = replace(text, b"{dir}", directory.as_os_str().as_bytes());
    if let Some(prefix) = text.strip_suffix(b"{long}") {
        let rest = 4095 - prefix.len();
        let long = (1..=rest).map(|place| if place % 200 == 0 && place < rest { b'/' } else { b'x' });
        return prefix.iter().copied().chain(long).collect();
    }
    text
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match text.windows(from.len()).position(|window| window == from) {
        Some(at) => [&text[..at], to, &text[at + from.len()..]].concat(),
        None => text.to_vec(),
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any bytes.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        Some((first, rest)) => {
            text.split_first().is_some_and(|(byte, text)| byte == first && matches(rest, text))
        }
    }
}

/// Undoes `\n` and `\xHH`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'\\', [b'n', after @ ..]) => {
                bytes.push(b'\n');
                rest = after;
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let hex = String::from_utf8_lossy(&[*high, *low]).into_owned();
                bytes.push(u8::from_str_radix(&hex, 16).expect("\\xHH"));
                rest = after;
            }
            _ => bytes.push(byte),
        }
    }
    bytes
}

/// Compiles the program `name` into `folder`.
///
/// # Panics
/// It does not compile.
fn compile(name: &str, header: &Header, folder: &Path) -> PathBuf {
    let binary = folder.join(name);
    let compiled = Command::new(header.compiler())
        .args(["-Wall", "-Werror", "-O1", "-D_GNU_SOURCE", "-o"])
        .arg(&binary)
        .arg(source(name))
        .args(&header.build)
        .status();
    assert!(compiled.expect("the compiler runs").success(), "{name} does not compile");
    binary
}

/// Compiles all programs that need no compiler of their own, for another machine.
///
/// # Panics
/// One does not compile.
pub fn compile_all(architecture: &str, to: &Path) {
    for entry in std::fs::read_dir(folder()).expect("the folder of the programs") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if path.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let header = Header::of(&name);
        if header.compiler.is_none() && header.only.as_deref().is_none_or(|only| only == architecture) {
            compile(&name, &header, to);
        }
    }
}

/// Compiles the program `name`, runs it natively and traced, and checks that both ran alike and that the trace
/// shows what the header promises.
///
/// # Panics
/// Any of that does not hold.
pub fn check(name: &str) {
    let header = Header::of(name);
    let compiled = std::env::var_os(COMPILED).map(|_| folder().join(name));
    if !header.concerns_this_machine()
        || compiled.as_ref().map_or(!crate::have(&header.compiler()), |binary| !binary.exists())
    {
        return;
    }
    let tracer = Tracer::from_environment();
    if tracer == Tracer::Strace
        && (header.blind_strace || header.complete == Complete::No || !crate::have("strace"))
    {
        return;
    }
    let capture = crate::tracer::capture();
    if header.own_ptrace && capture.as_deref() == Some("ptrace") {
        return;
    }
    let binaries = tempfile::tempdir().expect("a temporary folder");
    let binary = compiled.unwrap_or_else(|| compile(name, &header, binaries.path()));

    let native = Sandbox::new();
    let alone = prepared(&native, &header, &binary).output().expect("it runs");
    if alone.status.code() == Some(CANNOT_RUN) {
        assert!(!crate::required(), "{name} can't run on this machine: {alone:?}");
        eprintln!("not tested: {name} can't run on this machine");
        return;
    }
    assert!(alone.status.success(), "{name} fails even untraced: {alone:?}");

    let sandbox = Sandbox::new();
    let command = prepared(&sandbox, &header, &binary);
    let (output, observed) = tracer.trace(&command, &sandbox.top().join("trace"));
    assert_eq!(output, alone, "{name} runs otherwise when it is traced");
    if tracer == Tracer::Tracerun && capture.as_deref() == Some("preload") {
        // Most of these programs are there because a library alone does not see what they do.
        assert!(observed.incomplete.is_some(), "{name}: the trace claims to be complete");
        return;
    }
    judge(&header, &observed, command.get_current_dir().expect("set"))
        .unwrap_or_else(|complaint| panic!("{name}: {complaint}"));
}

/// A command that runs the program in a fresh project.
fn prepared(sandbox: &Sandbox, header: &Header, binary: &Path) -> Command {
    let directory = sandbox.path("").canonicalize().expect("the project");
    for fixture in &header.fixtures {
        match fixture {
            Fixture::Directory(name) => std::fs::create_dir_all(sandbox.path(name)).expect("made"),
            Fixture::Link(name, target) => symlink(target, sandbox.path(name)).expect("linked"),
            Fixture::File(name, content) => {
                let name = std::ffi::OsString::from_vec(unescape(name));
                let path = directory.join(name);
                std::fs::create_dir_all(path.parent().expect("in the project")).expect("made");
                let content = replace(&unescape(content), b"{dir}", directory.as_os_str().as_bytes());
                std::fs::write(&path, &content).expect("written");
                if content.starts_with(b"#!") {
                    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))
                        .expect("made executable");
                }
            }
        }
    }
    let mut command = sandbox.command(binary);
    command.current_dir(directory);
    command
}

fn judge(header: &Header, observed: &Observed, directory: &Path) -> Result<(), String> {
    match (header.complete, &observed.incomplete) {
        (Complete::No, None) => return Err("the trace claims to be complete".into()),
        (Complete::No, Some(_)) | (Complete::Maybe, Some(_)) => return Ok(()),
        (Complete::Yes, Some(reasons)) => return Err(format!("the trace is not complete: {reasons}")),
        (Complete::Yes | Complete::Maybe, None) => {}
    }
    let mut wrong = Vec::new();
    for pattern in &header.expects {
        let all = observed.touched.iter().chain(&observed.perhaps);
        if !all.into_iter().any(|touched| pattern.matches(touched, directory)) {
            wrong.push(format!("not seen: {}", pattern.describe()));
        }
    }
    for pattern in &header.rejects {
        if observed.touched.iter().any(|touched| pattern.matches(touched, directory)) {
            wrong.push(format!("seen, and did not happen: {}", pattern.describe()));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let inside = observed
        .touched
        .iter()
        .filter(|touched| Path::new(OsStr::from_bytes(&touched.path)).starts_with(directory));
    let inside: Vec<String> = inside.map(|touched| shorten(&touched.to_string())).collect();
    Err(format!("\n{}\nseen in {{dir}} = {}:\n{}", wrong.join("\n"), directory.display(), inside.join("\n")))
}

fn shorten(line: &str) -> String {
    if line.len() < 300 { line.to_owned() } else { format!("{}… ({} bytes)", &line[..120], line.len()) }
}

impl Pattern {
    fn describe(&self) -> String {
        format!("{} {}", self.kind.map_or("any", AccessKind::name), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_is_expected() {
        let header = Header::parse(
            "//! Opens a file.\n// build: -static -pthread\n// link: l -> a\n// expects: read {dir}/a\\n*\n// expects-not: any {dir}/b\nint main;\n// expects: read c\n",
        );
        assert_eq!(header.build, ["-static", "-pthread"]);
        assert_eq!((header.expects.len(), header.rejects.len(), header.fixtures.len()), (1, 1, 1));
        let touched = |path: &[u8], kind| Touched { path: path.to_vec(), kind };
        let directory = Path::new("/p");
        assert!(header.expects[0].matches(&touched(b"/p/a\nz", AccessKind::Read), directory));
        assert!(!header.expects[0].matches(&touched(b"/p/a\nz", AccessKind::Stat), directory));
        assert!(header.rejects[0].matches(&touched(b"/p/b", AccessKind::Stat), directory));
    }

    #[test]
    fn the_long_path_is_as_long_as_the_kernel_takes() {
        let path = expand(b"{dir}/{long}", Path::new("/p"));
        assert_eq!(path.len(), 4095);
        assert!(path.split(|byte| *byte == b'/').all(|part| part.len() < 256));
        assert!(!path.ends_with(b"/"));
    }
}
