//! The notation of reply shapes: text to tree and back.
//!
//! ```text
//! shape = alt { "|" alt }           the first alternative that fits
//! alt   = prim { "?" }              or null
//! prim  = word | "literal" | @alias | ( shape ) | constructor
//! ```
//!
//! What each word and constructor means stands in `docs/shapes.md`.

use std::fmt;

/// What a reply looks like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    Word(Word),
    Literal(String),
    Alias(String),
    Optional(Box<Self>),
    Union(Vec<Self>),
    Array(Box<Self>),
    Set(Box<Self>),
    Wrap3(Box<Self>),
    Only(Box<Self>),
    Json(Option<Box<Self>>),
    Map(Box<Self>, Box<Self>),
    Pairs(Box<Self>, Box<Self>),
    /// A list of structs that becomes a map from the value of a struct's first field, which has this name.
    By(String, Box<Self>),
    Tuple(Vec<Item>),
    /// A tuple on the wire, a struct for the user.
    Record(Vec<Item>),
    Push(Vec<Item>),
    Keyed(Box<Item>, Vec<Item>),
    Struct(Vec<Field>, Option<Box<Self>>),
    Case(Vec<(Condition, Self)>),
}

/// A shape without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    Int,
    Bool,
    Double,
    Num,
    /// User data.
    Bulk,
    /// User data that is what a key holds: adapters turn it into the user's own.
    Value,
    /// User data that is no text: bytes whatever the view.
    Bytes,
    Text,
    Simple,
    Ok,
    Null,
    Any,
    None,
    Error,
    Empty,
    /// Read and dropped.
    Skip,
    /// `INFO`'s text, parsed.
    Info,
    /// `CLIENT LIST`'s text.
    ClientList,
    /// One line of it.
    ClientInfo,
    /// `CLUSTER NODES`' text.
    ClusterNodes,
    /// One line of it.
    ClusterNode,
    /// Words between commas.
    Flags,
    /// The same of a Sentinel's node, and what they say as fields beside it.
    SentinelFlags,
    /// Texts; no field where there is none.
    Warnings,
    /// The names of a struct that have no value on RESP2; on RESP3 the server gives a list of them.
    Bare,
    /// A correction and its score.
    Correction,
}

const WORDS: [(&str, Word); 26] = [
    ("int", Word::Int),
    ("bool", Word::Bool),
    ("double", Word::Double),
    ("num", Word::Num),
    ("bulk", Word::Bulk),
    ("value", Word::Value),
    ("bytes", Word::Bytes),
    ("text", Word::Text),
    ("simple", Word::Simple),
    ("ok", Word::Ok),
    ("null", Word::Null),
    ("any", Word::Any),
    ("none", Word::None),
    ("error", Word::Error),
    ("empty", Word::Empty),
    ("skip", Word::Skip),
    ("info", Word::Info),
    ("clientlist", Word::ClientList),
    ("clientinfo", Word::ClientInfo),
    ("clusternodes", Word::ClusterNodes),
    ("clusternode", Word::ClusterNode),
    ("flags", Word::Flags),
    ("sentinelflags", Word::SentinelFlags),
    ("warnings", Word::Warnings),
    ("bare", Word::Bare),
    ("correction", Word::Correction),
];

/// An element of a tuple.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    pub(crate) name: Option<String>,
    /// It is there only if this holds.
    pub(crate) when: Option<Condition>,
    /// It may be missing at the end.
    pub(crate) optional: bool,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    One(Shape),
    /// All elements that remain.
    Rest(Shape),
    /// These, again and again to the end.
    Group(Vec<Item>),
}

/// A field of a struct.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Field {
    /// The name, then other spellings. One that ends in `*` stands for every name that begins so.
    pub(crate) names: Vec<String>,
    pub(crate) optional: bool,
    pub(crate) shape: Shape,
}

/// When a branch is taken: alternatives of terms that hold together; no alternative stands for "else".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Condition(pub(crate) Vec<Vec<Term>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Term {
    pub(crate) negated: bool,
    pub(crate) test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    /// This token was sent.
    Token(String),
    /// `.name`: the argument was sent.
    Sent(String),
    /// `$name`: it was sent and begins with `$`.
    Path(String),
    /// `-name`: it was sent and begins with `-`.
    Negative(String),
    Resp2,
    Resp3,
    Subscribed,
}

impl Condition {
    pub(crate) fn is_else(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tests(&self) -> impl Iterator<Item = &Test> {
        self.0.iter().flatten().map(|term| &term.test)
    }

    /// Tells whether it depends on the link alone, not on the command.
    pub(crate) fn is_protocol(&self) -> bool {
        !self.is_else()
            && self.tests().all(|test| matches!(test, Test::Resp2 | Test::Resp3 | Test::Subscribed))
    }
}

/// Replaces a choice among branches, or leaves it.
type Choose<'a> = dyn FnMut(&[(Condition, Shape)]) -> Option<Shape> + 'a;

impl Shape {
    /// Gives a copy in which `choose` replaces each choice among branches that it wants to.
    pub(crate) fn with_cases(&self, choose: &mut Choose<'_>) -> Self {
        let mut boxed = |shape: &Self| Box::new(shape.with_cases(choose));
        match self {
            Self::Word(_) | Self::Literal(_) | Self::Alias(_) | Self::Json(None) => self.clone(),
            Self::Optional(shape) => Self::Optional(boxed(shape)),
            Self::Array(shape) => Self::Array(boxed(shape)),
            Self::Set(shape) => Self::Set(boxed(shape)),
            Self::Wrap3(shape) => Self::Wrap3(boxed(shape)),
            Self::Only(shape) => Self::Only(boxed(shape)),
            Self::Json(Some(shape)) => Self::Json(Some(boxed(shape))),
            Self::By(name, shape) => Self::By(name.clone(), boxed(shape)),
            Self::Map(key, value) => Self::Map(boxed(key), boxed(value)),
            Self::Pairs(key, value) => Self::Pairs(boxed(key), boxed(value)),
            Self::Union(all) => Self::Union(all.iter().map(|shape| shape.with_cases(choose)).collect()),
            Self::Tuple(items) => Self::Tuple(items_with_cases(items, choose)),
            Self::Record(items) => Self::Record(items_with_cases(items, choose)),
            Self::Push(items) => Self::Push(items_with_cases(items, choose)),
            Self::Keyed(key, items) => Self::Keyed(key.clone(), items_with_cases(items, choose)),
            Self::Struct(fields, others) => {
                let others = others.as_ref().map(|shape| boxed(shape));
                let field = |field: &Field| Field { shape: field.shape.with_cases(choose), ..field.clone() };
                Self::Struct(fields.iter().map(field).collect(), others)
            }
            Self::Case(branches) => choose(branches).unwrap_or_else(|| {
                let branch =
                    |(condition, shape): &(Condition, Self)| (condition.clone(), shape.with_cases(choose));
                Self::Case(branches.iter().map(branch).collect())
            }),
        }
    }
}

fn items_with_cases(items: &[Item], choose: &mut Choose<'_>) -> Vec<Item> {
    let item = |item: &Item| Item {
        content: match &item.content {
            Content::One(shape) => Content::One(shape.with_cases(choose)),
            Content::Rest(shape) => Content::Rest(shape.with_cases(choose)),
            Content::Group(items) => Content::Group(items_with_cases(items, choose)),
        },
        ..item.clone()
    };
    items.iter().map(item).collect()
}

/// Reads a shape.
pub(crate) fn parse(text: &str) -> Result<Shape, String> {
    let mut parser = Parser { text, at: 0 };
    let shape = parser.shape()?;
    if parser.rest().is_empty() { Ok(shape) } else { parser.fail("the end") }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

type Parsed<T> = Result<T, String>;

impl<'a> Parser<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start_matches(' ');
        self.at = self.text.len() - rest.len();
        rest
    }

    fn fail<T>(&self, wanted: &str) -> Parsed<T> {
        Err(format!("expected {wanted} at {} in {:?}", self.at, self.text))
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn need(&mut self, token: &str) -> Parsed<()> {
        if self.eat(token) { Ok(()) } else { self.fail(token) }
    }

    /// Takes the longest run of bytes that `belongs` accepts, given each one's place; empty if there is none.
    fn run(&mut self, belongs: impl Fn(usize, char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.char_indices().find(|&(at, char)| !belongs(at, char)).map_or(rest.len(), |(at, _)| at);
        self.at += end;
        &rest[..end]
    }

    fn quoted(&mut self) -> Parsed<Option<String>> {
        if !self.eat("\"") {
            return Ok(None);
        }
        let text = self.run(|_, char| char != '"');
        self.need("\"")?;
        Ok(Some(text.to_string()))
    }

    fn shape(&mut self) -> Parsed<Shape> {
        let first = self.alternative()?;
        let mut all = vec![first];
        while self.eat("|") {
            all.push(self.alternative()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Shape::Union(all) })
    }

    fn alternative(&mut self) -> Parsed<Shape> {
        let mut shape = self.primary()?;
        while self.eat("?") {
            shape = Shape::Optional(shape.into());
        }
        Ok(shape)
    }

    fn primary(&mut self) -> Parsed<Shape> {
        if self.eat("(") {
            let shape = self.shape()?;
            self.need(")")?;
            return Ok(shape);
        }
        if let Some(text) = self.quoted()? {
            return Ok(Shape::Literal(text));
        }
        if self.eat("@") {
            return Ok(Shape::Alias(self.run(|_, char| char.is_ascii_alphabetic()).to_string()));
        }
        let word = self.run(|at, char| char.is_ascii_lowercase() || at > 0 && char.is_ascii_digit());
        match word {
            "array" => self.angled().map(Shape::Array),
            "set" => self.angled().map(Shape::Set),
            "wrap3" => self.angled().map(Shape::Wrap3),
            "only" => self.angled().map(Shape::Only),
            "json" if self.rest().starts_with('<') => self.angled().map(|shape| Shape::Json(Some(shape))),
            "json" => Ok(Shape::Json(None)),
            "map" => self.two().map(|(key, value)| Shape::Map(key, value)),
            "pairs" => self.two().map(|(key, value)| Shape::Pairs(key, value)),
            "by" => {
                self.need("<")?;
                let name = self.name();
                self.need(",")?;
                let shape = self.shape()?;
                self.need(">")?;
                Ok(Shape::By(name.to_string(), shape.into()))
            }
            "tuple" => self.items().map(Shape::Tuple),
            "record" => self.items().map(Shape::Record),
            "push" => self.items().map(Shape::Push),
            "keyed" => {
                self.need("(")?;
                let key = self.item()?;
                self.need(";")?;
                Ok(Shape::Keyed(key.into(), self.items_after_open()?))
            }
            "struct" => self.fields(),
            "case" => self.case(),
            word => match WORDS.iter().find(|known| known.0 == word) {
                Some(known) => Ok(Shape::Word(known.1)),
                None => self.fail("a shape"),
            },
        }
    }

    fn angled(&mut self) -> Parsed<Box<Shape>> {
        self.need("<")?;
        let shape = self.shape()?;
        self.need(">")?;
        Ok(shape.into())
    }

    fn two(&mut self) -> Parsed<(Box<Shape>, Box<Shape>)> {
        self.need("<")?;
        let key = self.shape()?;
        self.need(",")?;
        let value = self.shape()?;
        self.need(">")?;
        Ok((key.into(), value.into()))
    }

    fn name(&mut self) -> &'a str {
        self.run(|at, char| {
            char.is_ascii_alphabetic()
                || char == '_'
                || at > 0 && (char.is_ascii_digit() || matches!(char, '-' | '.' | '|' | '*'))
        })
    }

    fn items(&mut self) -> Parsed<Vec<Item>> {
        self.need("(")?;
        self.items_after_open()
    }

    fn items_after_open(&mut self) -> Parsed<Vec<Item>> {
        let mut items = Vec::new();
        while !self.eat(")") {
            if !items.is_empty() {
                self.need(",")?;
            }
            items.push(self.item()?);
        }
        Ok(items)
    }

    fn item(&mut self) -> Parsed<Item> {
        let when = match self.eat("if(") {
            true => {
                let condition = self.condition()?;
                self.need(")")?;
                Some(condition)
            }
            false => None,
        };
        let repeated = self.eat("...");
        let start = self.at;
        let name = Some(self.name().to_string()).filter(|name| !name.is_empty());
        let grouped = repeated && self.rest().starts_with('(');
        if grouped && !matches!(name.as_deref(), Some("tuple" | "push" | "keyed")) {
            let items = self.items()?;
            return Ok(Item { name, when, optional: false, content: Content::Group(items) });
        }
        let optional = name.is_some() && self.eat("?:");
        let named = optional || name.is_some() && self.eat(":");
        if !named {
            self.at = start;
        }
        let shape = self.shape()?;
        let content = if repeated { Content::Rest(shape) } else { Content::One(shape) };
        Ok(Item { name: name.filter(|_| named), when, optional, content })
    }

    fn fields(&mut self) -> Parsed<Shape> {
        self.need("{")?;
        let (mut fields, mut others) = (Vec::new(), None);
        loop {
            if self.eat("*:") {
                others = Some(Box::new(self.shape()?));
            } else {
                let names = match self.quoted()? {
                    Some(name) => vec![name],
                    None => self.name().split('|').map(str::to_string).collect(),
                };
                let optional = self.eat("?");
                self.need(":")?;
                fields.push(Field { names, optional, shape: self.shape()? });
            }
            if self.eat("}") {
                return Ok(Shape::Struct(fields, others));
            }
            self.need(",")?;
        }
    }

    fn case(&mut self) -> Parsed<Shape> {
        self.need("{")?;
        let mut branches = Vec::new();
        loop {
            let condition = self.condition()?;
            self.need(":")?;
            branches.push((condition, self.shape()?));
            if self.eat("}") {
                break;
            }
            self.need(";")?;
        }
        match branches.last() {
            Some((condition, _)) if condition.is_else() => Ok(Shape::Case(branches)),
            _ => self.fail("a branch for all else"),
        }
    }

    fn condition(&mut self) -> Parsed<Condition> {
        if self.eat("*") {
            return Ok(Condition(Vec::new()));
        }
        let text = self.run(|_, char| char.is_ascii_alphanumeric() || "_.$!&|-".contains(char));
        let alternatives = text.split('|').map(|all| all.split('&').map(term).collect());
        alternatives.collect::<Option<_>>().map(Condition).map_or_else(|| self.fail("a condition"), Ok)
    }
}

fn term(text: &str) -> Option<Term> {
    let bare = text.strip_prefix('!').unwrap_or(text);
    let named = |prefix| bare.strip_prefix(prefix).map(str::to_string);
    let test = match bare {
        "" => return None,
        "resp2" => Test::Resp2,
        "resp3" => Test::Resp3,
        "subscribed" => Test::Subscribed,
        _ => None
            .or_else(|| named('.').map(Test::Sent))
            .or_else(|| named('$').map(Test::Path))
            .or_else(|| named('-').map(Test::Negative))
            .unwrap_or_else(|| Test::Token(bare.to_string())),
    };
    Some(Term { negated: bare.len() < text.len(), test })
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => {
                f.write_str(WORDS.iter().find(|known| known.1 == *word).map_or("", |known| known.0))
            }
            Self::Literal(text) => write!(f, "\"{text}\""),
            Self::Alias(name) => write!(f, "@{name}"),
            Self::Optional(shape) if matches!(**shape, Self::Union(_)) => write!(f, "({shape})?"),
            Self::Optional(shape) => write!(f, "{shape}?"),
            Self::Union(all) => separated(f, "|", all),
            Self::Array(shape) => write!(f, "array<{shape}>"),
            Self::Set(shape) => write!(f, "set<{shape}>"),
            Self::Wrap3(shape) => write!(f, "wrap3<{shape}>"),
            Self::Only(shape) => write!(f, "only<{shape}>"),
            Self::Json(None) => f.write_str("json"),
            Self::Json(Some(shape)) => write!(f, "json<{shape}>"),
            Self::Map(key, value) => write!(f, "map<{key},{value}>"),
            Self::Pairs(key, value) => write!(f, "pairs<{key},{value}>"),
            Self::By(name, shape) => write!(f, "by<{name},{shape}>"),
            Self::Tuple(items) => enclosed(f, "tuple(", items),
            Self::Record(items) => enclosed(f, "record(", items),
            Self::Push(items) => enclosed(f, "push(", items),
            Self::Keyed(key, items) => enclosed(f, &format!("keyed({key};"), items),
            Self::Struct(fields, others) => {
                f.write_str("struct{")?;
                separated(f, ",", fields)?;
                if let Some(shape) = others {
                    write!(f, "{}*:{shape}", if fields.is_empty() { "" } else { "," })?;
                }
                f.write_str("}")
            }
            Self::Case(branches) => {
                let branches: Vec<_> =
                    branches.iter().map(|(condition, shape)| format!("{condition}: {shape}")).collect();
                write!(f, "case{{{}}}", branches.join("; "))
            }
        }
    }
}

fn separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, separator: &str, all: &[T]) -> fmt::Result {
    let all: Vec<_> = all.iter().map(T::to_string).collect();
    f.write_str(&all.join(separator))
}

fn enclosed(f: &mut fmt::Formatter<'_>, open: &str, items: &[Item]) -> fmt::Result {
    f.write_str(open)?;
    separated(f, ",", items)?;
    f.write_str(")")
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(condition) = &self.when {
            write!(f, "if({condition}) ")?;
        }
        let dots = if matches!(self.content, Content::One(_)) { "" } else { "..." };
        let name = self.name.as_deref().unwrap_or_default();
        let colon = match &self.content {
            Content::Group(_) => "",
            _ if self.optional => "?:",
            _ if self.name.is_some() => ":",
            _ => "",
        };
        write!(f, "{dots}{name}{colon}")?;
        match &self.content {
            Content::One(shape) | Content::Rest(shape) => write!(f, "{shape}"),
            Content::Group(items) => enclosed(f, "(", items),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.names[0].contains(' ') { "\"" } else { "" };
        let mark = if self.optional { "?" } else { "" };
        write!(f, "{quote}{}{quote}{mark}:{}", self.names.join("|"), self.shape)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_else() {
            return f.write_str("*");
        }
        let all = |terms: &Vec<Term>| terms.iter().map(Term::to_string).collect::<Vec<_>>().join("&");
        f.write_str(&self.0.iter().map(all).collect::<Vec<_>>().join("|"))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negated { "!" } else { "" })?;
        match &self.test {
            Test::Token(name) => f.write_str(name),
            Test::Sent(name) => write!(f, ".{name}"),
            Test::Path(name) => write!(f, "${name}"),
            Test::Negative(name) => write!(f, "-{name}"),
            Test::Resp2 => f.write_str("resp2"),
            Test::Resp3 => f.write_str("resp3"),
            Test::Subscribed => f.write_str("subscribed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constructor_is_read_and_written_back() {
        for text in [
            "bulk?",
            "case{WITHSCORES: pairs<bulk,double>; *: array<bulk>}",
            "tuple(id:bulk,fields:pairs<bulk,bulk>?)",
            "keyed(element:bulk;score:double,attribs:json?)",
            "struct{a|b:int,\"Number of filters\"?:int?,db.*?:struct{x.y:int},*:any}",
            "tuple(total_results:int,...results(id:bulk,if(!NOCONTENT) extra:map<bulk,any>?))",
            "tuple(\"pong\",message:bulk)|empty|\"NOKEY\"",
            "array<(bool|error)?>",
            "case{resp2: json<array<num?>>; A&!B|$path|-count|.x: only<wrap3<int>>; *: by<name,struct{name:text}>}",
            "array<@cmdinfo?>",
            "tuple(...tuple(a:int),...values:double)",
        ] {
            assert_eq!(parse(text).map(|shape| shape.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        for text in ["", "bulk>", "array<bulk", "nothing", "case{A: int}", "tuple(a:int", "struct{a}"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
