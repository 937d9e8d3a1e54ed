//! The programs a build stands on: cargo with its targets, Node, npm.

use std::path::Path;
use std::process::Command;

use crate::run::{Failure, Result, capture, run, step, version};
use crate::tree;

/// The target of the npm package.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";
/// A target without an operating system, to prove that the core needs none.
pub(crate) const BARE: &str = "thumbv7m-none-eabi";

const OLDEST_NODE: (u32, u32) = (20, 19);

/// The cargo that runs us, at the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(tree::root());
    command
}

/// npm in `folder`.
pub(crate) fn npm(folder: &Path) -> Command {
    let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    command.current_dir(folder);
    command
}

/// Node with a script.
pub(crate) fn node(script: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("node");
    command.arg(script);
    command
}

/// Refuses a Node that is missing or too old.
pub(crate) fn check_node() -> Result {
    let (major, minor) = OLDEST_NODE;
    let remedy = format!("install Node {major}.{minor} or newer from https://nodejs.org");
    let found = version("node").ok_or_else(|| Failure(format!("no `node` on PATH: {remedy}")))?;
    let mut numbers = found.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(major), Some(minor)) {
        return Err(Failure(format!("Node {found} is too old: {remedy}")));
    }
    Ok(())
}

/// Makes sure that Rust's library for `target` is there; rustup gets it where it is not.
pub(crate) fn check_target(target: &str) -> Result {
    if has_target(target)? {
        return Ok(());
    }
    if version("rustup").is_some() {
        step(format!("adding Rust target {target}"));
        let mut rustup = Command::new("rustup");
        run(rustup.current_dir(tree::root()).args(["target", "add", target]), "is the network there?")?;
        if has_target(target)? {
            return Ok(());
        }
    }
    Err(Failure(format!(
        "the Rust found has no target {target} and is not rustup's: install Rust from https://rustup.rs and put ~/.cargo/bin first on PATH"
    )))
}

fn has_target(target: &str) -> Result<bool> {
    // beside the cargo that runs us: a `rustc` of somebody else may come first on PATH
    let cargo = std::env::var_os("CARGO").unwrap_or_default();
    let beside = Path::new(&cargo).with_file_name(if cfg!(windows) { "rustc.exe" } else { "rustc" });
    let mut rustc = Command::new(if beside.is_file() { beside.as_os_str() } else { "rustc".as_ref() });
    let sysroot = capture(
        rustc.current_dir(tree::root()).args(["--print", "sysroot"]),
        "reinstall Rust from https://rustup.rs",
    )?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir())
}
