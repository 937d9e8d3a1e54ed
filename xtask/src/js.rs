//! The TypeScript layer: npm's part, the bundle, the declarations.

use std::fs;
use std::path::Path;

use crate::run::{Context, Result, capture, run, step};
use crate::tools::{node, npm};
use crate::tree;

/// Bundles `wasm/js/index.ts` with the module inlined into `pkg/redwire.js`.
pub(crate) fn bundle() -> Result {
    step("bundling");
    let mut command = node(tree::javascript().join("build.mjs"));
    command.arg(tree::module()).arg(tree::package());
    run(&mut command, "see esbuild's messages above")
}

/// Checks all types and writes `pkg/types`.
pub(crate) fn declare() -> Result {
    step("checking types");
    let whole = tree::target().join("types");
    let mut check = node(tree::javascript().join("node_modules/typescript/bin/tsc"));
    check.arg("--project").arg(tree::javascript()).arg("--outDir").arg(&whole);
    run(&mut check, "see the compiler's messages above")?;
    let mut bundle = node(tree::javascript().join("declare.mjs"));
    run(bundle.arg(whole).arg(tree::package().join("types")), "see its messages above")
}

/// Installs what `folder`'s lock file names, unless that was done; a folder without one needs nothing.
///
/// A copy of the lock file inside `node_modules` tells what is installed; npm removes it with the rest first.
pub(crate) fn install(folder: &Path, scripts: bool) -> Result {
    let lock = fs::read(folder.join("package-lock.json")).unwrap_or_default();
    let installed = folder.join("node_modules/.installed-lock.json");
    if lock.is_empty() || fs::read(&installed).is_ok_and(|before| before == lock) {
        return Ok(());
    }
    step(format!("npm ci in {}", folder.strip_prefix(tree::root()).unwrap_or(folder).display()));
    let mut command = npm(folder);
    command.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    if !scripts {
        command.arg("--ignore-scripts");
    }
    capture(&mut command, "is npm's registry in reach?")?;
    fs::create_dir_all(folder.join("node_modules")).context("make node_modules")?;
    fs::write(&installed, lock).context("note what npm installed")
}
