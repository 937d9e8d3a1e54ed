//! The npm package: assembled in `pkg/`, packed into `target/redwire.tgz`, installed where it is tried.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::run::{Context, Failure, Result, capture, step};
use crate::tools::npm;
use crate::tree;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PLACEHOLDER: &str = "\"version\": \"0.0.0\"";
const TEXTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Empties `pkg/`, so that nothing of an earlier build is shipped.
pub(crate) fn clear() -> Result {
    let folder = tree::package();
    if folder.exists() {
        fs::remove_dir_all(&folder).context("remove pkg/")?;
    }
    fs::create_dir_all(&folder).context("make pkg/")
}

/// Writes the manifest with the workspace's version, copies the texts and packs all of it.
pub(crate) fn assemble() -> Result {
    step("packing");
    let folder = tree::package();
    let template = fs::read_to_string(tree::root().join("pkg.json")).context("read pkg.json")?;
    if !template.contains(PLACEHOLDER) {
        return Err(Failure(format!(
            "pkg.json lacks {PLACEHOLDER}: the build puts the workspace's version there"
        )));
    }
    let manifest = template.replace(PLACEHOLDER, &format!("\"version\": \"{VERSION}\""));
    fs::write(folder.join("package.json"), manifest).context("write pkg/package.json")?;
    for text in TEXTS {
        let source = tree::root().join(text);
        if source.is_file() {
            fs::copy(source, folder.join(text)).context(format!("copy {text}"))?;
        }
    }
    let mut command = npm(&folder);
    command.args(["pack", "--loglevel=error", "--pack-destination"]).arg(tree::target());
    capture(&mut command, "see npm's messages above")?;
    let packed = tree::target().join(format!("redwire-{VERSION}.tgz"));
    fs::rename(packed, tree::tarball()).context("name target/redwire.tgz")
}

/// Unpacks the tarball afresh into `folder/node_modules/redwire`, as npm would for a package without dependencies.
pub(crate) fn install(folder: &Path) -> Result {
    let modules = folder.join("node_modules");
    let place = modules.join("redwire");
    if place.exists() {
        fs::remove_dir_all(&place).context("remove the package installed before")?;
    }
    fs::create_dir_all(&place).context("make node_modules/redwire")?;
    let mut command = Command::new("tar");
    command.arg("-xzf").arg(tree::tarball()).args(["--strip-components", "1", "-C"]).arg(&place);
    capture(&mut command, "build again").map(drop)
}
