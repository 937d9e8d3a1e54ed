//! From how a command is called to its builder in Rust: parameters of the function, slots for words, methods that fill them.

use std::collections::BTreeMap;

use super::arguments::{Form, Literal, Part, Piece, Scalar};
use super::facts::{Counted, Kind, Node, Version};
use super::rust_words::{Words, pascal, snake};
use crate::run::{Failure, Result};

/// What builds a command, or a part of one.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// How many groups of words are filled apart from each other.
    pub(crate) slots: usize,
    /// What must be given.
    pub(crate) parameters: Vec<Parameter>,
    /// What is sent in any case: statements for a slot.
    pub(crate) fixed: BTreeMap<usize, Vec<String>>,
    /// One of them must be chosen to begin with.
    pub(crate) constructors: Vec<Method>,
    pub(crate) methods: Vec<Method>,
    /// What is open until it is taken.
    pub(crate) states: Vec<String>,
    /// Tokens and labels of what is sent in any case.
    pub(crate) sends: Sends,
    /// Parts with options of their own: the name of their type, and what they are made of.
    pub(crate) objects: Vec<(String, Vec<Piece>)>,
    nested: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) kind: String,
}

/// The words and arguments that something sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sends {
    pub(crate) tokens: Vec<String>,
    pub(crate) labels: Vec<String>,
}

/// What fills slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) writes: Vec<(usize, Vec<String>)>,
    /// It adds to what was there.
    pub(crate) repeats: bool,
    /// The states that must have been taken.
    pub(crate) needs: Vec<usize>,
    /// The states that it takes.
    pub(crate) takes: Vec<usize>,
    pub(crate) sends: Sends,
    pub(crate) since: Option<Version>,
    /// What is given, for the documentation.
    pub(crate) gives: Vec<String>,
}

/// Where the names of types come from.
pub(crate) struct Scope<'a> {
    pub(crate) words: &'a Words,
    /// What names of types begin with.
    pub(crate) owner: &'a str,
    /// The command's arguments, for names that the pieces do not have.
    pub(crate) nodes: &'a [Node],
}

/// Values for a caller to give, and the statements that send them.
#[derive(Default)]
struct Given {
    parameters: Vec<Parameter>,
    statements: Vec<String>,
    sends: Sends,
    gives: Vec<String>,
}

impl Given {
    fn add(&mut self, other: Self) {
        self.parameters.extend(other.parameters);
        self.statements.extend(other.statements);
        self.sends.add(&other.sends);
        self.gives.extend(other.gives);
    }
}

impl Sends {
    fn add(&mut self, other: &Self) {
        self.tokens.extend_from_slice(&other.tokens);
        self.labels.extend_from_slice(&other.labels);
    }
}

/// Gives how a command is built.
pub(crate) fn layout(pieces: &[Piece], scope: &Scope<'_>, nested: bool) -> Result<Layout> {
    let mut layout = Layout { nested, ..Layout::default() };
    layout.sequence(pieces, &[], scope)?;
    Ok(layout)
}

impl Layout {
    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn state(&mut self, name: &str) -> Option<usize> {
        if self.nested {
            return None;
        }
        let mut name = pascal(name);
        while name == "R" || self.states.contains(&name) {
            name.push_str("Choice");
        }
        self.states.push(name);
        Some(self.states.len() - 1)
    }

    /// Adds what is sent in any case.
    fn always(&mut self, given: Given) {
        let slot = match self.fixed.keys().last() {
            Some(&last) if last + 1 == self.slots => last,
            _ => self.slot(),
        };
        self.fixed.entry(slot).or_default().extend(given.statements);
        self.parameters.extend(given.parameters);
        self.sends.add(&given.sends);
    }

    fn sequence(&mut self, pieces: &[Piece], needs: &[usize], scope: &Scope<'_>) -> Result {
        pieces.iter().try_for_each(|piece| self.piece(piece, needs, scope))
    }

    fn piece(&mut self, piece: &Piece, needs: &[usize], scope: &Scope<'_>) -> Result {
        match piece {
            Piece::Part(part) if is_choice(part) => self.either(part, needs, scope),
            Piece::Part(part) if !part.optional => {
                let given = self.part(part, scope)?;
                self.always(given);
                Ok(())
            }
            Piece::Part(part) => {
                let slot = self.slot();
                self.option(part, slot, needs, scope)
            }
            Piece::Fixed(tokens) => {
                self.always(sent(tokens));
                Ok(())
            }
            Piece::Choice { name, required: false, pieces } => {
                let slot = self.slot();
                self.choice(name, pieces, slot, needs, scope)
            }
            Piece::Choice { pieces, .. } => {
                if !self.constructors.is_empty() {
                    return Err(Failure("two required choices in one part".to_string()));
                }
                let slot = self.slot();
                let (methods, _) = self.alternatives(pieces, slot, needs, scope)?;
                self.constructors = methods;
                Ok(())
            }
            Piece::Group { tokens, counted, optional: false, pieces, .. } => {
                self.always(sent(tokens));
                match flags(pieces) {
                    Some(flags) if *counted => {
                        let name = tokens.first().map(|token| token.to_ascii_lowercase()).unwrap_or_default();
                        let kind = scope.words.name(&flags);
                        self.always(Given {
                            parameters: vec![Parameter {
                                name: name.clone(),
                                kind: format!("impl IntoIterator<Item = super::{kind}>"),
                            }],
                            statements: vec![format!(
                                "draft::counted(out, 1, |out| draft::list(out, {name}));"
                            )],
                            ..Given::default()
                        });
                        Ok(())
                    }
                    _ => self.sequence(pieces, needs, scope),
                }
            }
            Piece::Group { tokens, pieces, since, .. } => self.group(tokens, pieces, *since, needs, scope),
        }
    }

    /// Adds the methods of what may be left out.
    fn option(&mut self, part: &Part, slot: usize, needs: &[usize], scope: &Scope<'_>) -> Result {
        if let Form::List { element, .. } = &part.form
            && let Form::Object { pieces, .. } = &**element
            && is_steps(part)
        {
            return self.steps(pieces, slot, scope);
        }
        if let Form::List { count: Some(_), .. } = &part.form
            && part.tokens.is_empty()
        {
            self.fixed.entry(slot).or_default().push("0u8.write_to(out);".to_string());
        }
        let method = Method { name: plural(part), ..self.method(part, slot, scope)? };
        self.methods.push(Method { needs: needs.to_vec(), ..method });
        Ok(())
    }

    fn method(&mut self, part: &Part, slot: usize, scope: &Scope<'_>) -> Result<Method> {
        let given = self.part(part, scope)?;
        Ok(Method {
            name: snake(&part.name),
            parameters: given.parameters,
            writes: vec![(slot, given.statements)],
            sends: given.sends,
            since: part.since,
            gives: given.gives,
            ..Method::default()
        })
    }

    /// Adds a method for each thing that can be done any number of times, in any order.
    fn steps(&mut self, pieces: &[Piece], slot: usize, scope: &Scope<'_>) -> Result {
        for piece in pieces {
            match piece {
                Piece::Part(part) => {
                    let method = self.method(part, slot, scope)?;
                    self.methods.push(Method { repeats: true, ..method });
                }
                Piece::Choice { pieces, .. } => self.steps(pieces, slot, scope)?,
                other => return Err(Failure(format!("{other:?} is no step"))),
            }
        }
        Ok(())
    }

    /// Adds the methods of a choice that need not be made.
    fn choice(
        &mut self,
        name: &str,
        pieces: &[Piece],
        slot: usize,
        needs: &[usize],
        scope: &Scope<'_>,
    ) -> Result {
        let state = self.state(name);
        let (methods, _) = self.alternatives(pieces, slot, needs, scope)?;
        self.methods.extend(
            methods.into_iter().map(|method| Method { takes: state.into_iter().collect(), ..method }),
        );
        Ok(())
    }

    /// Gives the methods of which one is to be called, from `slot` on, and what else can be said then.
    fn alternatives<'a>(
        &mut self,
        pieces: &'a [Piece],
        slot: usize,
        needs: &[usize],
        scope: &Scope<'_>,
    ) -> Result<(Vec<Method>, Vec<(&'a Piece, usize)>)> {
        let mut methods = Vec::new();
        let mut more: Vec<(&Piece, usize)> = Vec::new();
        for piece in pieces {
            let mut method = match piece {
                Piece::Part(part) => self.method(part, slot, scope)?,
                Piece::Group { tokens, pieces, since, .. } => {
                    let mut method = Method { since: *since, ..Method::default() };
                    let begin = sent(tokens);
                    method.writes.push((slot, begin.statements));
                    method.sends.add(&begin.sends);
                    for (place, inner) in (slot + 1..).zip(pieces) {
                        self.slots = self.slots.max(place + 1);
                        match inner {
                            Piece::Part(part) if !part.optional => {
                                let part = self.method(part, place, scope)?;
                                method.name = part.name;
                                method.parameters.extend(part.parameters);
                                method.writes.extend(part.writes);
                                method.sends.add(&part.sends);
                                method.gives.extend(part.gives);
                            }
                            inner if more.iter().any(|(other, at)| *at == place && *other == inner) => {}
                            inner => more.push((inner, place)),
                        }
                    }
                    method
                }
                other => return Err(Failure(format!("{other:?} is no alternative"))),
            };
            method.needs = needs.to_vec();
            methods.push(method);
        }
        Ok((methods, more))
    }

    /// Adds the methods of what may be a word, a value or an object.
    fn either(&mut self, part: &Part, needs: &[usize], scope: &Scope<'_>) -> Result {
        let Form::Either(forms) = &part.form else { return Ok(()) };
        let state = self.state(&part.label);
        let slot = self.slot();
        let mut values = values_of(scope.nodes, &part.label).into_iter();
        for form in forms {
            let takes: Vec<usize> = state.into_iter().collect();
            match form {
                Form::Literal(literals) => {
                    for literal in literals {
                        let name = word_method(part, literal);
                        let tokens: Vec<_> = part.tokens.iter().chain([&literal.token]).cloned().collect();
                        let given = sent(&tokens);
                        let (writes, since) = (vec![(slot, given.statements)], literal.since);
                        self.methods.push(Method {
                            name,
                            writes,
                            sends: given.sends,
                            since,
                            takes: takes.clone(),
                            needs: needs.to_vec(),
                            ..Method::default()
                        });
                    }
                }
                Form::Object { pieces, .. } => self.sequence(pieces, needs, scope)?,
                form => {
                    let label = values.next().unwrap_or_else(|| part.label.clone());
                    let name = if part.optional { part.name.clone() } else { label.clone() };
                    let part = Part { form: form.clone(), name, label, ..part.clone() };
                    let method = self.method(&part, slot, scope)?;
                    self.methods.push(Method { takes, needs: needs.to_vec(), ..method });
                }
            }
        }
        Ok(())
    }

    /// Adds the methods of a group that may be left out: one begins it, others need that.
    fn group(
        &mut self,
        tokens: &[String],
        pieces: &[Piece],
        since: Option<Version>,
        needs: &[usize],
        scope: &Scope<'_>,
    ) -> Result {
        let labels: Vec<&str> = pieces.iter().filter_map(required).map(|part| part.label.as_str()).collect();
        let name = match labels.as_slice() {
            [_] => None,
            labels => block_name(scope.nodes, labels),
        };
        let more = pieces.iter().any(is_optional);
        let state = if more {
            self.state(name.as_deref().or(labels.first().copied()).unwrap_or("group"))
        } else {
            None
        };
        let inner: Vec<usize> = needs.iter().copied().chain(state).collect();
        let begin = sent(tokens);
        let mut all =
            Method { since, needs: needs.to_vec(), takes: state.into_iter().collect(), ..Method::default() };
        if !tokens.is_empty() {
            all.writes.push((self.slot(), begin.statements));
            all.sends.add(&begin.sends);
        }
        let mut alternatives = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Part(part) if !part.optional => {
                    let slot = self.slot();
                    let method = self.method(part, slot, scope)?;
                    all.name = method.name;
                    all.since = all.since.or(method.since);
                    all.parameters.extend(method.parameters);
                    all.writes.extend(method.writes);
                    all.sends.add(&method.sends);
                    all.gives.extend(method.gives);
                }
                Piece::Choice { required: true, pieces, .. } if alternatives.is_empty() => {
                    let slot = self.slot();
                    let (methods, more) = self.alternatives(pieces, slot, needs, scope)?;
                    alternatives = methods;
                    for (piece, slot) in more {
                        match piece {
                            Piece::Part(part) => self.option(part, slot, &inner, scope)?,
                            Piece::Choice { name, pieces, .. } => {
                                self.choice(name, pieces, slot, &inner, scope)?
                            }
                            other => return Err(Failure(format!("{other:?} stands in an alternative"))),
                        }
                    }
                }
                Piece::Choice { name, required: true, pieces } => {
                    let words =
                        flags(pieces).ok_or_else(|| Failure(format!("{name} is no choice of words")))?;
                    let (name, slot) = (snake(name), self.slot());
                    let kind = format!("super::{}", scope.words.name(&words));
                    all.writes.push((slot, vec![format!("{name}.write_to(out);")]));
                    all.gives.push(format!("`{name}`"));
                    all.parameters.push(Parameter { name, kind });
                }
                other => self.piece(other, &inner, scope)?,
            }
        }
        if let Some(name) = name {
            all.name = snake(&name);
        }
        if alternatives.is_empty() {
            self.methods.push(all);
            return Ok(());
        }
        for mut method in alternatives {
            method.takes.extend(&all.takes);
            method.since = method.since.or(all.since);
            method.parameters.extend(all.parameters.iter().cloned());
            method.writes.extend(all.writes.iter().cloned());
            method.gives.extend(all.gives.iter().cloned());
            method.sends.add(&all.sends);
            self.methods.push(method);
        }
        Ok(())
    }

    fn part(&mut self, part: &Part, scope: &Scope<'_>) -> Result<Given> {
        let name = if part.positional { &plural(part) } else { &part.label };
        let mut given = if part.each { Given::default() } else { sent(&part.tokens) };
        let mut value = self.value(&part.form, name, scope)?;
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
        let one = |kind: String, statement: String, about: &str| Given {
            parameters: vec![Parameter { name: name.clone(), kind }],
            statements: vec![statement],
            gives: vec![format!("`{}`{about}", name.trim_start_matches("r#"))],
            ..Given::default()
        };
        Ok(match form {
            Form::Flag => Given::default(),
            Form::Scalar(scalar) => {
                let (kind, about) = scalar_kind(*scalar, label);
                one(kind.to_string(), format!("{name}.write_to(out);"), about)
            }
            Form::Literal(literals) => {
                one(format!("super::{}", scope.words.name(literals)), format!("{name}.write_to(out);"), "")
            }
            Form::Either(_) => one("impl ToArg".to_string(), format!("{name}.write_to(out);"), ""),
            Form::Tuple(parts) => {
                let mut all = Given::default();
                for part in parts {
                    all.add(sent(&part.tokens));
                    all.add(self.value(&part.form, &part.name, scope)?);
                }
                all
            }
            Form::List { element, count, .. } => {
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
                let statement = counting(*count, words_in(element), format!("draft::list(out, {items})"));
                one(format!("impl IntoIterator<Item = {kind}>"), statement, "")
            }
            Form::Map { key, value, swapped, columns, count, .. } => {
                let (key, value) = (scalar_kind(*key, "").0, scalar_kind(*value, "").0);
                let clone = if *columns { ", IntoIter: Clone" } else { "" };
                let write = match (swapped, columns) {
                    (true, _) => "swapped",
                    (_, true) => "columns",
                    _ => "list",
                };
                let statement = counting(*count, Some(2), format!("draft::{write}(out, {name})"));
                one(format!("impl IntoIterator<Item = ({key}, {value}){clone}>"), statement, "")
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
                one(kind, statement, "")
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

/// Gives the one value that is required, if it can stand for the whole.
pub(crate) fn bare_value(pieces: &[Piece]) -> Option<&Part> {
    first_values(pieces).filter(|part| matches!(part.form, Form::Scalar(Scalar::Key | Scalar::Value)))
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

/// Tells whether a part is called by one of several methods.
pub(crate) fn is_choice(part: &Part) -> bool {
    let Form::Either(forms) = &part.form else { return false };
    part.optional || forms.iter().any(|form| matches!(form, Form::Object { .. }))
}

fn is_optional(piece: &Piece) -> bool {
    match piece {
        Piece::Part(part) => part.optional,
        Piece::Fixed(_) => true,
        Piece::Choice { required, .. } => !required,
        Piece::Group { optional, .. } => *optional,
    }
}

fn required(piece: &Piece) -> Option<&Part> {
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

fn sent(tokens: &[String]) -> Given {
    Given {
        statements: tokens.iter().map(|token| format!("{token:?}.write_to(out);")).collect(),
        sends: Sends { tokens: tokens.to_vec(), labels: Vec::new() },
        ..Given::default()
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
        Form::Scalar(scalar) => scalar_kind(*scalar, label).0.to_string(),
        Form::Literal(literals) => format!("super::{}", scope.words.name(literals)),
        Form::Tuple(parts) => {
            let kinds: Result<Vec<_>> =
                parts.iter().map(|part| item_kind(&part.form, &part.name, scope)).collect();
            format!("({})", kinds?.join(", "))
        }
        other => return Err(Failure(format!("{other:?} is no item"))),
    })
}

/// Gives the type of a single value, and its unit.
fn scalar_kind(scalar: Scalar, label: &str) -> (&'static str, &'static str) {
    match (scalar, label) {
        (Scalar::Key | Scalar::Value, _) => ("impl ToArg", ""),
        // never negative where they are options
        (Scalar::Integer, "seconds") => ("u64", ", a time in seconds"),
        (Scalar::Integer, "milliseconds") => ("u64", ", a time in milliseconds"),
        (Scalar::Integer, _) => ("i64", ""),
        (Scalar::Double, _) => ("f64", ""),
        (Scalar::Seconds, _) => ("u64", ", a Unix time in seconds"),
        (Scalar::Milliseconds, _) => ("u64", ", a Unix time in milliseconds"),
    }
}

fn camel(name: &str) -> String {
    super::arguments::camel(name)
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
