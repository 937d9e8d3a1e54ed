//! `tests/vectors/arguments.json`: calls of every command and the words they are sent as; and calls with one argument of a wrong type.
//!
//! Each option stands alone in one call, and all that go together in another. It is worked out from the signature, not by what encodes.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use super::argument_types::{Sole, sole_value};
use super::arguments::{self, Form, Part, Piece, Scalar};
use super::facts::{Counted, Facts};
use super::typescript::{is_sent, method_name};
use crate::run::Result;

/// Gives the text of the file: one command per line.
pub(crate) fn vectors(facts: &Facts) -> Result<String> {
    let mut lines = Vec::new();
    for command in facts.commands.iter().filter(is_sent) {
        let pieces = arguments::signature(command)?;
        let parameters = arguments::parameters(&pieces);
        let name: Vec<String> = command.name.split(' ').map(str::to_string).collect();
        let mut calls = Vec::new();
        for way in ways(&arguments::overloaded(command)?) {
            let Some(args) = way.args(&parameters) else { continue };
            let words: Vec<String> = name.iter().cloned().chain(way.words).collect();
            let call = json!([args, words]);
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
        let mut wrong = Vec::new();
        arguments::visit(&pieces, false, &mut |part, _| {
            for (name, value) in wrongs(&part.form, &part.name) {
                if let Some(args) = call_with(&pieces, &parameters, part, value) {
                    let call = json!([name, args]);
                    if !wrong.contains(&call) {
                        wrong.push(call);
                    }
                }
            }
        });
        let (room, method) = method_name(&command.name);
        let method = if room.is_empty() { json!([method]) } else { json!([room, method]) };
        let mut line = json!({ "command": command.name, "method": method, "calls": calls, "wrong": wrong });
        if command.conn.is_some() {
            line["lease"] = json!(true);
        }
        lines.push(line.to_string());
    }
    let mut text = "[\n".to_string();
    let _ = writeln!(text, "{}\n]", lines.join(",\n"));
    Ok(text)
}

/// A way to give something, and the words that it is sent as.
#[derive(Clone, Default)]
struct Way {
    parameters: Vec<(String, Json)>,
    members: Map<String, Json>,
    words: Vec<String>,
}

impl Way {
    fn add(&mut self, other: &Self) {
        self.parameters.extend(other.parameters.iter().cloned());
        self.members.extend(other.members.clone());
        self.words.extend(other.words.iter().cloned());
    }

    fn has(&self, part: &Part) -> bool {
        if part.positional {
            self.parameters.iter().any(|(name, _)| *name == part.name)
        } else {
            self.members.contains_key(&part.name)
        }
    }

    /// Gives `value` for `part` instead.
    fn put(&mut self, part: &Part, value: Json) {
        if part.positional {
            self.parameters
                .iter_mut()
                .filter(|(name, _)| *name == part.name)
                .for_each(|(_, old)| *old = value.clone());
        } else {
            self.members.insert(part.name.clone(), value);
        }
    }

    /// Gives the arguments of a call; nothing when a parameter is left out before one that is not.
    fn args(&self, parameters: &[&Part]) -> Option<Vec<Json>> {
        let given: Vec<Option<&Json>> = parameters
            .iter()
            .map(|part| self.parameters.iter().find(|(name, _)| *name == part.name).map(|(_, value)| value))
            .collect();
        let count = given.iter().take_while(|value| value.is_some()).count();
        if given[count..].iter().any(Option::is_some) {
            return None;
        }
        let mut args: Vec<Json> = given.into_iter().flatten().cloned().collect();
        if !self.members.is_empty() {
            args.push(Json::Object(self.members.clone()));
        }
        Some(args)
    }
}

/// Gives the ways to give `pieces`: the least, then each part in each of its ways, then the most.
fn ways(pieces: &[Piece]) -> Vec<Way> {
    let each: Vec<Vec<Way>> = pieces.iter().map(piece).collect();
    let join = |chosen: &dyn Fn(usize) -> usize| {
        let mut way = Way::default();
        for (at, ways) in each.iter().enumerate() {
            if let Some(one) = ways.get(chosen(at)) {
                way.add(one);
            }
        }
        way
    };
    let mut all = vec![join(&|_| 0)];
    for (at, ways) in each.iter().enumerate() {
        all.extend((1..ways.len()).map(|way| join(&|other| if other == at { way } else { 0 })));
    }
    if each.len() > 1 {
        all.push(join(&|at| each[at].len().saturating_sub(1)));
    }
    all
}

fn piece(piece: &Piece) -> Vec<Way> {
    match piece {
        Piece::Part(part) if part.optional => [absent(part)].into_iter().chain(present(part)).collect(),
        Piece::Part(part) => present(part),
        Piece::Fixed(words) => vec![Way { words: words.clone(), ..Way::default() }],
        Piece::Choice { required, pieces, .. } => {
            let none = (!required).then(Way::default);
            none.into_iter().chain(pieces.iter().flat_map(alternative)).collect()
        }
        Piece::Group { optional, .. } => {
            let none = optional.then(Way::default);
            none.into_iter().chain(alternative(piece)).collect()
        }
    }
}

fn alternative(piece: &Piece) -> Vec<Way> {
    match piece {
        Piece::Part(part) => present(part),
        Piece::Group { tokens, counted, pieces, .. } => {
            let needed = pieces.iter().any(|piece| match piece {
                Piece::Part(part) => !part.optional,
                Piece::Choice { required, .. } => *required,
                _ => false,
            });
            let skipped = usize::from(!needed);
            let mut all: Vec<Way> = ways(pieces).into_iter().skip(skipped).collect();
            for way in &mut all {
                let count = counted.then(|| way.words.len().to_string());
                let words = std::mem::take(&mut way.words);
                way.words = tokens.iter().cloned().chain(count).chain(words).collect();
            }
            all
        }
        other => self::piece(other),
    }
}

fn absent(part: &Part) -> Way {
    let count = match &part.form {
        Form::List { count, .. } | Form::Map { count, .. } if part.tokens.is_empty() => *count,
        _ => None,
    };
    Way { words: count.iter().map(|_| "0".to_string()).collect(), ..Way::default() }
}

fn present(part: &Part) -> Vec<Way> {
    let ways = values(&part.form, &part.label).into_iter().map(|value| {
        let words = if part.each {
            value.elements.iter().flat_map(|element| part.tokens.iter().chain(element)).cloned().collect()
        } else {
            part.tokens.iter().cloned().chain(value.words).collect()
        };
        let mut way = Way { words, ..Way::default() };
        if part.positional {
            way.parameters.push((part.name.clone(), value.json));
        } else {
            way.members.insert(part.name.clone(), value.json);
        }
        way
    });
    ways.collect()
}

/// A value, and the words that it is sent as; those of each element apart for lists and maps.
struct Value {
    json: Json,
    words: Vec<String>,
    elements: Vec<Vec<String>>,
}

impl Value {
    fn new(json: Json, words: Vec<String>) -> Self {
        Self { json, words, elements: Vec::new() }
    }
}

fn scalar(scalar: Scalar, name: &str, number: usize) -> (Json, String) {
    match scalar {
        Scalar::Key | Scalar::Value | Scalar::Own => {
            let text = format!("{name}-{number}");
            (json!(text), text)
        }
        Scalar::Integer => (json!(10 + number), (10 + number).to_string()),
        Scalar::Double => (json!(1.5 + number as f64), (1.5 + number as f64).to_string()),
        Scalar::Seconds => (json!(1_900_000_000), "1900000000".to_string()),
        Scalar::Milliseconds => (json!(1_900_000_000_123_u64), "1900000000123".to_string()),
    }
}

fn values(form: &Form, name: &str) -> Vec<Value> {
    match form {
        Form::Scalar(kind) => {
            let (json, word) = scalar(*kind, name, 1);
            vec![Value::new(json, vec![word])]
        }
        Form::Flag => vec![Value::new(json!(true), Vec::new())],
        Form::Literal(literals) => {
            let literal = |token: &String| Value::new(json!(token.to_ascii_lowercase()), vec![token.clone()]);
            literals.iter().map(|one| literal(&one.token)).collect()
        }
        Form::List { element, count, .. } => {
            let mut ways = values(element, name);
            // two elements, then each kind of element alone
            let second = values(element, &format!("{name}2"));
            let last = second.len() - 1;
            let mut all = vec![list(
                vec![
                    ways.swap_remove(0),
                    second.into_iter().nth(last).unwrap_or_else(|| Value::new(Json::Null, Vec::new())),
                ],
                *count,
            )];
            all.extend(values(element, name).into_iter().map(|one| list(vec![one], *count)));
            all
        }
        Form::Tuple(parts) => {
            let mut json = Vec::new();
            let mut words = Vec::new();
            for part in parts {
                if let Some(value) = values(&part.form, &part.name).into_iter().next() {
                    json.push(value.json);
                    words.extend(part.tokens.iter().cloned().chain(value.words));
                }
            }
            vec![Value::new(Json::Array(json), words)]
        }
        Form::Map { key, value, swapped, columns, count, .. } => {
            let pairs: Vec<_> = (1..=2)
                .map(|number| {
                    (
                        scalar(*key, &format!("{name}-key"), number),
                        scalar(*value, &format!("{name}-value"), number),
                    )
                })
                .collect();
            let entries: Vec<Json> = pairs.iter().map(|(key, value)| json!([key.0, value.0])).collect();
            let object: Map<String, Json> =
                pairs.iter().map(|(key, value)| (key.1.clone(), value.0.clone())).collect();
            let elements: Vec<Vec<String>> = pairs
                .iter()
                .map(|(key, value)| {
                    if *swapped {
                        vec![value.1.clone(), key.1.clone()]
                    } else {
                        vec![key.1.clone(), value.1.clone()]
                    }
                })
                .collect();
            let mut words: Vec<String> = match count {
                Some(Counted::Items) => vec!["2".to_string()],
                Some(Counted::Words) => vec!["4".to_string()],
                None => Vec::new(),
            };
            if *columns {
                words.extend(pairs.iter().map(|pair| pair.0.1.clone()));
                words.extend(pairs.iter().map(|pair| pair.1.1.clone()));
            } else {
                words.extend(elements.iter().flatten().cloned());
            }
            let entries =
                Value { json: Json::Array(entries), words: words.clone(), elements: elements.clone() };
            vec![Value { json: Json::Object(object), words, elements }, entries]
        }
        Form::Object { pieces, counted } => object(pieces, *counted),
        Form::Either(forms) => {
            let all = forms.iter().flat_map(|form| values(form, name));
            all.filter(|value| !value.words.is_empty()).collect()
        }
    }
}

fn list(all: Vec<Value>, count: Option<Counted>) -> Value {
    let json = all.iter().map(|value| value.json.clone()).collect();
    let elements: Vec<Vec<String>> = all.into_iter().map(|value| value.words).collect();
    let flat: Vec<String> = elements.iter().flatten().cloned().collect();
    let count = count.map(|count| match count {
        Counted::Items => elements.len(),
        Counted::Words => flat.len(),
    });
    Value {
        json: Json::Array(json),
        words: count.iter().map(usize::to_string).chain(flat).collect(),
        elements,
    }
}

fn object(pieces: &[Piece], counted: bool) -> Vec<Value> {
    let mut all = Vec::new();
    for way in ways(pieces) {
        let count = counted.then(|| way.words.len().to_string());
        let words: Vec<String> = count.into_iter().chain(way.words).collect();
        let json = match (way.members.len(), sole_value(pieces)) {
            (0, Sole::NoneRequired) => json!(true),
            (1, Sole::One(part)) => {
                all.push(Value::new(Json::Object(way.members.clone()), words.clone()));
                way.members[&part.name].clone()
            }
            _ => Json::Object(way.members),
        };
        // `{ word: true }` is the same as the word
        if let (Json::Object(members), [Piece::Choice { required: true, pieces, .. }]) = (&json, pieces)
            && let Some(word) = members.keys().next()
            && pieces.iter().any(
                |piece| matches!(piece, Piece::Part(Part { name, form: Form::Flag, .. }) if name == word),
            )
        {
            all.push(Value::new(json!(word), words.clone()));
        }
        all.push(Value::new(json, words));
    }
    all
}

/// Gives the least call with `value` as what is given for `wanted`.
fn call_with(pieces: &[Piece], parameters: &[&Part], wanted: &Part, value: Json) -> Option<Vec<Json>> {
    let mut way = ways(pieces).into_iter().find(|way| way.has(wanted))?;
    way.put(wanted, value);
    way.args(parameters)
}

/// Gives values that `form` does not take, of the whole and of each of its parts, and what errors call that. The whole is called `name`.
fn wrongs(form: &Form, name: &str) -> Vec<(String, Json)> {
    let mut all = vec![(name.to_string(), wrong(form))];
    match form {
        Form::List { element, .. } => {
            all.extend(wrongs(element, name).into_iter().map(|(name, value)| (name, json!([value]))));
        }
        Form::Map { key, value, .. } => {
            let pair = json!([[scalar(*key, name, 1).0, wrong(&Form::Scalar(*value))]]);
            all.push((name.to_string(), pair));
        }
        Form::Tuple(parts) => {
            let Some(Value { json: Json::Array(right), .. }) = values(form, name).into_iter().next() else {
                return all;
            };
            for (at, part) in parts.iter().enumerate() {
                let name = if part.name == name { name.to_string() } else { format!("{name}.{}", part.name) };
                for (name, value) in wrongs(&part.form, &name) {
                    let mut tuple = right.clone();
                    tuple[at] = value;
                    all.push((name, Json::Array(tuple)));
                }
            }
        }
        Form::Object { pieces, .. } => {
            if let Some(Piece::Choice { required: true, .. }) = pieces.first() {
                all.push((name.to_string(), json!({})));
            }
            arguments::visit(pieces, false, &mut |part, _| {
                let Some(way) = ways(pieces).into_iter().find(|way| way.has(part)) else { return };
                for (name, value) in wrongs(&part.form, &part.name) {
                    let mut way = way.clone();
                    way.put(part, value);
                    all.push((name, Json::Object(way.members)));
                }
            });
        }
        Form::Either(forms) => {
            let made = forms.iter().filter(|form| !matches!(form, Form::Scalar(_) | Form::Literal(_)));
            all.extend(made.flat_map(|form| wrongs(form, name)).filter(|(_, value)| !value.is_number()));
        }
        Form::Scalar(_) | Form::Literal(_) | Form::Flag => {}
    }
    all
}

fn wrong(form: &Form) -> Json {
    match form {
        Form::Scalar(Scalar::Key) => json!(1),
        Form::Scalar(Scalar::Value | Scalar::Own) => json!(true),
        Form::Scalar(_) => json!("text"),
        Form::Literal(_) => json!("nonsense"),
        Form::Flag => json!("yes"),
        Form::List { element, .. } => json!([wrong(element)]),
        Form::Map { .. } | Form::Tuple(_) => json!(5),
        Form::Object { pieces, .. } => match sole_value(pieces) {
            Sole::One(part) => wrong(&part.form),
            _ => json!(5),
        },
        Form::Either(_) => Json::Null,
    }
}
