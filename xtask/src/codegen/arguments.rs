//! From the tree of a command's arguments to how one calls it: what stands where among the parameters, what goes into the options, and
//! what is never asked for. The rules are those of `docs/architecture.md`, "Arguments".

use std::slice;

use super::facts::{Command, Counted, Kind, Measure, Node, Version};
use super::rust_pieces::values_of;
use crate::run::{Failure, Result};

/// A part of what is sent, in the order in which it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    /// What the caller gives under a name.
    Part(Part),
    /// Words that are always sent.
    Fixed(Vec<String>),
    /// At most one of these; exactly one where it is required.
    Choice { name: String, required: bool, pieces: Vec<Self> },
    /// What belongs together: without what is required of it, nothing of it is sent.
    Group { tokens: Vec<String>, counted: bool, optional: bool, since: Option<Version>, pieces: Vec<Self> },
}

/// What the caller gives under a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// As the caller spells it: `filterByTs`.
    pub(crate) name: String,
    /// Whether it is a parameter of its own, not a member of the options.
    pub(crate) positional: bool,
    /// Sent before the value.
    pub(crate) tokens: Vec<String>,
    /// What the table calls it, spelt the same way.
    pub(crate) label: String,
    /// The tokens are sent before each element.
    pub(crate) each: bool,
    pub(crate) form: Form,
    pub(crate) optional: bool,
    pub(crate) measure: Option<Measure>,
    pub(crate) since: Option<Version>,
}

/// How a value is given and sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    Scalar(Scalar),
    /// `true`: its token is all there is.
    Flag,
    /// One of these words.
    Literal(Vec<Literal>),
    List {
        element: Box<Self>,
        count: Option<Counted>,
        empty: bool,
    },
    /// Its parts in order.
    Tuple(Vec<Part>),
    /// Names and values, the value first where `swapped`, all names first where `columns`.
    Map {
        key: Scalar,
        value: Scalar,
        swapped: bool,
        columns: bool,
        count: Option<Counted>,
        empty: bool,
    },
    /// Parts by their names; the number of words that follows is sent first where `counted`.
    Object {
        pieces: Vec<Piece>,
        counted: bool,
    },
    /// Whichever takes the value.
    Either(Vec<Self>),
}

/// A word that the caller gives in lower case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    /// As it is sent.
    pub(crate) token: String,
    pub(crate) since: Option<Version>,
}

/// A single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Key,
    Value,
    /// A value that an adapter may make of the user's own.
    Own,
    Integer,
    Double,
    /// A unix time, or a `Date`.
    Seconds,
    Milliseconds,
}

/// Where a part stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Among the command's own: what has no token is a parameter.
    Top,
    /// In an object, under its name.
    Object,
    /// In a group of options: choices of bare words are flags.
    Flat,
}

/// Gives how `command` is called; where that is in one of several ways, each parameter takes what it takes in any of them.
pub(crate) fn signature(command: &Command) -> Result<Vec<Piece>> {
    Ok(overloaded(command)?.into_iter().flat_map(merged).collect())
}

/// The same, with the ways to call it apart: choices among groups of parameters.
pub(crate) fn overloaded(command: &Command) -> Result<Vec<Piece>> {
    sequence(&command.args, Place::Top).map_err(|Failure(what)| Failure(format!("{}: {what}", command.name)))
}

/// Gives the ways to call `command` where each takes parameters and options of its own: a name that tells it from the others, and its pieces.
/// Most have one, without a name.
pub(crate) fn ways(command: &Command) -> Result<Vec<(String, Vec<Piece>)>> {
    let pieces = overloaded(command)?;
    let found = pieces.iter().enumerate().find_map(|(at, piece)| Some((at, alternatives(piece, command)?)));
    let Some((at, alternatives)) = found else { return Ok(vec![(String::new(), pieces)]) };
    let whole = |own: Vec<Piece>| [&pieces[..at], &own, &pieces[at + 1..]].concat();
    Ok(alternatives.into_iter().map(|(name, own)| (name, whole(own))).collect())
}

/// Gives what stands in the place of a piece, with the name of each way, where that is parameters or options of several kinds.
fn alternatives(piece: &Piece, command: &Command) -> Option<Vec<(String, Vec<Piece>)>> {
    match piece {
        Piece::Choice { required: true, pieces, .. } => {
            let way = |piece: &Piece| {
                let own =
                    if let Piece::Group { pieces, .. } = piece { pieces } else { slice::from_ref(piece) };
                let words: Option<Vec<&str>> = own.iter().map(only_word).collect();
                (words.unwrap_or_default().join(" ").to_ascii_lowercase(), own.to_vec())
            };
            Some(pieces.iter().map(way).collect())
        }
        Piece::Part(part @ Part { form: Form::Either(forms), optional: false, .. }) => {
            let mut values = values_of(&command.args, &part.label).into_iter();
            let way = |form: &Form| match form {
                Form::Object { pieces, .. } => (String::new(), pieces.clone()),
                form => {
                    let label = values.next().unwrap_or_else(|| part.label.clone());
                    let part = Part {
                        form: form.clone(),
                        name: label.clone(),
                        label: label.clone(),
                        ..part.clone()
                    };
                    (label, vec![Piece::Part(part)])
                }
            };
            Some(forms.iter().map(way).collect())
        }
        _ => None,
    }
}

/// Gives the word that stands in the place of a value, where no other can.
pub(crate) fn only_word(piece: &Piece) -> Option<&str> {
    let Piece::Part(Part { form: Form::Literal(words), optional: false, .. }) = piece else { return None };
    let [only] = words.as_slice() else { return None };
    Some(&only.token)
}

/// Gives the parameters of a choice among groups of them, which have the same names.
fn merged(piece: Piece) -> Vec<Piece> {
    let Piece::Choice { required: true, pieces: ways, .. } = &piece else { return vec![piece] };
    let mut parameters: Vec<Part> = Vec::new();
    for way in ways {
        let Piece::Group { pieces, .. } = way else { return vec![piece] };
        visit(pieces, false, &mut |part, _| match parameters.iter_mut().find(|one| one.name == part.name) {
            Some(Part { form: Form::Either(forms), .. }) => forms.push(part.form.clone()),
            _ => parameters.push(Part { form: Form::Either(vec![part.form.clone()]), ..part.clone() }),
        });
    }
    parameters.into_iter().map(Piece::Part).collect()
}

/// Gives the parameters in the order of a call: what is required first.
pub(crate) fn parameters(pieces: &[Piece]) -> Vec<&Part> {
    let mut all = Vec::new();
    visit(pieces, false, &mut |part, optional| {
        if part.positional {
            all.push((optional, part));
        }
    });
    all.sort_by_key(|(optional, _)| *optional);
    all.into_iter().map(|(_, part)| part).collect()
}

/// Calls `each` with every part of `pieces` itself, and whether it may be left out.
pub(crate) fn visit<'a>(pieces: &'a [Piece], optional: bool, each: &mut dyn FnMut(&'a Part, bool)) {
    for piece in pieces {
        match piece {
            Piece::Part(part) => each(part, optional || part.optional),
            Piece::Fixed(_) => {}
            Piece::Choice { pieces, .. } => visit(pieces, true, each),
            Piece::Group { pieces, optional: may, .. } => visit(pieces, optional || *may, each),
        }
    }
}

/// Gives the parameters of `command`, those in tuples too, that measure something which their names do not tell.
pub(crate) fn measured(command: &Command) -> Result<Vec<(String, Measure)>> {
    let pieces = signature(command)?;
    let mut found = Vec::new();
    measured_in(&pieces, &mut found);
    found.dedup();
    Ok(found)
}

fn measured_in(pieces: &[Piece], found: &mut Vec<(String, Measure)>) {
    visit(pieces, false, &mut |part, _| measured_part(part, found));
}

fn measured_part(part: &Part, found: &mut Vec<(String, Measure)>) {
    if let Some(measure) = part.measure.filter(|_| part.positional && !part.name.contains("econds")) {
        found.push((part.name.clone(), measure));
    }
    measured_form(&part.form, found);
}

fn measured_form(form: &Form, found: &mut Vec<(String, Measure)>) {
    match form {
        Form::Tuple(parts) => parts.iter().for_each(|part| measured_part(part, found)),
        Form::List { element, .. } => measured_form(element, found),
        Form::Either(forms) => forms.iter().for_each(|form| measured_form(form, found)),
        Form::Object { pieces, .. } => measured_in(pieces, found),
        Form::Scalar(_) | Form::Flag | Form::Literal(_) | Form::Map { .. } => {}
    }
}

/// Tells whether a call has options.
pub(crate) fn has_options(pieces: &[Piece]) -> bool {
    let mut found = false;
    visit(pieces, false, &mut |part, _| found |= !part.positional);
    found
}

/// Spells `name` as a member: words joined in camel case.
pub(crate) fn camel(name: &str) -> String {
    let mut words = name.split(['_', '-', ' ', '.']).map(str::to_ascii_lowercase);
    let mut spelt = words.next().unwrap_or_default();
    for word in words {
        let (first, rest) = word.split_at(1.min(word.len()));
        spelt.push_str(&first.to_ascii_uppercase());
        spelt.push_str(rest);
    }
    spelt
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_alphabetic())
}

fn sequence(nodes: &[Node], place: Place) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for node in uncounted(nodes) {
        pieces.extend(convert(node, place, count_of(nodes, node))?);
    }
    Ok(pieces)
}

/// Leaves counts out: nobody is asked for them.
fn uncounted(nodes: &[Node]) -> impl Iterator<Item = &Node> {
    nodes.iter().filter(|node| node.counts.is_none())
}

/// Gives how `node` is counted by one of its siblings.
fn count_of(siblings: &[Node], node: &Node) -> Option<Counted> {
    siblings.iter().find(|sibling| sibling.counts.as_deref() == Some(&node.name)).and_then(|count| count.unit)
}

/// Tells whether a count of all that follows stands before `nodes`.
fn all_counted(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| node.counts.as_deref() == Some("*"))
}

fn convert(node: &Node, place: Place, count: Option<Counted>) -> Result<Vec<Piece>> {
    let one = |piece| Ok(vec![piece]);
    match node.kind {
        Kind::PureToken if node.optional || place == Place::Flat => {
            one(Piece::Part(Part { optional: node.optional, ..flag(node) }))
        }
        Kind::PureToken => one(Piece::Fixed(node.token.iter().cloned().collect())),
        Kind::Oneof if is_inline(node, place) => {
            let mut pieces = Vec::new();
            for alternative in &node.arguments {
                pieces.push(Piece::Part(member(alternative, node.since)?));
            }
            // parts that carry options of the command along stand in a group of their own
            let pieces = pieces
                .into_iter()
                .zip(&node.arguments)
                .map(|(piece, node)| flattened(piece, node))
                .collect::<Result<_>>()?;
            one(Piece::Choice { name: camel(&node.name), required: !node.optional, pieces })
        }
        Kind::Oneof if place == Place::Top && node.arguments.iter().all(is_bare_block) => {
            let way = |node: &Node| group(node, place);
            let pieces = node.arguments.iter().map(way).collect::<Result<_>>()?;
            one(Piece::Choice { name: camel(&node.name), required: true, pieces })
        }
        Kind::Block if is_inline(node, place) => {
            let inner = match place {
                Place::Top if node.optional && begins_with_token(node) => Place::Flat,
                other => other,
            };
            let pieces = sequence(&node.arguments, inner)?;
            let tokens: Vec<String> = node.token.iter().cloned().collect();
            let counted = all_counted(&node.arguments);
            if tokens.is_empty() && !node.optional {
                return Ok(pieces);
            }
            one(Piece::Group { tokens, counted, optional: node.optional, since: node.since, pieces })
        }
        _ => {
            let (tokens, form) = form_of(node, count)?;
            let repeated_choice = node.kind == Kind::Oneof && node.multiple
                || node.kind == Kind::Block && node.multiple && node.token.is_none();
            let positional = place == Place::Top
                && (!node.optional || tokens.is_empty() || repeated_choice && node.token.is_none());
            let by_token = !positional && node.token.as_deref().is_some_and(is_word);
            let name = match &node.token {
                Some(token) if by_token => camel(token),
                _ => camel(value_name(node)),
            };
            let (optional, since) = (node.optional, node.since);
            let label = camel(value_name(node));
            one(Piece::Part(Part {
                name,
                positional,
                tokens,
                label,
                each: node.multiple_token,
                form,
                optional,
                measure: node.measure(),
                since,
            }))
        }
    }
}

/// Tells whether `node` is a block without a name for callers.
fn is_bare_block(node: &Node) -> bool {
    node.kind == Kind::Block && node.token.is_none() && !node.multiple
}

/// Gives a block among the alternatives of a choice.
fn group(node: &Node, place: Place) -> Result<Piece> {
    let pieces = sequence(&node.arguments, place)?;
    Ok(Piece::Group { tokens: Vec::new(), counted: false, optional: false, since: node.since, pieces })
}

/// A choice between a value and a word is named after the value.
fn value_name(node: &Node) -> &str {
    let mut values = node.arguments.iter().filter(|alternative| alternative.kind != Kind::PureToken);
    match (node.kind, values.next(), values.next()) {
        (Kind::Oneof, Some(value), None) if value.token.is_none() && value.arguments.is_empty() => {
            &value.name
        }
        _ => &node.name,
    }
}

fn flag(node: &Node) -> Part {
    let token = node.token.clone().unwrap_or_default();
    let name = camel(if is_word(&token) { &token } else { &node.name });
    let label = camel(&node.name);
    Part {
        name,
        positional: false,
        tokens: vec![token],
        label,
        each: false,
        form: Form::Flag,
        optional: true,
        measure: None,
        since: node.since,
    }
}

/// Gives an alternative of a choice as a member of an object.
fn member(node: &Node, since: Option<Version>) -> Result<Part> {
    let since = node.since.or(since);
    if node.kind == Kind::PureToken {
        return Ok(Part { since, ..flag(node) });
    }
    let (tokens, form) = form_of(node, None)?;
    let name = camel(node.token.as_deref().filter(|token| is_word(token)).unwrap_or(&node.name));
    let label = camel(&node.name);
    Ok(Part {
        name,
        positional: false,
        tokens,
        label,
        each: node.multiple_token,
        form,
        optional: true,
        measure: node.measure(),
        since,
    })
}

/// Turns a part whose block is marked `flat` into a group: what is optional in it stands beside it.
fn flattened(piece: Piece, node: &Node) -> Result<Piece> {
    let Piece::Part(part) = piece else { return Ok(piece) };
    if !node.flat {
        return Ok(Piece::Part(part));
    }
    let mut pieces = sequence(&node.arguments, Place::Flat)?;
    for inner in &mut pieces {
        if let Piece::Part(inner) = inner {
            inner.name.clone_from(&part.name);
        }
    }
    Ok(Piece::Group { tokens: part.tokens, counted: false, optional: true, since: part.since, pieces })
}

/// Tells whether the parts of `node` stand beside its siblings, not under a name of its own.
fn is_inline(node: &Node, place: Place) -> bool {
    if node.multiple {
        return false;
    }
    match node.kind {
        Kind::Oneof => {
            let bare = node.arguments.iter().all(|alternative| alternative.kind == Kind::PureToken);
            let tokens = node.arguments.iter().all(|alternative| alternative.token.is_some());
            let apart = match place {
                Place::Top => node.optional,
                Place::Flat => true,
                Place::Object => node.optional || !bare,
            };
            node.token.is_none() && tokens && apart
        }
        Kind::Block if columns(node) => false,
        Kind::Block if node.token.is_none() => true,
        Kind::Block => {
            let (required, optional) = split(node);
            place == Place::Top
                && !node.optional
                && !(required > 0 && optional > 0)
                && (required > 1 || optional > 1)
        }
        _ => false,
    }
}

/// How many parts of a block are required, and how many are not.
fn split(node: &Node) -> (usize, usize) {
    let optional = uncounted(&node.arguments).filter(|part| part.optional).count();
    (uncounted(&node.arguments).count() - optional, optional)
}

/// Tells whether the first required part of an optional block begins with a token: then the block is made of options.
fn begins_with_token(node: &Node) -> bool {
    let first = node.arguments.iter().find(|part| !part.optional);
    first.is_some_and(|part| match part.kind {
        Kind::Oneof => {
            part.token.is_some() || part.arguments.iter().all(|alternative| alternative.token.is_some())
        }
        _ => part.token.is_some(),
    })
}

/// Tells whether a block is two lists of equal length, one behind the other.
fn columns(node: &Node) -> bool {
    matches!(node.arguments.as_slice(), [keys, values] if keys.multiple && values.multiple)
}

/// Gives how a node's value is given, and the tokens before it.
fn form_of(node: &Node, count: Option<Counted>) -> Result<(Vec<String>, Form)> {
    let mut tokens: Vec<String> = node.token.iter().cloned().collect();
    let element = match node.kind {
        Kind::PureToken => Form::Flag,
        Kind::Oneof => choice(node)?,
        Kind::Block if node.multiple && pair(node).is_some() => {
            let (key, value, swapped) = pair(node).ok_or_else(|| Failure("no pair".to_string()))?;
            return Ok((
                tokens,
                Form::Map { key, value, swapped, columns: false, count, empty: may_be_empty(node) },
            ));
        }
        Kind::Block if columns(node) => {
            let (key, value) = (scalar(&node.arguments[0])?, scalar(&node.arguments[1])?);
            return Ok((
                tokens,
                Form::Map { key, value, swapped: false, columns: true, count, empty: false },
            ));
        }
        Kind::Block => {
            let parts: Vec<&Node> = uncounted(&node.arguments).collect();
            if let [only] = parts.as_slice()
                && !all_counted(&node.arguments)
                && (!only.optional || only.multiple)
            {
                let (inner, form) = form_of(only, count_of(&node.arguments, only))?;
                tokens.extend(inner);
                allowing_none(form, only.optional)
            } else {
                block(node)?
            }
        }
        _ => Form::Scalar(scalar(node)?),
    };
    if node.multiple {
        return Ok((tokens, Form::List { element: Box::new(element), count, empty: may_be_empty(node) }));
    }
    Ok((tokens, element))
}

/// Tells whether a repeated value may come no times: where that leaves no token without a value.
fn may_be_empty(node: &Node) -> bool {
    node.optional && (node.token.is_none() || node.multiple_token)
}

fn allowing_none(form: Form, none: bool) -> Form {
    match form {
        Form::List { element, count, empty } => Form::List { element, count, empty: empty || none },
        Form::Map { key, value, swapped, columns, count, empty } => {
            Form::Map { key, value, swapped, columns, count, empty: empty || none }
        }
        other => other,
    }
}

fn block(node: &Node) -> Result<Form> {
    let counted = all_counted(&node.arguments);
    let simple = uncounted(&node.arguments).all(|part| !part.optional);
    if !simple || counted {
        return Ok(Form::Object { pieces: sequence(&node.arguments, Place::Object)?, counted });
    }
    // a choice with values among the parts has names of its own
    if uncounted(&node.arguments).any(|part| part.kind == Kind::Oneof && is_inline(part, Place::Object)) {
        return Ok(Form::Object { pieces: sequence(&node.arguments, Place::Object)?, counted });
    }
    let mut parts = Vec::new();
    let mut words = Vec::new();
    for part in uncounted(&node.arguments) {
        if part.kind == Kind::PureToken {
            words.extend(part.token.clone());
            continue;
        }
        let (tokens, form) = form_of(part, count_of(&node.arguments, part))?;
        let tokens = words.drain(..).chain(tokens).collect();
        let name = camel(value_name(part));
        parts.push(Part {
            label: name.clone(),
            name,
            positional: true,
            tokens,
            each: part.multiple_token,
            form,
            optional: false,
            measure: part.measure(),
            since: part.since,
        });
    }
    Ok(Form::Tuple(parts))
}

/// Gives the scalars of a block that is a name and its value, and whether the value comes first. Two numbers are no such thing.
fn pair(node: &Node) -> Option<(Scalar, Scalar, bool)> {
    let [one, other] = node.arguments.as_slice() else { return None };
    let plain =
        |part: &Node| !part.optional && !part.multiple && part.token.is_none() && part.arguments.is_empty();
    if !plain(one) || !plain(other) || one.kind == Kind::Integer && other.kind == Kind::Integer {
        return None;
    }
    let (one, other) = (scalar(one).ok()?, scalar(other).ok()?);
    Some(if one == Scalar::Double { (other, one, true) } else { (one, other, false) })
}

fn choice(node: &Node) -> Result<Form> {
    let (bare, values): (Vec<_>, Vec<_>) =
        node.arguments.iter().partition(|alternative| alternative.kind == Kind::PureToken);
    let literal =
        |node: &&Node| Literal { token: node.token.clone().unwrap_or_default(), since: node.since.or(None) };
    let literals = || Form::Literal(bare.iter().map(literal).collect());
    if values.is_empty() {
        return Ok(literals());
    }
    if values.iter().any(|value| value.token.is_some()) {
        let mut pieces = Vec::new();
        for alternative in &node.arguments {
            pieces.push(if is_bare_block(alternative) {
                group(alternative, Place::Object)?
            } else {
                Piece::Part(member(alternative, None)?)
            });
        }
        let choice = Piece::Choice { name: camel(&node.name), required: true, pieces };
        return Ok(Form::Object { pieces: vec![choice], counted: false });
    }
    let mut forms = Vec::new();
    for value in values {
        // filters of which none is required: an object
        let form = match value.kind {
            Kind::Block if split(value).0 == 0 => {
                Form::Object { pieces: sequence(&value.arguments, Place::Object)?, counted: false }
            }
            _ => form_of(value, None)?.1,
        };
        forms.push(form);
    }
    let text = matches!(forms.as_slice(), [Form::Scalar(Scalar::Key | Scalar::Value | Scalar::Own)]);
    let signs = bare.iter().all(|node| !node.token.as_deref().is_some_and(is_word));
    if !(bare.is_empty() || text && signs) {
        forms.insert(0, literals());
    }
    Ok(if forms.len() == 1 { forms.remove(0) } else { Form::Either(forms) })
}

fn scalar(node: &Node) -> Result<Scalar> {
    Ok(match node.kind {
        Kind::Key | Kind::Pattern => Scalar::Key,
        Kind::String => Scalar::Value,
        Kind::Value => Scalar::Own,
        Kind::Integer => Scalar::Integer,
        Kind::Double => Scalar::Double,
        Kind::UnixTime if node.name.contains("milliseconds") => Scalar::Milliseconds,
        Kind::UnixTime => Scalar::Seconds,
        _ => return Err(Failure(format!("{} is no single value", node.name))),
    })
}
