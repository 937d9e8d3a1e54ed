//! `tests/tests/commands.rs`: the calls of `tests/vectors/arguments.json` in Rust, and the words they must send.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::arguments::{self, Form, Part, Piece, Scalar};
use super::facts::Facts;
use super::rust_arguments::Scope;
use super::rust_builders::{file_of, function_name, is_module, owner};
use super::rust_pieces::{
    bare_value, block_name, first_values, flags, is_choice, is_steps, plural, steps, word_method,
};
use super::rust_words::{Words, pascal, snake, variant};
use crate::run::{Context, Result};

/// Gives the text of the file, unformatted.
pub(crate) fn tests(facts: &Facts, words: &Words, vectors: &str) -> Result<String> {
    let vectors: Vec<Json> = serde_json::from_str(vectors).context("read the vectors")?;
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    for vector in &vectors {
        let Some(command) = facts.commands.iter().find(|command| vector["command"] == command.name) else {
            continue;
        };
        let ways = arguments::ways(command)?;
        let file = file_of(command);
        let path = if is_module(&file) { format!("commands::{file}") } else { "commands".to_string() };
        let owner = owner(command);
        let scope = Scope { words, owner: &owner, nodes: &command.args };
        let writer = Writer { scope: &scope, path: &path, top: true };
        let group = groups.entry(file).or_default();
        for call in vector["calls"].as_array().into_iter().flatten() {
            let sent = call[1]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Json::as_str)
                .collect::<Vec<_>>()
                .join(" ");
            let call = ways.iter().find_map(|(way, pieces)| {
                Some((way, given(pieces, &call[0]).and_then(|given| writer.call(pieces, &given))?))
            });
            if let Some((way, Call { required, methods, .. })) = call {
                // in reverse: the order of calls is not that of words
                let methods: String = methods.into_iter().rev().collect();
                let name = function_name(&command.name, way);
                let _ = writeln!(
                    group,
                    "    sends({path}::{name}({}){methods}.as_ref(), {sent:?});",
                    required.join(", ")
                );
            }
        }
    }
    let mut text = include_str!("vectors.rs.txt").to_string();
    for (group, calls) in groups {
        let _ = writeln!(text, "#[test]\nfn {group}() {{\n{calls}}}\n");
    }
    Ok(text)
}

/// What a caller gives, by name.
type Given = Map<String, Json>;

/// Gives parameters and options by name.
fn given(pieces: &[Piece], args: &Json) -> Option<Given> {
    let parameters = arguments::parameters(pieces);
    let mut args = args.as_array()?.clone();
    let required = required_count(pieces);
    let mut given = match args.last() {
        Some(Json::Object(options)) if args.len() > required && arguments::has_options(pieces) => {
            let options = options.clone();
            args.pop();
            options
        }
        _ => Map::new(),
    };
    for (part, value) in parameters.iter().zip(args) {
        given.insert(place(part), value);
    }
    Some(given)
}

/// A parameter may have an option's name.
fn place(part: &Part) -> String {
    if part.positional { format!("({})", part.name) } else { part.name.clone() }
}

fn required_count(pieces: &[Piece]) -> usize {
    let mut count = 0;
    arguments::visit(pieces, false, &mut |part, optional| count += usize::from(part.positional && !optional));
    count
}

/// A call in parts.
#[derive(Default)]
struct Call {
    required: Vec<String>,
    /// One for each part of the command, in the order of words.
    methods: Vec<String>,
    /// The function that begins it, where there are several.
    constructor: Option<String>,
}

/// The name of a method, its values, and the calls behind it.
type Chosen = (String, Vec<String>, String);

struct Writer<'a> {
    scope: &'a Scope<'a>,
    path: &'a str,
    top: bool,
}

impl Writer<'_> {
    /// Gives a call; nothing when it cannot be said in Rust.
    fn call(&self, pieces: &[Piece], given: &Given) -> Option<Call> {
        let mut call = Call::default();
        for piece in pieces {
            self.piece(piece, given, &mut call)?;
        }
        Some(call)
    }

    fn piece(&self, piece: &Piece, given: &Given, call: &mut Call) -> Option<()> {
        match piece {
            Piece::Part(part) if is_choice(part) => {
                if let Some(value) = given.get(&place(part)) {
                    self.either(part, value, call)?;
                }
            }
            Piece::Part(part) if !part.optional => {
                call.required.extend(self.values(&part.form, given.get(&place(part))?, &part.name)?);
            }
            Piece::Part(part) => {
                if let Some(value) = given.get(&place(part)) {
                    call.methods.push(self.option(part, value)?);
                }
            }
            Piece::Fixed(_) => {}
            Piece::Choice { required, pieces, .. } => {
                for alternative in pieces {
                    if let Some((name, values, more)) = self.alternative(alternative, given)? {
                        if *required && !self.top {
                            call.required.extend(values);
                            call.constructor = Some(name);
                        } else {
                            call.methods.push(format!(".{name}({}){more}", values.join(", ")));
                        }
                        break;
                    }
                }
            }
            Piece::Group { counted: true, optional: false, pieces, .. } => {
                let words = flags(pieces)?;
                let kind = self.scope.words.name(&words);
                let chosen: Vec<_> = pieces
                    .iter()
                    .filter_map(|piece| if let Piece::Part(part) = piece { Some(part) } else { None })
                    .filter(|part| given.get(&place(part)).is_some())
                    .map(|part| format!("commands::{kind}::{}", pascal(&part.name)))
                    .collect();
                call.required.push(format!("[{}]", chosen.join(", ")));
            }
            Piece::Group { optional: false, pieces, .. } => {
                for piece in pieces {
                    self.piece(piece, given, call)?;
                }
            }
            Piece::Group { pieces, .. } => {
                let text = self.group(pieces, given)?;
                call.methods.push(text);
            }
        }
        Some(())
    }

    /// Gives the calls for a group of options, if it was given.
    fn group(&self, pieces: &[Piece], given: &Given) -> Option<String> {
        let mut values = Vec::new();
        let mut name = None;
        let mut more = String::new();
        let mut labels = Vec::new();
        let mut extra = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Part(part) if !part.optional => {
                    let Some(value) = given.get(&place(part)) else { return Some(String::new()) };
                    labels.push(part.label.as_str());
                    name.get_or_insert_with(|| snake(&part.name));
                    values.extend(self.values(&part.form, value, &part.label)?);
                }
                Piece::Choice { required: true, pieces, .. } if name.is_none() => {
                    for alternative in pieces {
                        if let Some((chosen, chosen_values, inner)) = self.alternative(alternative, given)? {
                            name = Some(chosen);
                            values.extend(chosen_values);
                            more += &inner;
                            break;
                        }
                    }
                    if name.is_none() {
                        return Some(String::new());
                    }
                }
                Piece::Choice { required: true, pieces, .. } => {
                    let kind = self.scope.words.name(&flags(pieces)?);
                    let word = pieces.iter().find_map(|piece| match piece {
                        Piece::Part(part) if given.get(&place(part)).is_some() => Some(pascal(&part.name)),
                        _ => None,
                    })?;
                    extra.push(format!("commands::{kind}::{word}"));
                }
                other => {
                    let mut inner = Call::default();
                    self.piece(other, given, &mut inner)?;
                    more.extend(inner.methods);
                }
            }
        }
        values.extend(extra);
        let block = if labels.len() > 1 { block_name(self.scope.nodes, &labels) } else { None };
        let name = block.map(|block| snake(&block)).or(name)?;
        Some(format!(".{name}({}){more}", values.join(", ")))
    }

    /// Gives name and values of an alternative if it was chosen, and what follows.
    fn alternative(&self, piece: &Piece, given: &Given) -> Option<Option<Chosen>> {
        match piece {
            Piece::Part(part) => {
                let Some(value) = given.get(&place(part)) else { return Some(None) };
                Some(Some((snake(&part.name), self.values(&part.form, value, &part.label)?, String::new())))
            }
            Piece::Group { pieces, .. } => {
                let mut found = None;
                let mut more = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Part(part) if !part.optional => {
                            let Some(value) = given.get(&place(part)) else { return Some(None) };
                            found = Some((snake(&part.name), self.values(&part.form, value, &part.label)?));
                        }
                        other => {
                            let mut inner = Call::default();
                            self.piece(other, given, &mut inner)?;
                            more.extend(inner.methods);
                        }
                    }
                }
                Some(found.map(|(name, values)| (name, values, more)))
            }
            _ => None,
        }
    }

    fn option(&self, part: &Part, value: &Json) -> Option<String> {
        if is_steps(part) {
            let Form::List { element, .. } = &part.form else { return None };
            let Form::Object { pieces, .. } = &**element else { return None };
            let mut text = String::new();
            for step in value.as_array()? {
                for part in steps(pieces) {
                    if let Some(value) = step.get(&part.name) {
                        let values = self.values(&part.form, value, &part.label)?;
                        text += &format!(".{}({})", snake(&part.name), values.join(", "));
                    }
                }
            }
            return Some(text);
        }
        let name = plural(part);
        Some(format!(".{name}({})", self.values(&part.form, value, &part.label)?.join(", ")))
    }

    fn either(&self, part: &Part, value: &Json, call: &mut Call) -> Option<()> {
        let Form::Either(forms) = &part.form else { return None };
        for form in forms {
            match (form, value) {
                (Form::Literal(literals), Json::String(text)) => {
                    if let Some(literal) = literals.iter().find(|one| one.token.eq_ignore_ascii_case(text)) {
                        call.methods.push(format!(".{}()", word_method(part, literal)));
                        return Some(());
                    }
                }
                (Form::Scalar(_), Json::String(_) | Json::Number(_))
                | (Form::List { .. }, Json::Array(_)) => {
                    let values = self.values(form, value, &part.label)?;
                    call.methods.push(format!(".{}({})", snake(&part.name), values.join(", ")));
                    return Some(());
                }
                _ => {}
            }
        }
        None
    }

    /// Gives the values that one is given as.
    fn values(&self, form: &Form, value: &Json, label: &str) -> Option<Vec<String>> {
        let one = |text: String| Some(vec![text]);
        match form {
            Form::Flag => (value == true).then(Vec::new),
            Form::Scalar(scalar) => one(scalar_of(*scalar, value)?),
            Form::Literal(literals) => {
                let text = value.as_str()?;
                let literal = literals.iter().find(|one| one.token.eq_ignore_ascii_case(text))?;
                if literals.len() == 1 {
                    return Some(Vec::new());
                }
                let kind = self.scope.words.name(literals);
                one(format!("commands::{kind}::{}", variant(&literal.token)))
            }
            Form::List { element, .. } => {
                let items = value.as_array().filter(|items| !items.is_empty())?;
                let items: Option<Vec<_>> = items
                    .iter()
                    .map(|item| {
                        let values = self.values(element, item, label)?;
                        Some(if values.len() == 1 {
                            values.concat()
                        } else {
                            format!("({})", values.join(", "))
                        })
                    })
                    .collect();
                one(format!("[{}]", items?.join(", ")))
            }
            Form::Tuple(parts) => {
                let values: Option<Vec<_>> = parts
                    .iter()
                    .zip(value.as_array()?)
                    .map(|(part, value)| self.values(&part.form, value, &part.name))
                    .collect();
                Some(values?.concat())
            }
            Form::Map { key, value: kind, .. } => {
                let pair = |first: &Json, second: &Json| {
                    Some(format!("({}, {})", scalar_of(*key, first)?, scalar_of(*kind, second)?))
                };
                let pairs: Option<Vec<_>> = match value {
                    // an object's names are in another order than they were written in
                    Json::Object(members) => {
                        members.iter().map(|(name, value)| pair(&Json::String(name.clone()), value)).collect()
                    }
                    Json::Array(pairs) => pairs.iter().map(|one| pair(&one[0], &one[1])).collect(),
                    _ => None,
                };
                one(format!("[{}]", pairs?.join(", ")))
            }
            Form::Object { pieces, .. } => {
                let kind = self.scope.words.object(self.scope.owner, label, pieces);
                let members = match value {
                    Json::Object(members) => members.clone(),
                    Json::Bool(true) => Map::new(),
                    other => {
                        let name = match (bare_value(pieces), first_values(pieces), other) {
                            (Some(part), ..) => part.name.clone(),
                            (None, Some(part), Json::Array(_)) => part.name.clone(),
                            (None, _, Json::String(word)) => {
                                return one(format!("{}::{kind}::{}()", self.path, snake(word)));
                            }
                            _ => return None,
                        };
                        Map::from_iter([(name, other.clone())])
                    }
                };
                let Call { required, methods, constructor } =
                    Writer { top: false, ..*self }.call(pieces, &members)?;
                let constructor = constructor.unwrap_or_else(|| "new".to_string());
                one(format!(
                    "{}::{kind}::{constructor}({}){}",
                    self.path,
                    required.join(", "),
                    methods.concat()
                ))
            }
            Form::Either(forms) => match value {
                Json::String(text) => {
                    let literal = forms.iter().find_map(|form| match form {
                        Form::Literal(literals) => {
                            literals.iter().find(|one| one.token.eq_ignore_ascii_case(text))
                        }
                        _ => None,
                    });
                    one(format!("{:?}", literal.map_or(text, |literal| &literal.token)))
                }
                Json::Number(number) => one(number.to_string()),
                _ => None,
            },
        }
    }
}

fn scalar_of(scalar: Scalar, value: &Json) -> Option<String> {
    match (scalar, value) {
        (Scalar::Key | Scalar::Value | Scalar::Own, Json::String(text)) => Some(format!("{text:?}")),
        (Scalar::Key | Scalar::Value | Scalar::Own, Json::Number(number)) => Some(number.to_string()),
        (Scalar::Double, Json::Number(number)) => Some(format!("{:?}", number.as_f64()?)),
        (_, Json::Number(number)) => Some(number.to_string()),
        // names in objects are texts
        (Scalar::Double, Json::String(text)) => Some(format!("{:?}", text.parse::<f64>().ok()?)),
        (_, Json::String(text)) => text.parse::<i64>().ok().map(|number| number.to_string()),
        _ => None,
    }
}
