//! The types of replies: shapes as TypeScript and as Rust.
//!
//! TypeScript's depend on the view, in four parameters: `S` is user data, `N` integers, `F` the forms of sets and maps, `V` the values
//! that an adapter makes. What else they are made of stands in `wasm/js/replies.ts`.

use super::shape::{Condition, Content, Field, Item, Shape, Word};
use std::collections::BTreeMap;

/// Shapes that have a name.
pub(crate) type Aliases = BTreeMap<String, Shape>;

/// Gives what a reply can be and when, options that a command was sent with apart: one entry with the condition "else" unless
/// options decide. A choice inside a tuple is told as a choice among tuples.
pub(crate) fn variants(shape: &Shape) -> Vec<(Condition, Shape)> {
    let mut conditions: Vec<Condition> = Vec::new();
    shape.with_cases(&mut |branches| {
        if conditions.is_empty() && !branches[0].0.is_protocol() {
            conditions = branches.iter().map(|branch| branch.0.clone()).collect();
        }
        None
    });
    if conditions.is_empty() {
        return vec![(Condition(Vec::new()), shape.clone())];
    }
    let variant = |(index, condition): (usize, &Condition)| {
        let mut found = false;
        let chosen = shape.with_cases(&mut |branches| {
            let first = !found && !branches[0].0.is_protocol();
            found |= first;
            first.then(|| branches[index].1.clone())
        });
        (condition.clone(), chosen)
    };
    conditions.iter().enumerate().map(variant).collect()
}

/// Gives the TypeScript type of a value of this shape; a named shape is the type of that name.
pub(crate) fn typescript(shape: &Shape, aliases: &Aliases) -> String {
    let inner = |shape: &Shape| typescript(shape, aliases);
    match shape {
        Shape::Word(word) => match word {
            Word::Int => "N",
            Word::Num => "N | number",
            Word::Double => "number",
            Word::Bool | Word::Ok => "boolean",
            Word::Bulk => "S",
            Word::Value => "V",
            Word::Bytes => "Uint8Array",
            Word::Text | Word::Simple => "string",
            Word::Null | Word::Empty => "null",
            Word::Any => "unknown",
            Word::None | Word::Skip => "void",
            Word::Error => "ResponseError",
            Word::Info => "Info<N>",
            Word::ClientList => "ClientInfo<N>[]",
            Word::ClientInfo => "ClientInfo<N>",
            Word::ClusterNodes => "ClusterNode<S, N, F>[]",
            Word::ClusterNode => "ClusterNode<S, N, F>",
            Word::Flags | Word::SentinelFlags => "SetOf<S, F, string>",
            Word::Bare | Word::Warnings => "string[]",
            Word::Correction => "[correction: S, score: number]",
        }
        .to_string(),
        Shape::Literal(text) => format!("{text:?}"),
        Shape::Alias(name) => {
            let mut all: Vec<_> = parameters(name, aliases).into_iter().map(str::to_string).collect();
            all.extend(flags(shape, aliases));
            match all.as_slice() {
                [] => type_name(name),
                all => format!("{}<{}>", type_name(name), all.join(", ")),
            }
        }
        Shape::Optional(shape) if **shape == Shape::Word(Word::Ok) => "boolean".to_string(),
        Shape::Optional(shape) => any_of([inner(shape), "null".to_string()]),
        Shape::Union(all) => any_of(all.iter().map(inner)),
        Shape::Array(shape) => list(&inner(shape)),
        Shape::Set(shape) if **shape == Shape::Word(Word::Bulk) => "SetOf<S, F>".to_string(),
        Shape::Set(shape) => format!("SetOf<S, F, {}>", inner(shape)),
        Shape::Wrap3(shape) | Shape::Only(shape) | Shape::Json(Some(shape)) => inner(shape),
        Shape::Json(None) => "S".to_string(),
        Shape::Map(key, value) => format!("MapOf<F, {}, {}>", inner(key), inner(value)),
        Shape::By(_, value) => format!("MapOf<F, string, {}>", inner(value)),
        Shape::Pairs(key, value) => {
            format!("[{}, {}][]", inner(key), inner(value))
        }
        Shape::Tuple(items) | Shape::Push(items) => tuple(items, aliases),
        Shape::Keyed(key, items) => match &key.content {
            Content::One(key) => format!("MapOf<F, {}, {}>", inner(key), tuple(items, aliases)),
            _ => "unknown".to_string(),
        },
        Shape::Record(items) => record(items, aliases),
        Shape::Struct(fields, others) => {
            // a name that stands for many is one of the others
            let shown =
                |field: &&Field| !field.names[0].ends_with('*') && field.shape != Shape::Word(Word::Skip);
            let named = fields.iter().filter(shown);
            let mut lines: Vec<_> = named.map(|field| member(field, aliases)).collect();
            let open = others.iter().filter(|shape| ***shape != Shape::Word(Word::Skip));
            // what has a name of its own is of another type
            let of = |shape| if lines.is_empty() { inner(shape) } else { "unknown".to_string() };
            let open = open.map(|shape| format!("[field: string]: {}", of(shape))).collect::<Vec<_>>();
            lines.extend(open);
            format!("{{ {} }}", lines.join("; "))
        }
        Shape::Case(branches) => match branches.iter().position(|branch| !branch.0.is_protocol()) {
            // the protocol decides nothing for the user
            Some(unified) if unified > 0 => inner(&branches[unified].1),
            _ => any_of(branches.iter().map(|branch| inner(&branch.1))),
        },
    }
}

/// Gives the declarations of all named shapes.
pub(crate) fn typescript_aliases(aliases: &Aliases) -> String {
    let declared = aliases.iter().map(|(name, shape)| {
        let parameters = parameters(name, aliases);
        let bounds = parameters.iter().map(|&parameter| match parameter {
            "S" => "S extends Str",
            "F" => "F extends Forms",
            "V" if parameters.contains(&"S") => "V = S",
            "V" => "V = string",
            other => other,
        });
        let flags = flags(shape, aliases).into_iter().map(|flag| format!("{flag} = true | undefined"));
        let bounds = bounds.map(str::to_string).chain(flags).collect::<Vec<_>>().join(", ");
        let head = if bounds.is_empty() { type_name(name) } else { format!("{}<{bounds}>", type_name(name)) };
        format!("export type {head} = {};\n", typescript(shape, aliases))
    });
    declared.collect()
}

/// Gives the tokens of options that decide one by one which places a tuple has; its type has parameters of these names.
pub(crate) fn flags(shape: &Shape, aliases: &Aliases) -> Vec<String> {
    match shape {
        Shape::Alias(name) => aliases.get(name).map_or_else(Vec::new, |shape| flags(shape, aliases)),
        Shape::Array(shape) => flags(shape, aliases),
        Shape::Tuple(items) => match items.as_slice() {
            [Item { content: Content::Group(items), .. }] => flags_of(items),
            items => flags_of(items),
        },
        _ => Vec::new(),
    }
}

fn flags_of(items: &[Item]) -> Vec<String> {
    let conditions: Vec<_> =
        items.iter().filter(|item| !is_dropped(item)).filter_map(|item| item.when.as_ref()).collect();
    let together = conditions.windows(2).all(|two| two[0] == two[1]);
    if together { Vec::new() } else { conditions.into_iter().map(Condition::to_string).collect() }
}

/// Gives the parameters that a named shape's type depends on.
fn parameters(name: &str, aliases: &Aliases) -> Vec<&'static str> {
    let mut seen = Vec::new();
    let mut text = String::new();
    reach(name, aliases, &mut seen, &mut text);
    let used = |word: &&str| {
        text.split(|char: char| !char.is_ascii_alphanumeric() && char != '@').any(|part| part == *word)
    };
    let values = ["value"].iter().any(used);
    let data = ["bulk", "correction", "json", "set", "flags", "sentinelflags", "clusternode", "clusternodes"]
        .iter()
        .any(used);
    let integers =
        ["int", "num", "info", "clientinfo", "clientlist", "clusternode", "clusternodes"].iter().any(used);
    let forms = ["set", "map", "by", "keyed", "flags", "sentinelflags", "clusternode", "clusternodes"]
        .iter()
        .any(used);
    let all = [("S", data), ("N", integers), ("F", forms), ("V", values)];
    all.into_iter().filter(|(_, needed)| *needed).map(|(parameter, _)| parameter).collect()
}

/// Gathers the texts of a named shape and of all that it is made of, as far as types show them.
fn reach(name: &str, aliases: &Aliases, seen: &mut Vec<String>, text: &mut String) {
    let Some(shape) = aliases.get(name).filter(|_| !seen.iter().any(|known| known == name)) else { return };
    seen.push(name.to_string());
    let shown = shape.with_cases(&mut |branches| {
        let unified = branches.iter().position(|branch| !branch.0.is_protocol()).filter(|&at| at > 0);
        unified.map(|at| branches[at].1.clone())
    });
    // names are no words of the notation
    let shown = shown.to_string();
    let mut words = shown.split_inclusive(|char: char| "<>(){},;|?:".contains(char)).peekable();
    while let Some(word) = words.next() {
        let names = word.ends_with(':') || word.ends_with('?') && words.peek() == Some(&":");
        if !names {
            text.push_str(word);
        }
    }
    for other in aliases.keys() {
        if shown.contains(&format!("@{other}")) {
            reach(other, aliases, seen, text);
        }
    }
}

fn any_of(types: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for part in types.into_iter().flat_map(|text| {
        // a union of unions is one
        let flat = !text.contains(['{', '[', '<', '(']);
        if flat { text.split(" | ").map(str::to_string).collect() } else { vec![text] }
    }) {
        if !all.contains(&part) {
            all.push(part);
        }
    }
    if all.iter().any(|part| part == "unknown") { "unknown".to_string() } else { all.join(" | ") }
}

fn list(of: &str) -> String {
    if of.contains(" | ") && !(of.starts_with('{') || of.starts_with('[')) || of.ends_with(" | null") {
        format!("({of})[]")
    } else {
        format!("{of}[]")
    }
}

/// Items that one option brings may be missing at the end; where several do, each has its place or none.
fn tuple(items: &[Item], aliases: &Aliases) -> String {
    let items: Vec<&Item> = items.iter().filter(|item| !is_dropped(item)).collect();
    let first = items.iter().position(|item| item.when.is_some()).unwrap_or(items.len());
    let (fixed, conditional) = items.split_at(first);
    let label = |item: &Item| item.name.as_deref().unwrap_or("kind").replace('-', "_");
    let one = |item: &Item| match &item.content {
        Content::One(shape) => {
            format!("{}{}: {}", label(item), if item.optional { "?" } else { "" }, typescript(shape, aliases))
        }
        Content::Rest(shape) => format!("...{}: {}", label(item), list(&typescript(shape, aliases))),
        Content::Group(items) => format!("...{}: {}[]", label(item), tuple(items, aliases)),
    };
    let mut parts: Vec<_> = fixed.iter().map(|item| one(item)).collect();
    let together = conditional.windows(2).all(|two| two[0].when == two[1].when);
    match conditional {
        [] => {}
        _ if together => {
            parts.extend(conditional.iter().map(|item| one(&Item { optional: true, ..(*item).clone() })))
        }
        _ => parts.extend(
            conditional
                .iter()
                .filter_map(|item| Some(format!("...If<{}, [{}]>", item.when.as_ref()?, one(item)))),
        ),
    }
    // a group alone is a list of its records
    match items.as_slice() {
        [Item { content: Content::Group(items), .. }] => format!("{}[]", tuple(items, aliases)),
        _ => format!("[{}]", parts.join(", ")),
    }
}

fn record(items: &[Item], aliases: &Aliases) -> String {
    let one = |item: &Item| {
        let name = item.name.as_deref().unwrap_or("kind");
        let mark = if item.optional || item.when.is_some() { "?" } else { "" };
        match &item.content {
            Content::One(shape) => format!("{name}{mark}: {}", typescript(shape, aliases)),
            Content::Rest(shape) => format!("{name}{mark}: {}", list(&typescript(shape, aliases))),
            Content::Group(items) => format!("{name}{mark}: {}[]", record(items, aliases)),
        }
    };
    format!("{{ {} }}", items.iter().filter(|item| !is_dropped(item)).map(one).collect::<Vec<_>>().join("; "))
}

fn is_dropped(item: &Item) -> bool {
    matches!(item.content, Content::One(Shape::Word(Word::Skip)))
}

fn member(field: &Field, aliases: &Aliases) -> String {
    let name = &field.names[0];
    let of = typescript(&field.shape, aliases);
    let plain = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    let quote = if plain { "" } else { "\"" };
    format!("{quote}{name}{quote}{}: {of}", if field.optional { "?" } else { "" })
}

/// Gives the name of a named shape's type.
fn type_name(alias: &str) -> String {
    let (first, rest) = alias.split_at(1);
    first.to_uppercase() + rest
}

/// Gives the Rust type of a value of this shape.
pub(crate) fn rust(shape: &Shape, aliases: &Aliases) -> String {
    let inner = |shape: &Shape| rust(shape, aliases);
    match shape {
        Shape::Word(word) => match word {
            Word::Int => "i64",
            Word::Double | Word::Num => "f64",
            Word::Bool | Word::Ok => "bool",
            Word::Bulk | Word::Value | Word::Bytes => "Bytes",
            Word::Text | Word::Simple => "String",
            Word::Null | Word::Empty | Word::None | Word::Skip => "()",
            Word::Any | Word::Error => "Frame",
            Word::Info | Word::ClientInfo | Word::ClusterNode => "Record",
            Word::ClientList | Word::ClusterNodes => "Vec<Record>",
            Word::Flags | Word::SentinelFlags | Word::Bare | Word::Warnings => "Vec<String>",
            Word::Correction => "(Bytes, f64)",
        }
        .to_string(),
        Shape::Literal(_) => "String".to_string(),
        Shape::Json(None) => "Bytes".to_string(),
        Shape::Alias(name) => match aliases.get(name) {
            Some(shape) if !refers_to(shape, name, aliases) => inner(shape),
            _ => "Frame".to_string(),
        },
        Shape::Optional(shape) if **shape == Shape::Word(Word::Ok) => "bool".to_string(),
        Shape::Optional(shape) => match inner(shape) {
            of if of == "Frame" => of,
            of => format!("Option<{of}>"),
        },
        Shape::Union(all) => match all.as_slice() {
            [Shape::Word(Word::Empty), other] => format!("Option<{}>", inner(other)),
            all => one_of(all.iter().map(inner)),
        },
        Shape::Array(shape) | Shape::Set(shape) => format!("Vec<{}>", inner(shape)),
        Shape::Wrap3(shape) | Shape::Only(shape) | Shape::Json(Some(shape)) => inner(shape),
        Shape::Map(key, value) | Shape::Pairs(key, value) => {
            format!("Vec<({}, {})>", inner(key), inner(value))
        }
        Shape::By(_, _) => "Vec<(String, Record)>".to_string(),
        Shape::Keyed(key, items) => match &key.content {
            Content::One(key) => format!("Vec<({}, {})>", inner(key), rust_tuple(items, aliases)),
            _ => "Frame".to_string(),
        },
        Shape::Tuple(items) | Shape::Push(items) => rust_tuple(items, aliases),
        Shape::Record(_) | Shape::Struct(..) => "Record".to_string(),
        Shape::Case(branches) => match branches.iter().position(|branch| !branch.0.is_protocol()) {
            Some(unified) if unified > 0 => inner(&branches[unified].1),
            _ => one_of(branches.iter().map(|branch| inner(&branch.1))),
        },
    }
}

fn one_of(types: impl Iterator<Item = String>) -> String {
    let mut types = types;
    let first = types.next().unwrap_or_default();
    if types.all(|other| other == first) { first } else { "Frame".to_string() }
}

/// Tuples whose length is not known are frames.
fn rust_tuple(items: &[Item], aliases: &Aliases) -> String {
    let items: Vec<&Item> = items.iter().filter(|item| !is_dropped(item)).collect();
    let types: Option<Vec<String>> = items
        .iter()
        .map(|item| match &item.content {
            Content::One(shape) if item.when.is_none() && !item.optional => Some(rust(shape, aliases)),
            Content::One(shape) if item.when.is_none() => Some(match rust(shape, aliases) {
                of if of == "Frame" || of.starts_with("Option<") => of,
                of => format!("Option<{of}>"),
            }),
            _ => None,
        })
        .collect();
    match (types, items.as_slice()) {
        (Some(types), _) if (2..=6).contains(&types.len()) => format!("({})", types.join(", ")),
        (_, [Item { content: Content::Group(items), .. }]) => format!("Vec<{}>", rust_tuple(items, aliases)),
        _ => "Frame".to_string(),
    }
}

/// Tells whether a named shape contains itself.
fn refers_to(shape: &Shape, name: &str, aliases: &Aliases) -> bool {
    let text = shape.to_string();
    text.contains(&format!("@{name}"))
        || aliases.keys().any(|other| {
            other != name && text.contains(&format!("@{other}")) && {
                let deeper = aliases[other].to_string();
                deeper.contains(&format!("@{name}")) || deeper.contains(&format!("@{other}"))
            }
        })
}

#[cfg(test)]
mod tests {
    use super::super::shape::parse;
    use super::*;

    fn shape(text: &str) -> Shape {
        parse(text).unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn shapes_have_types() {
        let aliases = Aliases::from([("entry".to_string(), shape("tuple(id:text,fields:map<bulk,bulk>?)"))]);
        for (text, typescript_type, rust_type) in [
            ("bulk?", "S | null", "Option<Bytes>"),
            ("ok?", "boolean", "bool"),
            ("set<bulk>", "SetOf<S, F>", "Vec<Bytes>"),
            ("array<int?>", "(N | null)[]", "Vec<Option<i64>>"),
            (
                "map<bulk,array<@entry>>?",
                "MapOf<F, S, Entry<S, F>[]> | null",
                "Option<Vec<(Bytes, Vec<(String, Option<Vec<(Bytes, Bytes)>>)>)>>",
            ),
            ("pairs<bulk,double>", "[S, number][]", "Vec<(Bytes, f64)>"),
            ("tuple(cursor:text,keys:array<bulk>)", "[cursor: string, keys: S[]]", "(String, Vec<Bytes>)"),
            ("struct{a-b:int,c?:bulk,*:any}", "{ \"a-b\": N; c?: S; [field: string]: unknown }", "Record"),
            ("empty|tuple(ts:int,value:double)", "null | [ts: N, value: number]", "Option<(i64, f64)>"),
            ("case{resp2: int; *: text}", "string", "String"),
            (
                "tuple(m:bulk,if(A) d:double,if(B) h:int)",
                "[m: S, ...If<A, [d: number]>, ...If<B, [h: N]>]",
                "Frame",
            ),
        ] {
            assert_eq!(typescript(&shape(text), &aliases), typescript_type, "{text}");
            assert_eq!(rust(&shape(text), &aliases), rust_type, "{text}");
        }
    }

    #[test]
    fn a_choice_inside_is_told_outside() {
        let all = variants(&shape("tuple(cursor:text,case{NOVALUES: array<bulk>; *: map<bulk,bulk>})"));
        let all: Vec<_> = all.iter().map(|(condition, shape)| format!("{condition} => {shape}")).collect();
        assert_eq!(
            all,
            ["NOVALUES => tuple(cursor:text,array<bulk>)", "* => tuple(cursor:text,map<bulk,bulk>)"]
        );
        assert_eq!(variants(&shape("bulk?")).len(), 1);
    }
}
