//! Questions about the pieces of a command that Rust builders ask: what may be left out, and what is called how.

use super::arguments::{self, Form, Literal, Part, Piece, Scalar, camel};
use super::facts::{Kind, Node};
use super::rust_words::snake;

/// Gives the one value that is required, if it can stand for the whole.
pub(crate) fn bare_value(pieces: &[Piece]) -> Option<&Part> {
    first_values(pieces)
        .filter(|part| matches!(part.form, Form::Scalar(Scalar::Key | Scalar::Value | Scalar::Own)))
}

/// Gives bare words as the words of a literal.
pub(crate) fn flags(pieces: &[Piece]) -> Option<Vec<Literal>> {
    let word = |piece: &Piece| match piece {
        Piece::Part(Part { form: Form::Flag, tokens, since, .. }) => {
            Some(Literal { token: tokens.join(" "), since: *since })
        }
        _ => None,
    };
    pieces.iter().map(word).collect()
}

/// Gives the one value that is required, whatever it is.
pub(crate) fn first_values(pieces: &[Piece]) -> Option<&Part> {
    let mut parts = pieces.iter().filter(|piece| !is_optional(piece));
    match (parts.next(), parts.next()) {
        (Some(Piece::Part(part)), None) if part.tokens.is_empty() => Some(part),
        _ => None,
    }
}

/// Names the method of an option; a list without a token is named by what is in it.
pub(crate) fn plural(part: &Part) -> String {
    let name = snake(&part.name);
    let list = part.positional && matches!(part.form, Form::List { .. });
    if list && !name.ends_with('s') { format!("{name}s") } else { name }
}

/// Names the method that sends a word in the place of a value.
pub(crate) fn word_method(part: &Part, literal: &Literal) -> String {
    match snake(&literal.token.to_ascii_lowercase()) {
        word if word.starts_with(|first: char| first.is_ascii_alphabetic()) => word,
        _ => format!("{}_all", snake(&part.name)),
    }
}

/// Tells whether a part is a list of things to be done, each with a method.
pub(crate) fn is_steps(part: &Part) -> bool {
    let Form::List { element, count: None, .. } = &part.form else { return false };
    part.positional && part.optional && matches!(**element, Form::Object { .. })
}

/// Gives the things to be done, each once.
pub(crate) fn steps(pieces: &[Piece]) -> Vec<&Part> {
    let mut all: Vec<&Part> = Vec::new();
    arguments::visit(pieces, false, &mut |part, _| {
        if !all.iter().any(|known| known.name == part.name) {
            all.push(part);
        }
    });
    all
}

/// Tells whether a part is called by one of several methods.
pub(crate) fn is_choice(part: &Part) -> bool {
    part.optional && matches!(part.form, Form::Either(_))
}

/// Tells whether a piece may be left out.
pub(crate) fn is_optional(piece: &Piece) -> bool {
    match piece {
        Piece::Part(part) => part.optional,
        Piece::Fixed(_) => true,
        Piece::Choice { required, .. } => !required,
        Piece::Group { optional, .. } => *optional,
    }
}

/// Gives the part that must be given for a piece to be sent.
pub(crate) fn required(piece: &Piece) -> Option<&Part> {
    match piece {
        Piece::Part(part) if !part.optional => Some(part),
        Piece::Choice { required: true, pieces, .. } => pieces.iter().find_map(|piece| match piece {
            Piece::Part(part) => Some(part),
            Piece::Group { pieces, .. } => pieces.iter().find_map(required),
            _ => None,
        }),
        _ => None,
    }
}
/// Gives the name of the innermost block that may be left out and has all `labels`.
pub(crate) fn block_name(nodes: &[Node], labels: &[&str]) -> Option<String> {
    for node in nodes {
        if let Some(found) = block_name(&node.arguments, labels) {
            return Some(found);
        }
        if node.kind == Kind::Block && node.optional && labels.iter().all(|label| has(&node.arguments, label))
        {
            return Some(camel(&node.name));
        }
    }
    None
}

fn has(nodes: &[Node], label: &str) -> bool {
    nodes.iter().any(|node| camel(&node.name) == label || has(&node.arguments, label))
}

/// Gives the names of the values among the alternatives of the choice `label`.
pub(crate) fn values_of(nodes: &[Node], label: &str) -> Vec<String> {
    let named = |node: &Node| node.kind == Kind::Oneof && camel(&node.name) == label;
    for node in nodes {
        if named(node) {
            let values =
                node.arguments.iter().filter(|one| !matches!(one.kind, Kind::PureToken | Kind::Block));
            return values.map(|one| camel(&one.name)).collect();
        }
        let inner = values_of(&node.arguments, label);
        if !inner.is_empty() {
            return inner;
        }
    }
    Vec::new()
}
