//! A program that tells its runner something by the Rust client: `tell ignore-input PATH`, `tell work MODE` and the like.

use std::fs;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (call, rest) = arguments.split_first().expect("a call");
    match call.as_str() {
        "ignore-input" => rest.iter().for_each(tracerun_client::ignore_input),
        "ignore-output" => rest.iter().for_each(tracerun_client::ignore_output),
        "disable-cache" => tracerun_client::disable_cache(),
        "get-env" => {
            for name in rest {
                println!("{name}={:?}", tracerun_client::get_env(name, true));
            }
        }
        "work" => work(&rest[0]),
        other => panic!("unknown call {other}"),
    }
}

/// What the programs of the other languages do as well: reads a cache and a source, writes both the cache and an output.
fn work(mode: &str) {
    match mode {
        "input" => {
            tracerun_client::ignore_input("cache");
            tracerun_client::ignore_output("cache");
        }
        "output" => tracerun_client::ignore_output("cache"),
        _ => {}
    }
    let known = fs::read_to_string("cache/state").unwrap_or_default();
    println!("knew {} bytes", known.len());
    fs::create_dir_all("cache").expect("made");
    fs::write("cache/state", "state").expect("written");
    fs::write("out", fs::read_to_string("source").expect("there")).expect("written");
}
