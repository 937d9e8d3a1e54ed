//! The module: cargo, then wasm-bindgen as a library, then wasm-opt.

use std::fs;
use std::path::{Path, PathBuf};

use wasm_bindgen_cli_support::Bindgen;

use crate::run::{Context, Failure, Result, capture, run, step};
use crate::tools::{self, WASM, cargo, node};
use crate::tree;

/// What Node 20 can run and the compiler was told to use; never `--all-features`, whose output Node 20 refuses.
const FEATURES: [&str; 8] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// What must be inlined or unrolled says so; the compiler's own taste costs 1 KB.
const COMPACT: [&str; 2] = ["-inline-threshold=10", "-unroll-threshold=30"];

/// Speed first. The first kilobyte of memory is the end of a stack that never gets so deep, for nothing here recurses.
const OPTIMISE: [&str; 3] = ["-O3", "--low-memory-unused", "--reorder-functions"];

/// In the names of the functions that Rust's library ends in when something panics.
const PANICS: [&str; 4] = ["9panicking", "slice_index_fail", "7raw_vec12handle_error", "handle_alloc_error"];

/// Makes `target/pkg-wasm/redwire.wasm`.
pub(crate) fn build() -> Result {
    let compiled = compile()?;
    let module = tree::module();
    if newer(&module, &compiled) {
        return Ok(());
    }
    let bound = bind(&compiled)?;
    optimise(&bound, &module)?;
    check_imports(&module)
}

fn compile() -> Result<PathBuf> {
    step("compiling the module");
    tools::check_target(WASM)?;
    let mut command = cargo();
    // whatever the caller set for its own machine would end up in the package
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.args([
        "build",
        "--quiet",
        "--profile",
        "wasm",
        "--package",
        "redwire-wasm",
        "--features",
        "module",
    ]);
    command.args(["--target", WASM, "--target-dir"]).arg(tree::target());
    command.arg("--config").arg(without_local_paths());
    run(&mut command, "see the compiler's messages above")?;
    Ok(tree::target().join(WASM).join("wasm/redwire_wasm.wasm"))
}

/// Keeps this machine's paths out of panic messages, so that every machine makes the same module.
///
/// cargo joins these flags to those of `.cargo/config.toml`.
fn without_local_paths() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let crates =
        fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten().map(|entry| entry.path());
    let places = crates.map(|place| (place, "crates")).chain([(tree::root().to_owned(), "redwire")]);
    let flags =
        places.map(|(from, to)| format!("{:?}", format!("--remap-path-prefix={}={to}", from.display())));
    let flags = flags.chain(COMPACT.map(|flag| format!("\"-Cllvm-args={flag}\"")));
    format!("target.{WASM}.rustflags = [{}]", flags.collect::<Vec<_>>().join(", "))
}

fn bind(compiled: &Path) -> Result<PathBuf> {
    step("binding it");
    let folder = tree::target().join("bindgen");
    let mut bindgen = Bindgen::new();
    bindgen.input_path(compiled).typescript(true).remove_name_section(true).remove_producers_section(true);
    let mut output = bindgen.web(true).and_then(Bindgen::generate_output).context("run wasm-bindgen")?;
    let module = output.wasm_mut();
    // the JavaScript layer calls nothing else; what only the rest needs goes with it when optimised
    let unused = |name: &str| !name.starts_with("host_") && name != "memory";
    let unused: Vec<_> =
        module.exports.iter().filter(|export| unused(&export.name)).map(|export| export.id()).collect();
    unused.into_iter().for_each(|export| module.exports.delete(export));
    // nobody reads the message of a panic, which is a trap: without it, what it would be made of goes too
    for function in module.funcs.iter_mut() {
        let panics = |name: &String| PANICS.iter().any(|part| name.contains(part));
        if function.name.as_ref().is_some_and(panics) {
            function.kind.unwrap_local_mut().builder_mut().func_body().unreachable_at(0);
        }
    }
    fs::create_dir_all(&folder).context("make target/bindgen")?;
    let bound = folder.join("redwire_wasm_bg.wasm");
    module.emit_wasm_file(&bound).context("write the bound module")?;
    Ok(bound)
}

fn check_imports(module: &Path) -> Result {
    let names =
        capture(node(tree::script("imports.mjs")).arg(module), "the module must compile on this Node")?;
    match names.lines().next() {
        Some(name) => Err(Failure(format!("the module imports from `{name}`: it must need nothing"))),
        None => Ok(()),
    }
}

fn optimise(bound: &Path, module: &Path) -> Result {
    step("optimising it");
    fs::create_dir_all(module.parent().unwrap_or(module)).context("make target/pkg-wasm")?;
    let mut command = node(tree::javascript().join("node_modules/binaryen/bin/wasm-opt"));
    command.args(OPTIMISE).args(FEATURES).arg(bound).arg("-o").arg(module);
    run(&mut command, "remove wasm/js/node_modules and build again")
}

/// Whether `output` was made after both `input` and this program.
fn newer(output: &Path, input: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let made = time(output);
    let program = std::env::current_exe().ok();
    made.is_some() && made > time(input) && program.is_some_and(|program| made > time(&program))
}
