//! Mutual exclusion, for longer than the suites take for it.

use std::process::ExitCode;

use crate::run::{Failure, Result, run, step};
use crate::tools::cargo;
use crate::{build, test, tree};

/// How often the lock is taken, unless told otherwise.
const ACQUISITIONS: &str = "10000";

/// Has processes contend for a lock, half of them in JavaScript, and checks that no two held it at once.
pub(crate) fn locks(arguments: &[&str], system: bool) -> Result<ExitCode> {
    let acquisitions = match arguments {
        [] => ACQUISITIONS,
        [count] if count.parse::<u32>().is_ok() => count,
        _ => return Err(Failure("cargo xtask locks [acquisitions]".into())),
    };
    build::build()?;
    test::install(&tree::root().join("tests/js"))?;
    step(format!("{acquisitions} acquisitions of a lock"));
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "redwire-tests", "--test", "locks", "--", "--nocapture"]);
    command.envs(test::world(system)).env("REDWIRE_ACQUISITIONS", acquisitions);
    run(&mut command, "two held the lock at once, or a contender failed: see above")?;
    Ok(ExitCode::SUCCESS)
}
