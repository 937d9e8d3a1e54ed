//! The npm package from the sources, in named steps.

use std::fs::File;

use crate::run::{Context, Result, step};
use crate::{js, package, size, tools, tree, wasm};

/// Makes `pkg/` and `target/redwire.tgz`, and reports their size.
pub(crate) fn build() -> Result {
    let _alone = lock()?;
    tools::check_node()?;
    js::install(&tree::javascript(), false)?;
    wasm::build()?;
    package::clear()?;
    js::bundle()?;
    js::declare()?;
    package::assemble()?;
    size::report()
}

/// Held while shared folders are rewritten: two builds at once would mix their files.
pub(crate) fn lock() -> Result<File> {
    std::fs::create_dir_all(tree::target()).context("make target/")?;
    let file = File::create(tree::target().join("xtask.lock")).context("make target/xtask.lock")?;
    if file.try_lock().is_err() {
        step("waiting for another xtask");
        file.lock().context("lock target/xtask.lock")?;
    }
    Ok(file)
}
