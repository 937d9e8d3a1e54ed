//! The tour through the package as users get it, against a real server.

use std::env;
use std::process::ExitCode;

use crate::live::Live;
use crate::run::{Context, Result, step};
use crate::tools::node;
use crate::{build, js, package, servers, tree};

/// Builds, installs and shows; gives the tour's exit code. `REDIS_URL` names a server that already runs.
pub(crate) fn demo(system: bool) -> Result<ExitCode> {
    build::build()?;
    let folder = tree::root().join("node-demo");
    js::install(&folder, true)?;
    package::install(&folder)?;

    let (url, _server) = match env::var("REDIS_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let program = servers::any(system)?;
            let server = Live::start(&program)?;
            step(format!("{} runs at {}", program.display(), server.url()));
            (server.url(), Some(server))
        }
    };
    let status =
        node("tour.mjs").current_dir(&folder).env("REDIS_URL", url).status().context("start the tour")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
