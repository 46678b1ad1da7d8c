//! The `tracerun` program.

#![forbid(unsafe_code)]

mod cli;

fn main() {
    platform::process::end_like(cli::main(std::env::args_os()))
}
