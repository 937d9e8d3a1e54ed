//! Values in Rust builders: the types of parameters, and the statements that send them.

use super::arguments::{Form, Part, Piece, Scalar};
use super::facts::Counted;
use super::rust_arguments::{Layout, Parameter, Scope, Sends};
use super::rust_pieces::{bare_value, plural};
use super::rust_words::snake;
use crate::run::{Failure, Result};

/// Values for a caller to give, and the statements that send them.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) statements: Vec<String>,
    pub(crate) sends: Sends,
    pub(crate) gives: Vec<String>,
}

impl Given {
    fn add(&mut self, other: Self) {
        self.parameters.extend(other.parameters);
        self.statements.extend(other.statements);
        self.sends.add(&other.sends);
        self.gives.extend(other.gives);
    }
}

impl Layout {
    /// Gives what a part is given as, and what sends it.
    pub(crate) fn part(&mut self, part: &Part, scope: &Scope<'_>) -> Result<Given> {
        let name = if part.positional { &plural(part) } else { &part.label };
        let mut given = if part.each { Given::default() } else { sent(&part.tokens) };
        let mut value = self.value(&part.form, name, scope)?;
        if let (Some(measure), Some(about)) = (part.measure, value.gives.last_mut()) {
            *about = format!("{about}, {}", measure.words());
        }
        if part.each {
            let statement = value.statements.pop().unwrap_or_default();
            value.statements.push(statement.replacen(
                "draft::list(out, ",
                &format!("draft::each(out, {:?}, ", part.tokens[0]),
                1,
            ));
            value.sends.tokens.extend(part.tokens.iter().cloned());
        }
        given.add(value);
        given.sends.labels.push(part.label.clone());
        Ok(given)
    }

    /// Gives a value as parameters and what sends them.
    fn value(&mut self, form: &Form, label: &str, scope: &Scope<'_>) -> Result<Given> {
        let name = snake(label);
        let one = |kind: String, statement: String| Given {
            parameters: vec![Parameter { name: name.clone(), kind }],
            statements: vec![statement],
            gives: vec![format!("`{}`", name.trim_start_matches("r#"))],
            ..Given::default()
        };
        Ok(match form {
            Form::Flag => Given::default(),
            Form::Scalar(scalar) => {
                one(scalar_kind(*scalar, label).to_string(), format!("{name}.write_to(out);"))
            }
            Form::Literal(literals) => {
                one(format!("super::{}", scope.words.name(literals)), format!("{name}.write_to(out);"))
            }
            Form::Either(_) => return Err(Failure(format!("`{label}` is a choice without a type"))),
            Form::Tuple(parts) => {
                let mut all = Given::default();
                for part in parts {
                    all.add(sent(&part.tokens));
                    all.add(self.value(&part.form, &part.name, scope)?);
                }
                all
            }
            Form::List { element, count, empty } => {
                let (kind, items) = match &**element {
                    Form::Object { pieces, .. } => {
                        let (object, bare) = self.object(label, pieces, scope);
                        match bare {
                            true => (
                                format!("impl Into<{object}>"),
                                format!("{name}.into_iter().map(Into::<{object}>::into)"),
                            ),
                            false => (object, name.clone()),
                        }
                    }
                    other => (item_kind(other, label, scope)?, name.clone()),
                };
                let statement = counting(
                    *count,
                    words_in(element),
                    wanted(*empty, &name, format!("draft::list(out, {items})")),
                );
                one(format!("impl IntoIterator<Item = {kind}>"), statement)
            }
            Form::Map { key, value, swapped, columns, count, empty } => {
                let (key, value) = (scalar_kind(*key, ""), scalar_kind(*value, ""));
                let clone = if *columns { ", IntoIter: Clone" } else { "" };
                let write = match (swapped, columns) {
                    (true, _) => "swapped",
                    (_, true) => "columns",
                    _ => "list",
                };
                let statement =
                    counting(*count, Some(2), wanted(*empty, &name, format!("draft::{write}(out, {name})")));
                one(format!("impl IntoIterator<Item = ({key}, {value}){clone}>"), statement)
            }
            Form::Object { pieces, counted } => {
                let (object, bare) = self.object(label, pieces, scope);
                let value = if bare { format!("{name}.into()") } else { name.clone() };
                let kind = if bare { format!("impl Into<{object}>") } else { object };
                let statement = if *counted {
                    format!("draft::counted(out, 1, |out| {value}.write_all(out));")
                } else {
                    format!("{value}.write_all(out);")
                };
                one(kind, statement)
            }
        })
    }

    /// Gives the name of the type of an object, and whether a value stands for it.
    fn object(&mut self, label: &str, pieces: &[Piece], scope: &Scope<'_>) -> (String, bool) {
        let name = scope.words.object(scope.owner, label, pieces);
        let entry = (name.clone(), pieces.to_vec());
        if !self.objects.contains(&entry) {
            self.objects.push(entry);
        }
        (name, bare_value(pieces).is_some())
    }
}

/// Gives what sends words.
pub(crate) fn sent(tokens: &[String]) -> Given {
    Given {
        statements: tokens.iter().map(|token| format!("{token:?}.write_to(out);")).collect(),
        sends: Sends { tokens: tokens.to_vec(), labels: Vec::new() },
        ..Given::default()
    }
}

/// Gives what refuses to write nothing, unless that is allowed.
fn wanted(empty: bool, name: &str, write: String) -> String {
    match empty {
        true => write,
        false => format!("draft::some(out, {:?}, |out| {write})", name.trim_start_matches("r#")),
    }
}

fn counting(count: Option<Counted>, words: Option<usize>, write: String) -> String {
    match (count, words) {
        (None, _) => format!("{write};"),
        (Some(Counted::Items), Some(words)) => format!("draft::counted(out, {words}, |out| {write});"),
        _ => format!("draft::counted(out, 1, |out| {write});"),
    }
}

/// Gives how many words an item is sent as.
fn words_in(form: &Form) -> Option<usize> {
    match form {
        Form::Scalar(_) | Form::Literal(_) => Some(1),
        Form::Tuple(parts) => Some(parts.len()),
        _ => None,
    }
}

fn item_kind(form: &Form, label: &str, scope: &Scope<'_>) -> Result<String> {
    Ok(match form {
        Form::Scalar(scalar) => scalar_kind(*scalar, label).to_string(),
        Form::Literal(literals) => format!("super::{}", scope.words.name(literals)),
        Form::Tuple(parts) => {
            let kinds: Result<Vec<_>> =
                parts.iter().map(|part| item_kind(&part.form, &part.name, scope)).collect();
            format!("({})", kinds?.join(", "))
        }
        other => return Err(Failure(format!("{other:?} is no item"))),
    })
}

/// Gives the type of a single value.
fn scalar_kind(scalar: Scalar, label: &str) -> &'static str {
    match (scalar, label) {
        (Scalar::Key | Scalar::Value | Scalar::Own, _) => "impl ToArg",
        // never negative where they are options
        (Scalar::Integer, "seconds" | "milliseconds") | (Scalar::Seconds | Scalar::Milliseconds, _) => "u64",
        (Scalar::Integer, _) => "i64",
        (Scalar::Double, _) => "f64",
    }
}
