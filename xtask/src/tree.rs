//! Where things are, independent of the folder one stands in.

use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Everything made that is not shipped.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// The npm package, unpacked.
pub(crate) fn package() -> PathBuf {
    root().join("pkg")
}

/// The npm package as users get it.
pub(crate) fn tarball() -> PathBuf {
    target().join("redwire.tgz")
}

/// The optimised module.
pub(crate) fn module() -> PathBuf {
    target().join("pkg-wasm/redwire.wasm")
}

/// The TypeScript layer.
pub(crate) fn javascript() -> PathBuf {
    root().join("wasm/js")
}

/// The table of commands.
pub(crate) fn commands() -> PathBuf {
    root().join("core/commands")
}

/// One of xtask's own scripts.
pub(crate) fn script(name: &str) -> PathBuf {
    root().join("xtask/js").join(name)
}
