//! What one runtime has to load, held against the recorded budget.

use std::fs;

use crate::run::{Context, Failure, Result, capture};
use crate::tools::node;
use crate::tree;

const BUDGET: &str = "xtask/size-budget.txt";

/// Prints the sizes; fails above the budget.
pub(crate) fn report() -> Result {
    let mut command = node(tree::script("size.mjs"));
    command.arg(tree::module()).arg(tree::package().join("redwire.js"));
    let sizes = capture(&mut command, "build again")?;

    let mut whole = 0;
    println!("{:<28}{:>9}{:>9}", "bytes", "raw", "gzip -9");
    for (part, line) in ["module", "script without the module", "pkg/redwire.js"].iter().zip(sizes.lines()) {
        let (raw, packed) = line.split_once(' ').unwrap_or((line, ""));
        println!("{part:<28}{raw:>9}{packed:>9}");
        whole = packed.parse().context("read the sizes")?;
    }

    let text = fs::read_to_string(tree::root().join(BUDGET)).context(format!("read {BUDGET}"))?;
    let budget: u64 = text.trim().parse().context(format!("read {BUDGET}"))?;
    println!("{:<28}{:>18}", "budget", budget);
    if whole > budget {
        return Err(Failure(format!(
            "pkg/redwire.js is {} bytes over its budget: make it smaller, or raise {BUDGET} and say why",
            whole - budget
        )));
    }
    Ok(())
}
