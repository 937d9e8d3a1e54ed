//! `cargo xtask <verb>`: builds, shows and checks redwire. Nothing else knows how.

mod bench;
mod build;
mod ci;
mod codegen;
mod demo;
mod endure;
mod js;
mod live;
mod locks;
mod package;
mod run;
mod servers;
mod size;
mod tally;
mod test;
mod tools;
mod tree;
mod wasm;
mod wheels;

use std::env;
use std::process::ExitCode;

use run::{Failure, Result};

const HELP: &str = "\
cargo xtask <verb> [--system]

  build               the npm package: pkg/ and target/redwire.tgz, with a report of its size
  demo                build, then the tour against a real server (REDIS_URL, one on PATH, or one fetched)
  test [suite] [word] build, then the suites rust, wasm and js, or those named; a word picks files of js
  bench [options]     build, then redwire beside other clients; `--help` lists the options, --as-built builds nothing
  bench native        the Rust core beside other crates: codec and pipelines
  locks [count]       build, then 10 000 acquisitions of a lock by processes that crash with it, and a check that no two overlap
  simulate [count]    a million random schedules of each world against a model server, or so many
  soak [seconds]      ten minutes of a fault every second on 64 loops against a real server, or so long
  codegen [--check]   all files derived from the table of commands, core/commands; --check tells which are stale
  ci                  format, lints, no_std, docs and all suites: what has to hold before a change lands

  --system            a missing server may be installed system-wide (apt); so it may when CI=true";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    perform(&arguments).unwrap_or_else(|failure| {
        eprintln!("xtask: {failure}");
        ExitCode::FAILURE
    })
}

fn perform(arguments: &[&str]) -> Result<ExitCode> {
    let system = arguments.contains(&"--system");
    let words: Vec<&str> = arguments.iter().copied().filter(|word| *word != "--system").collect();
    match words.as_slice() {
        ["build"] => build::build().map(|()| ExitCode::SUCCESS),
        ["demo"] => demo::demo(system),
        ["test", rest @ ..] => test::test(rest, system),
        ["locks", rest @ ..] => locks::locks(rest, system),
        ["bench", "native", rest @ ..] => bench::native(rest, system),
        ["bench", rest @ ..] => bench::bench(rest, system),
        ["simulate"] => endure::simulate(None),
        ["simulate", count] => endure::simulate(Some(count)),
        ["soak"] => endure::soak(None, system),
        ["soak", seconds] => endure::soak(Some(seconds), system),
        ["codegen"] => codegen::codegen(false).map(|()| ExitCode::SUCCESS),
        ["codegen", "--check"] => codegen::codegen(true).map(|()| ExitCode::SUCCESS),
        ["ci"] => ci::ci(system),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(Failure(format!("no such verb: {}\n\n{HELP}", words.join(" ")))),
    }
}
