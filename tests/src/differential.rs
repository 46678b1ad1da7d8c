//! A command under strace and under tracerun: both must see the same paths touched in the same ways.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::have;
use crate::observed::{Observed, Touched};
use crate::sandbox::Sandbox;
use crate::tracer::Tracer;
use shm_protocol::access::AccessKind;

/// [`compare_but`] without any exception.
///
/// # Panics
/// They saw something else.
pub fn compare(argv: &[&str], prepare: impl Fn(&Sandbox)) {
    compare_but(&[], argv, prepare);
}

/// Runs `argv`, whose program is named by its full path, in a project that `prepare` fills: twice under strace, to
/// learn in what two runs differ anyhow, then under tracerun. Paths in `racy` need not agree.
///
/// # Panics
/// They saw something else.
pub fn compare_but(racy: &[&str], argv: &[&str], prepare: impl Fn(&Sandbox)) {
    if !have("strace") || !have(argv[0]) {
        return;
    }
    let mut sandbox = Sandbox::new();
    let temporary = sandbox.top().join("tmp");
    sandbox.set("TMPDIR", temporary.to_str().expect("UTF-8"));
    // A known one: wrappers of programs in the home of whoever tests are not what is tested.
    sandbox.set("PATH", "/usr/local/bin:/usr/bin:/bin");
    let trace = |tracer: Tracer| {
        for folder in [&sandbox.path(""), &temporary] {
            // That it is not there the first time is as good.
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder).expect("made");
        }
        prepare(&sandbox);
        let mut command = sandbox.command(argv[0]);
        command.args(&argv[1..]);
        let (output, observed) = tracer.trace(&command, &sandbox.top().join("trace"));
        assert!(output.status.success(), "{argv:?} under {tracer:?}: {output:?}");
        (output.stdout, comparable(&observed, &sandbox.top().join("cache")))
    };
    let (_, first) = trace(Tracer::Strace);
    let (stdout, second) = trace(Tracer::Strace);
    let (stdout_traced, seen) = trace(Tracer::Tracerun);
    assert_eq!(String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stdout_traced));
    assert_eq!(seen.incomplete, None, "the trace of {argv:?} is complete");
    let lasting = lasting_names(&first, &second);
    let [first, second, seen] =
        [first, second, seen].map(|observed| without_passing_names(&observed, &lasting));

    let always: BTreeSet<_> = first.touched.intersection(&second.touched).cloned().collect();
    let ever: BTreeSet<_> = [&first.touched, &second.touched, &first.perhaps, &second.perhaps]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let matters = |touched: &&Touched| racy.iter().all(|path| touched.path != path.as_bytes());
    let unseen: Vec<_> = always.difference(&seen.touched).filter(matters).map(ToString::to_string).collect();
    let invented: Vec<_> = seen.touched.difference(&ever).filter(matters).map(ToString::to_string).collect();
    assert!(
        unseen.is_empty() && invented.is_empty(),
        "{argv:?}: {} accesses agree\nonly strace saw:\n{}\nonly tracerun saw:\n{}",
        always.len() - unseen.len(),
        unseen.join("\n"),
        invented.join("\n"),
    );
    assert!(always.len() > 3, "something was compared");
}

fn is_directory(path: &[u8]) -> bool {
    Path::new(OsStr::from_bytes(path)).is_dir()
}

/// The accesses without those that need not agree.
fn comparable(observed: &Observed, own: &Path) -> Observed {
    let alike = |touched: &BTreeSet<Touched>| {
        let counted = touched.iter().filter(|touched| counts(touched, own));
        counted
            .map(|touched| Touched {
                path: touched.path.clone(),
                // Whether a device can be opened, a look at it does not tell tracerun; nor does it tell a directory
                // that is opened as files are, and neither listed nor entered, from a file.
                kind: match touched.kind {
                    _ if touched.path.starts_with(b"/dev/") => AccessKind::Stat,
                    AccessKind::Read if is_directory(&touched.path) => AccessKind::Stat,
                    kind => kind,
                },
            })
            .collect()
    };
    Observed {
        touched: alike(&observed.touched),
        perhaps: alike(&observed.perhaps),
        incomplete: observed.incomplete.clone(),
    }
}

/// Whether both can be expected to see this.
fn counts(touched: &Touched, own: &Path) -> bool {
    let path = Path::new(OsStr::from_bytes(&touched.path));
    // What the kernel opens by itself to execute a program, strace does not show.
    let is_program_interpreter = matches!(touched.kind, AccessKind::Exec | AccessKind::Read)
        && path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-"));
    // Names in /proc (`/dev/fd` leads there) hold process ids; what lies in our cache is the library inside traced processes.
    !is_program_interpreter
        && !["/proc", "/dev/fd"].iter().any(|folder| path.starts_with(folder))
        && !path.starts_with(own)
        // Where tools find their run; Node looks at each folder on the way.
        && !path.to_string_lossy().starts_with("/dev/shm/tracerun-")
        && !["/dev", "/dev/shm"].iter().any(|folder| path == Path::new(folder))
}

/// The names that stand in paths of both runs: every other one is random, or of the moment.
fn lasting_names(first: &Observed, second: &Observed) -> BTreeSet<Vec<u8>> {
    let names = |observed: &Observed| -> BTreeSet<Vec<u8>> {
        let touched = observed.touched.iter().chain(&observed.perhaps);
        touched.flat_map(|touched| touched.path.split(|&byte| byte == b'/')).map(<[u8]>::to_vec).collect()
    };
    names(first).intersection(&names(second)).cloned().collect()
}

/// `/p/ccQ3x9Za.s` → `/p/*`, where the name does not last.
fn without_passing_names(observed: &Observed, lasting: &BTreeSet<Vec<u8>>) -> Observed {
    let path = |path: &[u8]| -> Vec<u8> {
        let names = path.split(|&byte| byte == b'/');
        names.map(|name| if lasting.contains(name) { name } else { b"*" }).collect::<Vec<_>>().join(&b'/')
    };
    let alike = |touched: &BTreeSet<Touched>| {
        touched.iter().map(|touched| Touched { path: path(&touched.path), kind: touched.kind }).collect()
    };
    Observed {
        touched: alike(&observed.touched),
        perhaps: alike(&observed.perhaps),
        incomplete: observed.incomplete.clone(),
    }
}
