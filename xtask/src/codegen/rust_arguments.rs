//! From how a command is called to its builder in Rust: parameters of the function, slots for words, methods that fill them.

use std::collections::BTreeMap;

use super::arguments::{Form, Part, Piece, only_word};
use super::facts::{Node, Version};
use super::rust_pieces::{
    block_name, flags, is_choice, is_optional, is_steps, plural, required, steps, values_of, word_method,
};
use super::rust_values::{Given, sent};
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
    /// The other ways to call the command.
    pub(crate) others: Vec<String>,
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
impl Sends {
    pub(crate) fn add(&mut self, other: &Self) {
        self.tokens.extend_from_slice(&other.tokens);
        self.labels.extend_from_slice(&other.labels);
    }
}
/// Methods of which one is to be called, and pieces that can follow with their slots.
type Alternatives<'a> = (Vec<Method>, Vec<(&'a Piece, usize)>);

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
        if let Some(word) = only_word(piece) {
            self.always(sent(&[word.to_string()]));
            return Ok(());
        }
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
        for part in steps(pieces) {
            let method = self.method(part, slot, scope)?;
            self.methods.push(Method { repeats: true, ..method });
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
    ) -> Result<Alternatives<'a>> {
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

    /// Adds the methods of what may be a word or a value.
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
                form => {
                    let label = values.next().unwrap_or_else(|| part.label.clone());
                    let part = Part { form: form.clone(), label, ..part.clone() };
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
}
