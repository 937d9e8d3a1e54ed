//! redwire beside other clients, in numbers.

use std::process::{Command, ExitCode};

use crate::run::{Context, Result, run, step, stream};
use crate::tools::{cargo, node};
use crate::{build, js, package, servers, tree};

/// Skips the build: measures `target/redwire.tgz` as it is.
const AS_BUILT: &str = "--as-built";

/// Builds, then runs `tests/bench` with `arguments`; gives its exit code.
pub(crate) fn bench(arguments: &[&str], system: bool) -> Result<ExitCode> {
    let as_built = arguments.iter().any(|argument| [AS_BUILT, "--help"].contains(argument));
    if !as_built {
        build::build()?;
    }
    let folder = tree::root().join("tests/bench");
    {
        let _alone = build::lock()?;
        js::install(&folder, true)?;
        if tree::tarball().exists() {
            package::install(&folder)?;
        }
    }
    let mut command = node(folder.join("bench.mjs"));
    command.args(arguments.iter().filter(|argument| **argument != AS_BUILT));
    with_server(&mut command, system)?;
    let status = command.status().context("start the bench")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Runs the benches of `core/benches`; `arguments` pick some by a part of their names.
pub(crate) fn native(arguments: &[&str], system: bool) -> Result<ExitCode> {
    let bench = |target: &str| {
        let mut command = cargo();
        command.args(["bench", "--quiet", "--package", "redwire-benches", "--bench", target, "--"]);
        command.args(arguments);
        command
    };
    step("codec");
    let mut ratios = Ratios::default();
    let done = stream(&mut bench("codec"), |line| ratios.read(line))?;
    ratios.print();
    step("client");
    let mut client = bench("client");
    with_server(&mut client, system)?;
    run(&mut client, "see its messages above")?;
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn with_server(command: &mut Command, system: bool) -> Result {
    command.env("REDWIRE_REDIS", servers::any(system)?).env("REDWIRE_TLS", tree::root().join("tests/tls"));
    Ok(())
}

/// The least times in divan's tree, which noise of the machine cannot shorten: groups, each with one line per crate.
#[derive(Debug, Default)]
struct Ratios {
    groups: Vec<(String, Vec<(String, f64)>)>,
}

impl Ratios {
    /// Takes one line of output: `│  ├─ name   fastest │ slowest │ median │ ...`.
    fn read(&mut self, line: &str) {
        let Some((tree, rest)) = line.split_once("─ ") else { return };
        let depth = tree.chars().count() / 3;
        let columns: Vec<&str> = rest.split('│').map(str::trim).collect();
        let first = columns.first().copied().unwrap_or_default();
        let (name, fastest) = first.split_once(' ').unwrap_or((first, ""));
        if depth == 0 {
            self.groups.push((name.to_owned(), Vec::new()));
        } else if let (Some(time), Some((_, crates))) = (nanoseconds(fastest.trim()), self.groups.last_mut())
        {
            crates.push((name.to_owned(), time));
        }
    }

    /// Prints how many times as long each crate takes as redwire, to the tape or from slices, and owned.
    fn print(&self) {
        println!(
            "\n| | redwire | owned | redis-protocol | redis | x, redwire | x, owned |\n|---|--:|--:|--:|--:|--:|--:|"
        );
        for (group, crates) in &self.groups {
            let time = |name: &str| crates.iter().find(|(known, _)| known == name).map(|(_, time)| *time);
            let [tape, frame, protocol, redis] =
                ["redwire", "redwire_owned", "redis_protocol", "redis"].map(time);
            let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.0} ns"));
            let ratio = |own: Option<f64>| match (own, protocol.or(redis)) {
                (Some(own), Some(other)) => format!("{:.2}", other / own),
                _ => "-".to_owned(),
            };
            println!(
                "| {group} | {} | {} | {} | {} | {} | {} |",
                text(tape),
                text(frame),
                text(protocol),
                text(redis),
                ratio(tape),
                ratio(frame)
            );
        }
    }
}

fn nanoseconds(text: &str) -> Option<f64> {
    let (value, unit) = text.split_once(' ')?;
    let scale = match unit {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    value.parse::<f64>().ok().map(|value| value * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_a_tree() {
        let mut ratios = Ratios::default();
        for line in [
            "codec                fastest       │ slowest       │ median        │ mean          │ samples │ iters",
            "├─ nesting                         │               │               │               │         │",
            "│  ├─ redis_protocol  10 µs        │ 30 µs         │ 12.5 µs       │ 13 µs         │ 100     │ 100",
            "│  ╰─ redwire         900 ns       │ 2 µs          │ 950 ns        │ 1 µs          │ 100     │ 100",
        ] {
            ratios.read(line);
        }
        let crates = [("redis_protocol".to_owned(), 10_000.0), ("redwire".to_owned(), 900.0)];
        assert_eq!(ratios.groups, [("nesting".to_owned(), crates.to_vec())]);
    }
}
