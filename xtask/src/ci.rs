//! What has to hold before a change lands.

use std::process::{Command, ExitCode};

use crate::run::{Failure, Result, capture, run, step};
use crate::tally::Tally;
use crate::tools::{self, BARE, WASM, cargo};
use crate::{build, codegen, demo, test, tree};

type Check = fn() -> Result;

const CHECKS: [(&str, Check); 9] = [
    ("format", format),
    ("generated files", generated),
    ("clippy", clippy),
    ("clippy of the module", clippy_of_the_module),
    ("no_std", no_std),
    ("docs", docs),
    ("no registry hosts", no_registry_hosts),
    ("demo", tour),
    ("build", build::build),
];

/// Runs all checks, failed or not, then the suites if there is something to test; the counts come last.
pub(crate) fn ci(system: bool) -> Result<ExitCode> {
    let mut checks = Tally::default();
    let mut built = false;
    for (name, check) in CHECKS {
        step(format!("check: {name}"));
        let outcome = check();
        built = outcome.is_ok();
        match outcome {
            Ok(()) => checks.passed += 1,
            Err(failure) => {
                eprintln!("xtask: {failure}");
                checks.failed += 1;
            }
        }
    }
    let mut tallies = vec![("checks", checks)];
    if built {
        tallies.extend(test::suites(&[], system)?);
    }
    Ok(test::report(&tallies))
}

fn format() -> Result {
    run(cargo().args(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
}

fn tour() -> Result {
    match demo::demo(false)? {
        ExitCode::SUCCESS => Ok(()),
        _ => Err(Failure("see what the tour says above".into())),
    }
}

fn generated() -> Result {
    codegen::codegen(true)
}

fn clippy() -> Result {
    let workspace = ["clippy", "--quiet", "--workspace", "--all-targets"];
    let rest = ["--exclude", "redwire-wasm-runner", "--exclude", "redwire-benches", "--", "-D", "warnings"];
    run(cargo().args(workspace).args(rest), "mend what clippy names above")
}

fn clippy_of_the_module() -> Result {
    tools::check_target(WASM)?;
    let module = ["clippy", "--quiet", "--package", "redwire-wasm", "--features", "module", "--target", WASM];
    run(cargo().args(module).args(["--", "-D", "warnings"]), "mend what clippy names above")
}

/// The core builds where there is no operating system, with and without an allocator.
fn no_std() -> Result {
    tools::check_target(BARE)?;
    for features in [&["--no-default-features"][..], &[]] {
        let mut command = cargo();
        command.args(["build", "--quiet", "--package", "redwire-core", "--target", BARE]).args(features);
        run(&mut command, "the core may use `core` and, with feature `alloc`, `alloc`")?;
    }
    Ok(())
}

fn docs() -> Result {
    let mut command = cargo();
    command.args(["doc", "--quiet", "--no-deps", "--package", "redwire-core", "--package", "redwire-wasm"]);
    run(command.env("RUSTDOCFLAGS", "-Dwarnings"), "mend what rustdoc names above")
}

/// Lock files of one machine must serve another, whatever registry that one uses.
fn no_registry_hosts() -> Result {
    // in pieces, so that this file does not name them itself
    let hosts = [
        ["registry.", "npmjs.", "org"],
        ["registry.", "yarnpkg.", "com"],
        ["index.", "crates.", "io"],
        ["static.", "crates.", "io"],
        ["files.", "pythonhosted.", "org"],
        ["", "artifac", "tory"],
        ["\"resolved\"", ": \"", "http"],
    ];
    let mut command = Command::new("git");
    command.current_dir(tree::root()).args(["grep", "--ignore-case", "--fixed-strings", "--name-only", "-I"]);
    for host in hosts {
        command.arg("-e").arg(host.concat());
    }
    // `git grep` succeeds when it finds something
    match capture(&mut command, "") {
        Ok(files) => Err(Failure(format!(
            "a registry's host stands in {}: remove it",
            files.trim().replace('\n', ", ")
        ))),
        Err(_) => Ok(()),
    }
}
