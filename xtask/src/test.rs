//! All suites in order, then what they proved.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::run::{Context, Failure, Result, run, step, stream};
use crate::tally::{PROMISES, Tally};
use crate::tools::{self, WASM, cargo, node};
use crate::{build, js, package, servers, tree};

const SUITES: [&str; 3] = ["rust", "wasm", "js"];

/// Builds and runs the suites named in `arguments`, or all; other words pick files of suite js by a part of their name.
pub(crate) fn test(arguments: &[&str], system: bool) -> Result<ExitCode> {
    build::build()?;
    Ok(report(&suites(arguments, system)?))
}

/// Runs the suites on what was built before.
pub(crate) fn suites(arguments: &[&str], system: bool) -> Result<Vec<(&'static str, Tally)>> {
    let (mut named, words): (Vec<&str>, Vec<&str>) = arguments.iter().partition(|word| SUITES.contains(word));
    if !words.is_empty() && !named.contains(&"js") {
        named.push("js");
    }
    let world = world(system);
    let mut tallies = Vec::new();
    for suite in SUITES {
        if named.is_empty() || named.contains(&suite) {
            let tally = match suite {
                "rust" => rust(&world)?,
                "wasm" => wasm(&world)?,
                _ => javascript(&world, &words)?,
            };
            tallies.push((suite, tally));
        }
    }
    Ok(tallies)
}

/// Prints once more what failed, and the counts, the totals last; a failure when anything failed.
pub(crate) fn report(tallies: &[(&str, Tally)]) -> ExitCode {
    let (mut total, mut js, mut rust) = (Tally::default(), Tally::default(), Tally::default());
    for line in tallies.iter().flat_map(|(_, tally)| &tally.failures) {
        println!("{line}");
    }
    println!();
    for (suite, tally) in tallies {
        println!("{suite:<8}{tally}");
        total += tally;
        if *suite == "js" { js += tally } else { rust += tally }
    }
    let counts = [&total, &js, &rust].map(|tally| tally.promises.len());
    println!("promises proven: {} of {PROMISES} (JS {}, Rust {})", counts[0], counts[1], counts[2]);
    println!("{total}");
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the suites learn about the machine.
pub(crate) fn world(system: bool) -> Vec<(&'static str, PathBuf)> {
    let tests = tree::root().join("tests");
    let contender = tests.join("js/support/contender.mjs");
    let mut world = vec![
        ("REDWIRE_TARBALL", tree::tarball()),
        ("REDWIRE_TLS", tests.join("tls")),
        ("REDWIRE_CONTENDER", contender),
    ];
    world.extend(servers::all(system));
    world
}

/// Installs the package in `folder`, as its users do.
pub(crate) fn install(folder: &Path) -> Result {
    let _alone = build::lock()?;
    js::install(folder, true)?;
    package::install(folder)
}

fn rust(world: &[(&str, PathBuf)]) -> Result<Tally> {
    step("suite rust");
    // some of those who contend for a lock run in Node
    install(&tree::root().join("tests/js"))?;
    let mut tally = Tally::default();
    // apart from the rest: together they would share features, and the core would be tested with more than it has
    let xtask = ["test", "--no-fail-fast", "--package", "xtask"];
    let rest = ["test", "--no-fail-fast", "--workspace"];
    let apart = ["--exclude", "xtask", "--exclude", "redwire-wasm-runner", "--exclude", "redwire-benches"];
    count(cargo().args(rest).args(apart), world, &mut tally)?;
    count(cargo().args(xtask), world, &mut tally)?;
    Ok(tally)
}

fn wasm(world: &[(&str, PathBuf)]) -> Result<Tally> {
    step("suite wasm");
    tools::check_target(WASM)?;
    let mut build = cargo();
    build.args(["build", "--quiet", "--package", "redwire-wasm-runner", "--target-dir"]).arg(tree::target());
    run(&mut build, "see the compiler's messages above")?;
    let runner = format!("debug/redwire-wasm-runner{}", env::consts::EXE_SUFFIX);

    let mut command = cargo();
    command.args(["test", "--no-fail-fast", "--package", "redwire-wasm", "--tests", "--target", WASM]);
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", tree::target().join(runner));
    let mut tally = Tally::default();
    count(&mut command, world, &mut tally)?;
    Ok(tally)
}

fn javascript(world: &[(&str, PathBuf)], words: &[&str]) -> Result<Tally> {
    step("suite js");
    let folder = tree::root().join("tests/js");
    install(&folder)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).context("read tests/js")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") && (words.is_empty() || words.iter().any(|word| name.contains(word))) {
            files.push(name);
        }
    }
    files.sort();
    if files.is_empty() && !words.is_empty() {
        let words = words.join(" ");
        return Err(Failure(format!(
            "`{words}` is no suite and in no file name of tests/js: see `cargo xtask help`"
        )));
    }
    let mut tally = Tally::default();
    if !files.is_empty() {
        let mut command = node("--test");
        command.arg("--test-timeout=600000").arg(format!("--test-reporter={}", reporter()?));
        count(command.current_dir(&folder).args(files), world, &mut tally)?;
    }
    Ok(tally)
}

/// Our reporter as a URL, which Node wants on every system.
fn reporter() -> Result<String> {
    let path = tree::script("reporter.mjs");
    let path =
        path.to_str().ok_or_else(|| Failure("the path of this checkout is not Unicode: move it".into()))?;
    let path = path
        .replace('\\', "/")
        .replace('%', "%25")
        .replace('#', "%23")
        .replace('?', "%3f")
        .replace(' ', "%20");
    Ok(format!("file:///{}", path.trim_start_matches('/')))
}

fn count(command: &mut Command, world: &[(&str, PathBuf)], tally: &mut Tally) -> Result {
    command.envs(world.iter().map(|(name, path)| (name, path)));
    let mut here = Tally::default();
    let success = stream(command, |line| here.read(line))?;
    here.end(success);
    *tally += &here;
    Ok(())
}
