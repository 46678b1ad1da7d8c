//! Whatever ends tracerun, the command it runs goes on as it would without.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use tracerun_tests::sandbox::Sandbox;

/// A command that looks at many files, in several processes at once, and at last makes the file `done`.
const SCRIPT: &str = "echo ready; \
    for i in 1 2 3 4; do (for j in 1 2 3 4 5 6 7 8; do cat a >/dev/null || kill $$; done) & done; wait; \
    cat a >b && mv b done";

#[test]
fn a_command_ends_well_although_its_tracer_is_killed_with_calls_in_hand() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "content");
    for library in [&[][..], &["--capture", "seccomp-only"]] {
        let mut traced = sandbox.command(tracerun_tests::tracerun());
        traced.args(["trace", "--quiet", "-o", "/dev/null"]).args(library);
        traced.args(["--", "bash", "-c", SCRIPT]);
        let mut tracer = traced.stdout(Stdio::piped()).spawn().expect("tracerun runs");
        let mut ready = String::new();
        let mut output = BufReader::new(tracer.stdout.take().expect("piped"));
        output.read_line(&mut ready).expect("the command is ready");
        assert_eq!(ready, "ready\n");
        tracer.kill().expect("killed");
        tracer.wait().expect("gone");
        // The output ends when nobody holds it any more: neither the command nor what guards it.
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("the command ends");
        assert_eq!((rest.as_str(), sandbox.read("done").as_str()), ("", "content"));
        std::fs::remove_file(sandbox.path("done")).expect("there");
    }
}
