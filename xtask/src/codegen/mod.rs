//! `cargo xtask codegen`: writes all that is derived from the table of commands, `core/commands/*.json`.

mod argument_types;
mod arguments;
mod docs;
mod facts;
mod reply_types;
mod rust_arguments;
mod rust_builders;
mod rust_pieces;
mod rust_replies;
mod rust_rows;
mod rust_shapes;
mod rust_values;
mod rust_vectors;
mod rust_words;
mod shape;
mod typescript;
mod typescript_calls;
mod typescript_inert;
mod typescript_table;
mod value_places;
mod vectors;

use std::fs;
use std::path::Path;

use crate::run::{Context, Failure, Result};
use crate::tree;
use facts::Facts;

/// A file to be written: its path in the repository and its text.
type Output = (&'static str, String);

/// Writes every generated file or, to `check`, compares each with what is there.
pub(crate) fn codegen(check: bool) -> Result {
    let facts = Facts::read(&tree::commands())?;
    let types = typescript::types(&facts)?;
    let vectors = vectors::vectors(&facts)?;
    let outputs: [Output; 9] = [
        ("core/src/table/rows.rs", rust_rows::rows(&facts)?),
        ("wasm/js/generated/table.txt", typescript_table::table(&facts)?),
        ("wasm/js/generated/inert.ts", typescript_inert::inert(&facts)),
        ("tests/vectors/arguments.json", vectors.clone()),
        ("wasm/js/generated/options.ts", types.options),
        ("wasm/js/generated/replies.ts", types.replies),
        ("wasm/js/generated/commands.ts", types.commands),
        ("core/src/shape/programs.rs", rust_shapes::programs(&facts)?),
        ("docs/commands.md", docs::page(&facts, &docs::tried(&tree::root().join("tests/live"))?)),
    ];
    for (path, text) in outputs {
        let path = tree::root().join(path);
        if check { compare(&path, &text)? } else { write(&path, &text)? }
    }
    for (path, text) in rust_builders::builders(&facts, &vectors)? {
        let path = tree::root().join(path);
        if check { compare(&path, &text)? } else { write(&path, &text)? }
    }
    Ok(())
}

fn compare(path: &Path, text: &str) -> Result {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    Err(Failure(format!("{} is not what the tables say: run `cargo xtask codegen`", path.display())))
}

fn write(path: &Path, text: &str) -> Result {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().unwrap_or(path)).context("make a folder")?;
    fs::write(path, text).context(format!("write {}", path.display()))
}
