//! Tools that talk to the run they are part of, in every language that has a client.

use std::fs;
use std::path::Path;
use std::process::Command;

use tracerun_tests::sandbox::{Ran, Sandbox};
use tracerun_tests::{fixture, have};

const TELL: &str = env!("CARGO_BIN_EXE_tell");

const NODE: &str = "
const fs = require('fs')
const { ignoreInput, ignoreOutput } = require(process.env.VP_RUN_NODE_CLIENT_PATH).load()
const mode = process.argv[2]
if (mode === 'input') ignoreInput('cache')
if (mode === 'input' || mode === 'output') ignoreOutput('cache')
let known = ''
try { known = fs.readFileSync('cache/state', 'utf8') } catch {}
console.log(`knew ${known.length} bytes`)
fs.mkdirSync('cache', { recursive: true })
// Bun's writeFileSync does not truncate what it opens: what it leaves would be taken to build on what was there.
const write = (name, text) => { const file = fs.openSync(name, 'w'); fs.writeSync(file, text); fs.closeSync(file) }
write('cache/state', 'state')
write('out', fs.readFileSync('source'))
";

const PYTHON: &str = "
import os, sys
import tracerun_client as runner
mode = sys.argv[1]
if mode == 'input': runner.ignore_input('cache')
if mode in ('input', 'output'): runner.ignore_output('cache')
known = ''
try: known = open('cache/state').read()
except OSError: pass
print(f'knew {len(known)} bytes')
os.makedirs('cache', exist_ok=True)
open('cache/state', 'w').write('state')
open('out', 'w').write(open('source').read())
";

const SHELL: &str = "
case $2 in input) $1 ignore-input cache;; esac
case $2 in input|output) $1 ignore-output cache;; esac
known=; [ ! -f cache/state ] || known=$(cat cache/state)
echo knew ${#known} bytes
mkdir -p cache
printf state > cache/state
cat source > out
";

/// Bun, as it is on npm.
fn bun() -> Option<String> {
    let bun = fixture("web/node_modules/@oven/bun-linux-x64/bin/bun")?;
    Some(bun.to_str().expect("UTF-8").to_owned())
}

/// Every Node that `scripts/setup` installs, and Bun.
fn javascript() -> Vec<String> {
    let nodes = ["18", "20", "22", "24"].map(|version| {
        let node = fixture(&format!("node/node_modules/node-{version}/bin/node"))?;
        Some(node.to_str().expect("UTF-8").to_owned())
    });
    nodes.into_iter().chain([bun()]).flatten().collect()
}

fn clients() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("clients");
    folder.to_str().expect("UTF-8").to_owned()
}

/// A sandbox with the program in each language, and the command line that runs each, without the mode.
fn workers() -> (Sandbox, Vec<Vec<String>>) {
    let mut sandbox = Sandbox::new();
    sandbox.set("PYTHONPATH", &format!("{}/python", clients()));
    sandbox.set("PYTHONDONTWRITEBYTECODE", "1");
    sandbox.write("work.cjs", NODE);
    sandbox.write("work.py", PYTHON);
    sandbox.write("work.sh", SHELL);
    sandbox.write("source", "1");
    let tracerun = tracerun_tests::tracerun();
    let mut workers = vec![
        vec![TELL.to_owned(), "work".to_owned()],
        vec!["sh".to_owned(), "work.sh".to_owned(), tracerun.to_str().expect("UTF-8").to_owned()],
    ];
    if have("node") {
        workers.push(vec!["node".to_owned(), "work.cjs".to_owned()]);
    }
    if let Some(bun) = bun() {
        workers.push(vec![bun, "work.cjs".to_owned()]);
    }
    if have("python3") {
        workers.push(vec!["python3".to_owned(), "work.py".to_owned()]);
    }
    (sandbox, workers)
}

fn work(sandbox: &Sandbox, worker: &[String], mode: &str) -> Ran {
    let argv: Vec<&str> = worker.iter().map(String::as_str).chain([mode]).collect();
    let ran = sandbox.run(&argv);
    assert_eq!(ran.status, 0, "{ran:?}");
    ran
}

fn clean(sandbox: &Sandbox) {
    // Either may not be there.
    let _ = fs::remove_dir_all(sandbox.path("cache"));
    let _ = fs::remove_file(sandbox.path("out"));
}

#[test]
fn what_is_ignored_as_input_does_not_invalidate() {
    let (sandbox, workers) = workers();
    for worker in &workers {
        clean(&sandbox);
        work(&sandbox, worker, "input").assert_stored();
        sandbox.write("cache/state", "something else");
        sandbox.write("cache/more", "");
        work(&sandbox, worker, "input").assert_hit();
        assert_eq!(sandbox.read("cache/state"), "something else", "an ignored output is not restored");
        sandbox.write("source", "2");
        work(&sandbox, worker, "input").assert_stored();
        assert_eq!(sandbox.read("out"), "2");
        sandbox.write("source", "1");
    }
}

#[test]
fn what_is_ignored_as_output_may_be_read_and_written() {
    let (sandbox, workers) = workers();
    for worker in &workers {
        clean(&sandbox);
        sandbox.write("cache/state", "old");
        work(&sandbox, worker, "output").assert_stored();
        work(&sandbox, worker, "output").assert_hit();
    }
}

#[test]
fn outputs_come_back_with_no_configuration() {
    let (sandbox, workers) = workers();
    for worker in &workers {
        clean(&sandbox);
        work(&sandbox, worker, "plain").assert_stored();
        clean(&sandbox);
        let again = work(&sandbox, worker, "plain");
        again.assert_hit();
        assert_eq!((sandbox.read("out"), again.stdout), ("1".into(), "knew 0 bytes\n".into()));
    }
}

#[test]
fn a_tool_that_disables_the_cache_is_named_and_never_replayed() {
    let sandbox = Sandbox::new();
    for _ in 0..2 {
        let ran = sandbox.run(&[TELL, "disable-cache"]);
        assert_eq!(ran.outcome(), "uncached");
        assert!(ran.stderr.contains("tell disable-cache` asked not to be cached"), "{}", ran.stderr);
    }
}

#[test]
fn a_tracked_variable_counts_where_the_environment_is_narrowed() {
    let mut sandbox = Sandbox::new();
    let run = |sandbox: &Sandbox| sandbox.run_with(&["--env", "PATH"], &[TELL, "get-env", "LEVEL"]);
    sandbox.set("LEVEL", "1");
    let first = run(&sandbox);
    first.assert_stored();
    assert_eq!(first.stdout, "LEVEL=Some(\"1\")\n", "answered from tracerun's own environment");
    sandbox.set("OTHER", "1");
    run(&sandbox).assert_hit();
    sandbox.set("LEVEL", "2");
    let other = run(&sandbox);
    other.assert_stored();
    assert!(other.stderr.contains("variable LEVEL"), "{}", other.stderr);
    sandbox.set("LEVEL", "1");
    run(&sandbox).assert_hit();
}

#[test]
fn what_was_declared_is_explained_with_who_said_so() {
    let sandbox = Sandbox::new();
    let script = format!("{TELL} ignore-input tmp; {TELL} get-env LEVEL");
    sandbox.run(&["sh", "-c", &script]).assert_stored();
    for command in ["explain", "show"] {
        let told = sandbox.tracerun([command]).stdout;
        let path = sandbox.path("tmp").display().to_string();
        assert!(
            told.contains(&format!("tell ignore-input tmp` asked to ignore what is read under {path}")),
            "{told}"
        );
        assert!(told.contains("tell get-env LEVEL` asked for variable LEVEL"), "{told}");
    }
}

#[test]
fn talking_leaves_no_trace_among_the_inputs() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&[TELL, "ignore-input", "tmp"]);
    ran.assert_stored();
    let inputs = ran.summary["inputs"].to_string() + &ran.summary["outputs"].to_string();
    assert!(!inputs.contains("/dev/shm") && !inputs.contains("tracerun-client.cjs"), "{inputs}");
    assert!(inputs.contains(TELL), "{inputs}");
    // The endpoint is gone with the run.
    let address = sandbox.run(&["printenv", "TRACERUN_RUNNER"]).stdout;
    let folder = address.trim().strip_prefix("1:").expect("an address");
    assert!(Path::new(folder).is_absolute() && !Path::new(folder).exists());
}

#[test]
fn two_hundred_processes_are_all_heard() {
    let sandbox = Sandbox::new();
    let script = format!("for i in $(seq 200); do {TELL} ignore-input dir$i. & done; wait");
    sandbox.run(&["sh", "-c", &script]).assert_stored();
    let told = sandbox.tracerun(["explain"]).stdout;
    for number in 1..=200 {
        assert!(told.contains(&format!("/dir{number}.\n")), "dir{number} is missing: {told}");
    }
}

/// A client that speaks by hand.
const BY_HAND: &str = r#"
import os, signal, subprocess, sys
folder = os.environ['TRACERUN_RUNNER'].split(':', 1)[1]
def connect():
    with open(folder + '/knock', 'wb', buffering=0) as knock: knock.write(b'k')
    with open(folder + '/tickets', 'rb', buffering=0) as tickets: ticket = tickets.read(16).decode()
    return open(f'{folder}/{ticket}.in', 'wb', buffering=0), open(f'{folder}/{ticket}.out', 'rb')
def send(channel, data):
    view = memoryview(data)
    while view: view = view[channel[0].write(view):]
"#;

fn by_hand(sandbox: &Sandbox, script: &str) -> Ran {
    sandbox.write("by_hand.py", [BY_HAND, script].concat());
    sandbox.run(&["python3", "by_hand.py", TELL])
}

#[test]
fn whatever_is_sent_is_answered_and_harms_nobody() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    let ran = by_hand(
        &sandbox,
        r#"
channel = connect()
bad = [bytes([n]) * n if n != 10 else b'' for n in range(256)] + [b'{"call":%d}' % n for n in range(100)]
bad += [b'x' * (1 << 20), b'y' * ((1 << 20) + 1), b'{"call":"getEnvs","glob":"["}', b'[' * 100000]
for message in bad:
    send(channel, message.replace(b'\n', b'') + b'\n')
    answer = channel[1].readline()
    assert b'"ok":false' in answer and b'"error":' in answer, (message[:40], answer)
# Several at once are answered in order.
send(channel, b'{"call":"getEnv","name":"PATH"}\nnonsense\n{"call":"ignoreInput","path":"/told"}\n')
answers = [channel[1].readline() for _ in range(3)]
assert b'value' in answers[0] and b'error' in answers[1] and answers[2] == b'{"ok":true}\n', answers
"#,
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.assert_stored();
    assert!(sandbox.tracerun(["explain"]).stdout.contains("read under /told"));
}

#[test]
fn clients_that_die_or_say_nothing_hold_nobody_up() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    let ran = by_hand(
        &sandbox,
        r#"
silent = connect()
if os.fork() == 0:
    channel = connect()
    send(channel, b'{"call":"ignoreInput","path":"/whole"}\n{"call":"ignoreInput","pa')
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
deaf = connect()
for _ in range(3): send(deaf, b'{"call":"getEnvs","prefix":""}\n')
if os.fork() == 0:
    # Knocks and never takes its ticket.
    open(folder + '/knock', 'wb', buffering=0).write(b'k')
    os._exit(0)
os.wait()
subprocess.run([sys.argv[1], 'ignore-input', 'heard'], check=True)
"#,
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.assert_stored();
    let told = sandbox.tracerun(["explain"]).stdout;
    assert!(told.contains("/whole\n") && told.contains("/heard\n"), "{told}");
    assert!(!told.contains("pa\n"), "{told}");
}

#[test]
fn a_client_that_is_slow_or_sends_too_much_holds_nobody_up() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    let ran = by_hand(
        &sandbox,
        r#"
import threading
slow, flood = connect(), connect()
message = b'{"call":"ignoreInput","path":"/slow"}\n'
# A message that comes byte by byte, with others in between.
for byte in message[:-1]:
    send(slow, bytes([byte]))
    subprocess.run(['true'], check=True)
# One that never ends, and answers that nobody takes: the server reads on only when they are taken.
def pour():
    try:
        for _ in range(64): send(flood, b'x' * (1 << 20))
    except OSError: pass
threading.Thread(target=pour, daemon=True).start()
deaf = connect()
def ask():
    try:
        while True: send(deaf, b'{"call":"getEnvs","prefix":""}\n' * 1000)
    except OSError: pass
threading.Thread(target=ask, daemon=True).start()
for number in range(50):
    other = connect()
    send(other, b'{"call":"ignoreInput","path":"/other%d."}\n' % number)
    assert other[1].readline() == b'{"ok":true}\n'
send(slow, b'\n')
assert slow[1].readline() == b'{"ok":true}\n'
os._exit(0)
"#,
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let told = sandbox.tracerun(["explain"]).stdout;
    assert!(told.contains("/slow\n") && told.contains("/other49.\n"), "{told}");
}

#[test]
fn what_is_said_before_the_end_counts_and_after_it_does_not() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    // A grandchild that outlives everyone and the time of grace says one thing in time and another too late.
    let late = r#"
channel = connect()
send(channel, b'{"call":"ignoreInput","path":"/in-time"}\n')
if os.fork(): os._exit(0)
os.setsid()
# Who reads the run's output waits for all who may still write it.
for stream in range(3): os.dup2(os.open(os.devnull, os.O_RDWR), stream)
import time
end = os.environ['END']
while os.path.exists(folder): time.sleep(0.01)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
try: send(channel, b'{"call":"ignoreInput","path":"/too-late"}\n'); said = 'sent'
except OSError as error: said = type(error).__name__
os.write(os.open(end, os.O_WRONLY), said.encode())
"#;
    let mut sandbox = sandbox;
    let end = sandbox.top().join("end");
    assert!(Command::new("mkfifo").arg(&end).status().expect("mkfifo runs").success());
    sandbox.set("END", end.to_str().expect("UTF-8"));
    sandbox.write("by_hand.py", [BY_HAND, late].concat());
    let ran = sandbox.run_with(&["--grace", "0"], &["python3", "by_hand.py"]);
    assert_eq!((ran.status, ran.outcome()), (0, "uncached"), "{}", ran.stderr);
    let said = fs::read_to_string(end).expect("said");
    assert_eq!(said, "BrokenPipeError");
    let told = sandbox.tracerun(["explain"]).stdout;
    assert!(told.contains("/in-time\n") && !told.contains("/too-late"), "{told}");
}

#[test]
fn outside_a_run_and_after_its_end_every_call_does_nothing() {
    let (sandbox, workers) = workers();
    let gone = sandbox.path("gone");
    fs::create_dir(&gone).expect("made");
    let made = Command::new("mkfifo").arg(gone.join("knock")).arg(gone.join("tickets")).status();
    assert!(made.expect("mkfifo runs").success());
    let client = format!("{}/node/index.cjs", clients());
    for address in
        [None, Some("1:/nowhere".to_owned()), Some(format!("1:{}", gone.display())), Some("9:x".into())]
    {
        // A script is told when it is not heard.
        for worker in workers.iter().filter(|worker| address.is_none() || worker[0] != "sh") {
            let mut command = sandbox.command(&worker[0]);
            command.args(&worker[1..]).arg("input").env("VP_RUN_NODE_CLIENT_PATH", &client);
            if let Some(address) = &address {
                command.env("TRACERUN_RUNNER", address);
            }
            let output = command.output().expect("runs");
            assert!(output.status.success(), "{worker:?} {address:?} {output:?}");
        }
    }
}

/// Runs a program that must succeed, in a folder.
fn succeeds(sandbox: &Sandbox, folder: &Path, argv: &[&str]) {
    let ran = sandbox.command(argv[0]).args(&argv[1..]).current_dir(folder).output().expect("it runs");
    assert!(ran.status.success(), "{argv:?}: {ran:?}");
}

#[test]
fn the_node_client_works_as_a_package_with_types() {
    if !have("npm") {
        return;
    }
    let Some(modules) = fixture("web/node_modules") else { return };
    let sandbox = Sandbox::new();
    let top = sandbox.path("");
    let packed =
        sandbox.command("npm").args(["pack", "--silent"]).arg(format!("{}/node", clients())).output();
    let packed = String::from_utf8(packed.expect("npm runs").stdout).expect("UTF-8");
    succeeds(&sandbox, &top, &["npm", "install", "--offline", "--silent", &format!("./{}", packed.trim())]);
    sandbox.write(
        "use.mts",
        "import { load, ignoreInput, getEnvs } from 'tracerun-client'\nimport type { Client } from 'tracerun-client'\n\
         const client: Client = load()\nconst level: string | undefined = client.getEnv('LEVEL', { tracked: false })\n\
         const all: Record<string, string> = getEnvs({ prefix: 'LEV' })\nignoreInput(`/told-${level}-${Object.keys(all)}.`)\n",
    );
    let compiler = modules.join("typescript-js/bin/tsc");
    let compiler = compiler.to_str().expect("UTF-8");
    let options = ["--module", "nodenext", "--strict", "use.mts"];
    succeeds(&sandbox, &top, &[&["node", compiler][..], &options].concat());
    let refused = sandbox.path("wrong.mts");
    fs::write(refused, "import { ignoreInput } from 'tracerun-client'\nignoreInput(1)\n").expect("written");
    let wrong = [&["node", compiler][..], &options[..3], &["wrong.mts"]].concat();
    let ran = sandbox.command(wrong[0]).args(&wrong[1..]).output().expect("it runs");
    assert!(!ran.status.success(), "the types say what a path is");
    let mut sandbox = sandbox;
    sandbox.set("LEVEL", "3");
    succeeds(&sandbox, &top, &["node", "use.mjs"]);
    assert_eq!(sandbox.run(&["node", "use.mjs"]).status, 0);
    let told = sandbox.tracerun(["explain"]).stdout;
    assert!(told.contains("/told-3-LEVEL.\n"), "{told}");
}

#[test]
fn tracked_variables_are_found_in_the_callers_environment_however_little_the_command_sees() {
    let (mut sandbox, workers) = workers();
    let narrowed = ["--env", "PATH", "--env", "HOME", "--env", "PYTHON*"];
    sandbox.write(
        "ask.cjs",
        "const client = require(process.env.VP_RUN_NODE_CLIENT_PATH).load()\n\
         console.log(process.env.LEVEL, client.getEnv('LEVEL'), JSON.stringify(client.getEnvs({ prefix: 'VITE_' })))\n",
    );
    sandbox.write(
        "ask.py",
        "import os, json, tracerun_client as runner\n\
         print('undefined' if os.environ.get('LEVEL') is None else 'seen', runner.get_env('LEVEL'), \
         json.dumps(runner.get_envs(prefix='VITE_'), separators=(',', ':')))\n",
    );
    let mut changes = 0;
    for worker in workers.iter().filter(|worker| worker.last().is_some_and(|file| file.starts_with("work.")))
    {
        let file = worker[worker.len() - 1].replace("work", "ask");
        let ask = |sandbox: &Sandbox| sandbox.run_with(&narrowed, &[&worker[0], &file]);
        if file.ends_with(".sh") {
            continue;
        }
        let value = |number: i32| format!("value{number}");
        sandbox.set("LEVEL", &value(changes));
        sandbox.set("VITE_A", "1");
        let first = ask(&sandbox);
        first.assert_stored();
        let (name, level) = (format!("VITE_{changes}"), value(changes));
        assert!(first.stdout.starts_with(&format!("undefined {level} {{\"VITE_")), "{}", first.stdout);
        ask(&sandbox).assert_hit();
        // One more that is among those asked for, then another value, then one that nobody asked for.
        sandbox.set(&name, "2");
        let added = ask(&sandbox);
        added.assert_stored();
        assert!(added.stderr.contains(&format!("variable {name} was not set")), "{}", added.stderr);
        changes += 1;
        sandbox.set("LEVEL", &value(changes));
        let changed = ask(&sandbox);
        changed.assert_stored();
        assert!(changed.stderr.contains("variable LEVEL has another value"), "{}", changed.stderr);
        sandbox.set("OTHER", &value(changes));
        ask(&sandbox).assert_hit();
    }
}

#[test]
fn the_node_client_works_in_threads_and_copies_and_never_throws() {
    let mut sandbox = Sandbox::new();
    sandbox.write(
        "all.cjs",
        r#"
const assert = require('assert')
const { Worker, isMainThread, workerData } = require('worker_threads')
const path = process.env.VP_RUN_NODE_CLIENT_PATH
const one = require(path).load()
delete require.cache[require.resolve(path)]
const two = require(path).load({ any: 'option' })
for (const [name, client] of Object.entries({ one, two })) {
  client.ignoreInput(`${isMainThread ? 'main' : workerData}-${name}.`)
  assert.strictEqual(client.getEnv('NOT_SET'), undefined)
  assert.strictEqual(client.getEnv('LEVEL'), 'ä')
  assert.strictEqual(client.getEnv('LEVEL', { tracked: false }), 'ä')
  assert.deepStrictEqual(client.getEnvs({ prefix: 'LEV' }), { LEVEL: 'ä' })
  assert.deepStrictEqual(client.getEnvs('LEV*'), { LEVEL: 'ä' })
  assert.strictEqual(client.getEnvs({ prefix: 'BIG' }).BIG.length, 100000)
  for (const bad of [undefined, null, 7, {}, [], Symbol('s'), 'a[', '', '\0', '\ud800']) {
    for (const method of Object.keys(client)) {
      if (method !== 'disableCache' && !method.startsWith('ignore')) client[method](bad, { tracked: false })
    }
  }
  client.ignoreInput('\0')
  client.ignoreInput(Symbol('s'))
  client.ignoreInput('x'.repeat(2 << 20))
}
if (isMainThread) for (let n = 0; n < 4; n++) new Worker(__filename, { workerData: n })
"#,
    );
    sandbox.set("LEVEL", "ä");
    sandbox.set("BIG", &"b".repeat(100_000));
    for program in javascript() {
        let ran = sandbox.run(&[&program, "all.cjs"]);
        assert_eq!(ran.status, 0, "{program}: {}", ran.stderr);
        let told = sandbox.tracerun(["explain"]).stdout;
        for name in ["main", "0", "1", "2", "3"] {
            for copy in ["one", "two"] {
                assert!(told.contains(&format!("/{name}-{copy}.\n")), "{program}: {name} {copy}: {told}");
            }
        }
    }
}
