//! The types of arguments in TypeScript.

use super::arguments::{Form, Literal, Part, Piece, Scalar};

/// One way to call a command.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    /// Parameters in order, and whether each may be left out.
    pub(crate) parameters: Vec<(&'a Part, bool)>,
    /// What can be said in the options, when there are any.
    pub(crate) options: Option<Vec<&'a Piece>>,
}

/// Gives the ways to call a command: parameters that come together or not at all make two of them.
pub(crate) fn calls(pieces: &[Piece]) -> Vec<Call<'_>> {
    let mut calls = vec![Call { parameters: Vec::new(), options: None }];
    for piece in pieces {
        calls = add(calls, piece);
    }
    for call in &mut calls {
        call.parameters.sort_by_key(|(_, optional)| *optional);
    }
    calls
}

fn add<'a>(calls: Vec<Call<'a>>, piece: &'a Piece) -> Vec<Call<'a>> {
    let mut longer = calls.clone();
    match piece {
        Piece::Part(part) if part.positional => {
            for call in &mut longer {
                call.parameters.push((part, part.optional));
            }
        }
        Piece::Group { pieces, optional, .. } if has_parameters(piece) => {
            for piece in pieces {
                longer = add(longer, piece);
            }
            if *optional {
                longer = calls.into_iter().chain(longer).collect();
            }
        }
        Piece::Choice { pieces, .. } if has_parameters(piece) => {
            longer = pieces.iter().flat_map(|piece| add(calls.clone(), piece)).collect();
        }
        Piece::Fixed(_) => {}
        piece => {
            for call in &mut longer {
                call.options.get_or_insert_default().push(piece);
            }
        }
    }
    longer
}

fn has_parameters(piece: &Piece) -> bool {
    match piece {
        Piece::Part(part) => part.positional,
        Piece::Fixed(_) => false,
        Piece::Choice { pieces, .. } | Piece::Group { pieces, .. } => pieces.iter().any(has_parameters),
    }
}

/// Tells whether something must be said in the options.
pub(crate) fn needs_options(pieces: &[&Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Group { optional: false, .. }))
}

/// Gives the type of the options of a call.
pub(crate) fn options(pieces: &[&Piece]) -> String {
    object(pieces.iter().copied())
}

/// Gives the type of a list whose values may also be given one by one.
fn spread(form: &Form) -> Option<String> {
    let Form::List { element, .. } = form else { return None };
    let all = match **element {
        Form::Tuple(_) => "Groups",
        Form::Scalar(Scalar::Own) => "Listed",
        _ => "Several",
    };
    Some(format!("{all}<{}>", type_of(element)))
}

/// Gives the type of a value.
pub(crate) fn type_of(form: &Form) -> String {
    match form {
        Form::Scalar(scalar) => of_scalar(*scalar).to_string(),
        Form::Flag => "true".to_string(),
        Form::Literal(literals) => literals.iter().map(literal).collect::<Vec<_>>().join(" | "),
        Form::List { element, .. } => format!("readonly {}[]", grouped(&type_of(element))),
        Form::Tuple(parts) => {
            let parts: Vec<_> =
                parts.iter().map(|part| format!("{}: {}", part.name, type_of(&part.form))).collect();
            format!("readonly [{}]", parts.join(", "))
        }
        Form::Map { key: Scalar::Key | Scalar::Value, value, .. } => format!("Fields<{}>", of_scalar(*value)),
        Form::Map { key, value, .. } => format!("Fields<{}, {}>", of_scalar(*value), of_scalar(*key)),
        Form::Object { pieces, .. } => {
            let mut kinds = match bare_words(pieces) {
                Some((bare, others)) => vec![object(&[others]), bare],
                None => vec![object(pieces)],
            };
            match sole_value(pieces) {
                Sole::One(part) => kinds.insert(0, type_of(&part.form)),
                Sole::NoneRequired => kinds.push("true".to_string()),
                Sole::More => {}
            }
            kinds.join(" | ")
        }
        Form::Either(forms) => forms.iter().map(alternative).collect::<Vec<_>>().join(" | "),
    }
}

/// Gives the type of one of several forms of a value: an object needs a member to be told by.
fn alternative(form: &Form) -> String {
    match form {
        Form::Object { pieces, .. } if matches!(sole_value(pieces), Sole::NoneRequired) => {
            let members = together(pieces).concat();
            let any = members.iter().map(|(name, kind, ..)| format!("{{ {name}: {kind} }}"));
            format!("({} & ({}))", literal_type(&members), any.collect::<Vec<_>>().join(" | "))
        }
        form => type_of(form),
    }
}

/// What of an object is required.
pub(crate) enum Sole<'a> {
    /// Nothing: `true` stands for an empty object.
    NoneRequired,
    /// A value without a token: alone it stands for the object.
    One(&'a Part),
    More,
}

/// Gives what of an object is required.
pub(crate) fn sole_value(pieces: &[Piece]) -> Sole<'_> {
    let mut sole = Sole::NoneRequired;
    for piece in pieces {
        match (piece, &sole) {
            (Piece::Part(part), Sole::NoneRequired) if !part.optional && part.tokens.is_empty() => {
                sole = Sole::One(part)
            }
            (
                Piece::Part(Part { optional: true, .. })
                | Piece::Choice { required: false, .. }
                | Piece::Group { optional: true, .. },
                _,
            ) => {}
            _ => return Sole::More,
        }
    }
    sole
}

/// Gives the words that stand for `{ word: true }` where one of several members is required, and the other members.
fn bare_words(pieces: &[Piece]) -> Option<(String, Piece)> {
    let [Piece::Choice { name, required: true, pieces }] = pieces else { return None };
    let (words, others): (Vec<_>, Vec<_>) =
        pieces.iter().cloned().partition(|piece| matches!(piece, Piece::Part(Part { form: Form::Flag, .. })));
    let words: Vec<_> = words
        .iter()
        .filter_map(
            |piece| if let Piece::Part(part) = piece { Some(format!("{:?}", part.name)) } else { None },
        )
        .collect();
    (!words.is_empty())
        .then(|| (words.join(" | "), Piece::Choice { name: name.clone(), required: true, pieces: others }))
}

fn grouped(element: &str) -> String {
    if element.contains(" | ") || element.contains(" & ") || element.starts_with("readonly") {
        format!("({element})")
    } else {
        element.to_string()
    }
}

fn of_scalar(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Key => "Key",
        Scalar::Value => "Value",
        Scalar::Own => "I",
        Scalar::Integer => "Int",
        Scalar::Double => "number",
        Scalar::Seconds | Scalar::Milliseconds => "UnixTime",
    }
}

fn literal(literal: &Literal) -> String {
    format!("{:?}", literal.token.to_ascii_lowercase())
}

/// An option's name, type, whether it may be left out, and what is said of it.
type Member = (String, String, bool, String);

fn member(part: &Part, optional: bool) -> Member {
    let about = part.measure.map_or_else(String::new, |measure| {
        let (first, rest) = measure.words().split_at(1);
        format!("/** {}{rest}. */ ", first.to_ascii_uppercase())
    });
    (part.name.clone(), type_of(&part.form), optional, about)
}

/// Gives the type of an object: what stands alone as one literal, what excludes or needs other members as unions beside it.
fn object<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> String {
    let mut plain: Vec<Member> = Vec::new();
    let mut unions = Vec::new();
    for piece in pieces {
        let variants = variants(piece);
        match variants.as_slice() {
            [only] => plain.extend(only.iter().cloned()),
            _ => unions.push(union(&variants)),
        }
    }
    if !plain.is_empty() || unions.is_empty() {
        unions.insert(0, literal_type(&plain));
    }
    match unions.as_slice() {
        [only] => only.clone(),
        _ => unions.iter().map(|kind| grouped_union(kind)).collect::<Vec<_>>().join(" & "),
    }
}

fn grouped_union(kind: &str) -> String {
    if kind.contains("} | {") { format!("({kind})") } else { kind.to_string() }
}

fn union(variants: &[Vec<Member>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in variants.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let complete = variants.iter().map(|variant| {
        let members = names.iter().map(|name| match variant.iter().find(|member| member.0 == *name) {
            Some(member) => member.clone(),
            None => ((*name).to_string(), "undefined".to_string(), true, String::new()),
        });
        literal_type(&members.collect::<Vec<_>>())
    });
    complete.collect::<Vec<_>>().join(" | ")
}

fn literal_type(members: &[Member]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, kind, optional, about)| {
            format!("{about}{name}{} {kind}", if *optional { "?:" } else { ":" })
        })
        .collect();
    if members.is_empty() { "{}".to_string() } else { format!("{{ {} }}", members.join("; ")) }
}

/// Gives the members that a piece can put into an object, one list for each way to do so.
fn variants(piece: &Piece) -> Vec<Vec<Member>> {
    match piece {
        Piece::Part(part) => vec![vec![member(part, part.optional)]],
        Piece::Fixed(_) => vec![Vec::new()],
        Piece::Choice { required, pieces, .. } => {
            let simple = pieces.iter().all(|piece| matches!(piece, Piece::Part(_)));
            let mut all: Vec<Vec<Member>> =
                pieces.iter().flat_map(|piece| present(piece, !required && simple)).collect();
            if !required && !simple {
                all.push(Vec::new());
            }
            all
        }
        Piece::Group { pieces, optional, .. } => {
            let mut all = together(pieces);
            let needed = pieces.iter().any(|piece| {
                matches!(
                    piece,
                    Piece::Part(Part { optional: false, .. }) | Piece::Choice { required: true, .. }
                )
            });
            let alone = matches!(pieces.as_slice(), [Piece::Part(_)]);
            if *optional && alone {
                for member in all.iter_mut().flatten() {
                    member.2 = true;
                }
            } else if *optional && needed {
                all.push(Vec::new());
            } else if !optional && !needed {
                all = with_any(&all);
            }
            all
        }
    }
}

/// Gives the ways to have at least one of the members.
fn with_any(ways: &[Vec<Member>]) -> Vec<Vec<Member>> {
    let needing = |way: &Vec<Member>, needed: usize| {
        let mut way = way.clone();
        way[needed].2 = false;
        way
    };
    ways.iter().flat_map(|way| (0..way.len()).map(|needed| needing(way, needed))).collect()
}

/// Gives the members of an alternative that was chosen, or may be.
fn present(piece: &Piece, maybe: bool) -> Vec<Vec<Member>> {
    match piece {
        Piece::Part(part) => vec![vec![member(part, maybe)]],
        Piece::Group { pieces, .. } => together(pieces),
        other => variants(other),
    }
}

fn together(pieces: &[Piece]) -> Vec<Vec<Member>> {
    pieces.iter().map(variants).fold(vec![Vec::new()], |all, more| {
        all.iter()
            .flat_map(|one: &Vec<Member>| more.iter().map(|other| [one.as_slice(), other].concat()))
            .collect()
    })
}

/// Gives the parameters of a call as text; the last list may be given one by one.
pub(crate) fn parameters(call: &Call) -> String {
    let last = call.parameters.len().saturating_sub(1);
    let spell = |(position, part): (usize, &(&Part, bool))| match spread(&part.0.form) {
        Some(values) if position == last => format!("...{}: {values}", part.0.name),
        _ => parameter(*part),
    };
    call.parameters.iter().enumerate().map(spell).collect::<Vec<_>>().join(", ")
}

/// Gives the parameters of a call as text, options of a type behind them.
pub(crate) fn with_options(call: &Call, options: &str, required: bool) -> String {
    let options = format!("options{}: {options}", if required { "" } else { "?" });
    call.parameters.iter().map(|part| parameter(*part)).chain([options]).collect::<Vec<_>>().join(", ")
}

fn parameter((part, optional): (&Part, bool)) -> String {
    // a word of the language is no name of a parameter
    let name = if part.name == "function" { "name" } else { &part.name };
    format!("{name}{}: {}", if optional { "?" } else { "" }, type_of(&part.form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::arguments;
    use crate::codegen::facts::{Facts, Kind, Node};
    use crate::tree;

    fn shown(facts: &Facts, name: &str) -> Vec<String> {
        let command =
            facts.commands.iter().find(|command| command.name == name).expect("the command is known");
        let pieces = arguments::signature(command).expect("its arguments are understood");
        calls(&pieces)
            .iter()
            .map(|call| match &call.options {
                Some(pieces) => with_options(call, &options(pieces), false),
                None => parameters(call),
            })
            .collect()
    }

    fn uncommented(text: &str) -> String {
        let parts = text.split("/** ").enumerate();
        parts
            .map(
                |(at, part)| {
                    if at == 0 { part } else { part.split_once(" */ ").map_or(part, |halves| halves.1) }
                },
            )
            .collect()
    }

    #[test]
    fn commands_are_called_as_worked_out_by_hand() {
        let facts = Facts::read(&tree::commands()).expect("the tables can be read");
        let mut seen = 0;
        for line in include_str!("signatures.txt").lines() {
            let (name, call) = line.split_once(" (").expect("a name and its parameters");
            assert!(
                shown(&facts, name).iter().any(|shown| format!("{})", uncommented(shown)) == call),
                "{name} ({}",
                shown(&facts, name).join(")\n(")
            );
            seen += 1;
        }
        assert_eq!(seen, 18);
    }

    #[test]
    fn every_command_is_understood() {
        let facts = Facts::read(&tree::commands()).expect("the tables can be read");
        for command in &facts.commands {
            assert!(!shown(&facts, &command.name).is_empty(), "{}", command.name);
        }
    }

    #[test]
    fn every_time_says_what_it_is_measured_in() {
        fn silent(nodes: &[Node], found: &mut Vec<String>) {
            const TIMES: [&str; 9] = [
                "timeout",
                "time",
                "ttl",
                "duration",
                "timestamp",
                "maxage",
                "period",
                "seconds",
                "timediff",
            ];
            for node in nodes {
                let number = matches!(node.kind, Kind::Integer | Kind::Double | Kind::UnixTime);
                let last = node.name.rsplit('-').next().unwrap_or_default();
                if number && node.measure().is_none() && TIMES.contains(&last) {
                    found.push(node.name.clone());
                }
                silent(&node.arguments, found);
            }
        }
        let facts = Facts::read(&tree::commands()).expect("the tables can be read");
        for command in facts.commands.iter().filter(|command| command.internal.is_none()) {
            let mut found = Vec::new();
            silent(&command.args, &mut found);
            assert!(found.is_empty(), "{}: {found:?}", command.name);
        }
        let set = shown(&facts, "SET").concat();
        assert!(set.contains("/** A time in seconds. */ ex?: Int"), "{set}");
    }
}
