//! Where a reply has values: what an adapter turns into the user's own. Keys, names of fields and the server's texts are none.

use super::facts::Command;
use super::reply_types::Aliases;
use super::shape::{self, Content, Item, Shape, Word};
use crate::run::{Failure, Result};

/// Where values are in a reply, or in a part of it.
#[derive(Clone, Debug, PartialEq)]
enum Places {
    /// There is no text in it.
    Nothing,
    /// None of its texts is a value.
    Nowhere,
    /// All of its texts are values.
    Everywhere,
    Items(Box<Self>),
    Fields(Box<Self>),
    Tuple(Vec<Self>),
}

/// Gives the places of values in a reply to `command`, in the notation of `typescript_table.rs`; empty where there are none.
pub(super) fn of(command: &Command, aliases: &Aliases) -> Result<String> {
    let shape = shape::parse(&command.reply).map_err(Failure)?;
    let mut finder = Finder { aliases, open: Vec::new() };
    let places = finder.shape(&shape).map_err(|what| Failure(format!("{}: {what}", command.name)))?;
    Ok(if places.is_somewhere() { format!(">{}", places.text()) } else { String::new() })
}

impl Places {
    fn is_somewhere(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Nowhere)
    }

    fn text(&self) -> String {
        match self {
            Self::Nothing | Self::Nowhere => "-".to_string(),
            Self::Everywhere => "v".to_string(),
            Self::Items(of) => format!("[{}]", of.text()),
            Self::Fields(of) => format!("{{{}}}", of.text()),
            Self::Tuple(all) => format!("({})", all.iter().map(Self::text).collect::<String>()),
        }
    }

    /// Gives the places in what is either of two.
    fn or(self, other: Self) -> Found {
        match (self, other) {
            (Self::Nothing, one) | (one, Self::Nothing) => Ok(one),
            (one, other) if one == other => Ok(one),
            // texts that stand where an aggregate may stand are left alone
            (one @ (Self::Items(_) | Self::Fields(_)), Self::Nowhere)
            | (Self::Nowhere, one @ (Self::Items(_) | Self::Fields(_))) => Ok(one),
            (one, other) => Err(format!("values cannot be told from other texts: {one:?} or {other:?}")),
        }
    }
}

type Found = std::result::Result<Places, String>;

/// Looks for values in shapes.
struct Finder<'a> {
    aliases: &'a Aliases,
    /// Named shapes that are being looked at: some contain themselves.
    open: Vec<&'a str>,
}

impl<'a> Finder<'a> {
    fn shape(&mut self, shape: &'a Shape) -> Found {
        match shape {
            Shape::Word(Word::Value) => Ok(Places::Everywhere),
            Shape::Word(
                Word::Int
                | Word::Num
                | Word::Double
                | Word::Bool
                | Word::Ok
                | Word::Null
                | Word::Empty
                | Word::Skip,
            ) => Ok(Places::Nothing),
            Shape::Word(_) | Shape::Literal(_) | Shape::Json(None) => Ok(Places::Nowhere),
            Shape::Optional(shape) | Shape::Wrap3(shape) | Shape::Only(shape) | Shape::Json(Some(shape)) => {
                self.shape(shape)
            }
            Shape::Array(shape) | Shape::Set(shape) => Ok(items(self.shape(shape)?)),
            Shape::Union(all) => self.any(all),
            Shape::Case(branches) => self.any(branches.iter().map(|branch| &branch.1)),
            Shape::Pairs(key, value) => Ok(match (self.shape(key)?, self.shape(value)?) {
                (Places::Nowhere, value) if value.is_somewhere() => Places::Fields(value.into()),
                (key, value) => items(tuple(vec![key, value])),
            }),
            Shape::Map(key, value) => {
                self.none([&**key])?;
                Ok(match self.shape(value)? {
                    places if places.is_somewhere() => Places::Fields(places.into()),
                    _ => Places::Nowhere,
                })
            }
            Shape::Tuple(all) if all.iter().all(|item| matches!(item.content, Content::One(_))) => {
                Ok(tuple(parts(all).map(|shape| self.shape(shape)).collect::<std::result::Result<_, _>>()?))
            }
            Shape::Tuple(items) | Shape::Record(items) | Shape::Push(items) => self.none(parts(items)),
            Shape::Keyed(key, items) => self.none(parts(std::slice::from_ref(key)).chain(parts(items))),
            Shape::By(_, shape) => self.none([&**shape]),
            Shape::Struct(fields, others) => {
                self.none(fields.iter().map(|field| &field.shape).chain(others.as_deref()))
            }
            Shape::Alias(name) if self.open.contains(&name.as_str()) => Ok(Places::Nothing),
            Shape::Alias(name) => {
                self.open.push(name);
                let places = self.shape(&self.aliases[name]);
                self.open.pop();
                places
            }
        }
    }

    fn any(&mut self, all: impl IntoIterator<Item = &'a Shape>) -> Found {
        all.into_iter().try_fold(Places::Nothing, |places, one| places.or(self.shape(one)?))
    }

    /// Takes the parts of what the notation has no places in.
    fn none(&mut self, all: impl IntoIterator<Item = &'a Shape>) -> Found {
        for shape in all {
            if self.shape(shape)?.is_somewhere() {
                return Err(format!("there is no way to tell where {shape} stands"));
            }
        }
        Ok(Places::Nowhere)
    }
}

/// Gives the shapes of all items.
fn parts<'a>(items: &'a [Item]) -> Box<dyn Iterator<Item = &'a Shape> + 'a> {
    Box::new(items.iter().flat_map(|item| match &item.content {
        Content::One(shape) | Content::Rest(shape) => Box::new(std::iter::once(shape)),
        Content::Group(items) => parts(items),
    }))
}

fn items(of: Places) -> Places {
    if matches!(of, Places::Tuple(_) | Places::Items(_) | Places::Fields(_)) {
        Places::Items(of.into())
    } else {
        of
    }
}

fn tuple(all: Vec<Places>) -> Places {
    if all.iter().all(|one| *one == Places::Nothing) {
        Places::Nothing
    } else if all.iter().all(|one| matches!(one, Places::Nothing | Places::Everywhere)) {
        Places::Everywhere
    } else if all.iter().any(Places::is_somewhere) {
        Places::Tuple(all)
    } else {
        Places::Nowhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_from_keys_names_and_texts() {
        let streams = shape::parse("tuple(id:text,fields:map<bulk,value>?)").expect("a shape");
        let aliases = Aliases::from([("entry".to_string(), streams)]);
        let find = |text: &str| {
            let shape = shape::parse(text).expect("a shape");
            let mut finder = Finder { aliases: &aliases, open: Vec::new() };
            finder.shape(&shape).map(|places| places.text())
        };
        for (text, expected) in [
            ("int", "-"),
            ("bulk?", "-"),
            ("case{GET: value?; *: ok?}", "v"),
            ("pairs<value,double>", "v"),
            ("tuple(key:bulk,elements:array<value>)?", "(-v)"),
            ("map<bulk,value>", "{v}"),
            ("case{WITHVALUES: map<bulk,value>; .options: array<bulk>; *: bulk?}", "{v}"),
            ("case{-count: pairs<bulk,value>; *: map<bulk,value>}", "{v}"),
            ("map<bulk,array<@entry>>?", "{[(-{v})]}"),
            (
                "tuple(cursor:text,entries:case{JUSTID: array<text>; *: array<@entry?>},deleted?:array<text>)",
                "(-[(-{v})]-)",
            ),
            ("struct{entries:array<text>,*:any}", "-"),
        ] {
            assert_eq!(find(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["case{A: value; *: bulk}", "map<value,int>", "struct{first:@entry}"] {
            assert!(find(text).is_err(), "{text}");
        }
    }
}
