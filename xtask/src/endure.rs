//! What takes too long for every change: schedules by the million, and faults by the second.

use std::process::{Command, ExitCode};

use crate::run::{Failure, Result, run, step};
use crate::tools::{cargo, node};
use crate::{build, servers, test, tree};

/// A million schedules of each world, unless `count` says.
pub(crate) fn simulate(count: Option<&str>) -> Result<ExitCode> {
    let count = number(count, 1_000_000)?;
    for what in ["simulate", "simulate_pool", "simulate_client", "listening", "cache", "cache_leases"] {
        step(format!("{count} schedules of {what}"));
        let mut command = cargo();
        command.args(["test", "--quiet", "--release", "--package", "redwire-tests", "--test", what]);
        command.args(["--", "--nocapture"]).env("REDWIRE_SCHEDULES", count.to_string());
        run(&mut command, "replay the schedule whose seed is named above")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ten minutes, unless `seconds` says, of 64 loops on real servers with a fault every second.
pub(crate) fn soak(seconds: Option<&str>, system: bool) -> Result<ExitCode> {
    let seconds = number(seconds, 600)?;
    build::build()?;
    let folder = tree::root().join("tests/js");
    test::install(&folder)?;
    step(format!("{seconds} s of faults"));
    // the young generation of a fixed size, or memory grows because the collector thinks so
    let mut command: Command = node("--expose-gc");
    command.current_dir(&folder).args(["--max-semi-space-size=2", "faults-soak.mjs", &seconds.to_string()]);
    command.env("REDWIRE_REDIS", servers::any(system)?).env("REDWIRE_TLS", tree::root().join("tests/tls"));
    run(&mut command, "see what it says above")?;
    Ok(ExitCode::SUCCESS)
}

fn number(text: Option<&str>, otherwise: u64) -> Result<u64> {
    let Some(text) = text else { return Ok(otherwise) };
    text.parse().map_err(|_| Failure(format!("`{text}` is no number: see `cargo xtask help`")))
}
