//! `core/src/shape/programs.rs`: reply shapes as static programs, and what to look for in a command's words to choose among them.

use super::facts::{Command, Facts, Kind, Node};
use super::reply_types::Aliases;
use super::shape::{Condition, Content, Field, Item, Shape, Test, Word, parse};
use crate::run::{Context, Failure, Result};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

/// Gives the text of the file.
pub(crate) fn programs(facts: &Facts) -> Result<String> {
    let aliases = aliases(facts)?;
    let mut programs = Programs::new(&aliases);
    let mut replies = vec!["0".to_string()];
    for command in &facts.commands {
        let shape = parse(&command.reply).map_err(Failure).context(command.name.clone())?;
        replies.push(programs.command(command, &shape).context(command.name.clone())?);
    }
    Ok(programs.text(&replies))
}

/// Gives the shapes that have a name.
pub(crate) fn aliases(facts: &Facts) -> Result<Aliases> {
    let parsed = |(name, text): (&String, &String)| {
        Ok((name.clone(), parse(text).map_err(Failure).context(format!("@{name}"))?))
    };
    facts.shapes.iter().map(parsed).collect()
}

/// The bit that says that the link speaks RESP2.
const RESP2: u8 = 0x80;

// as in `core/src/shape/scan.rs`
const SENT: u8 = 0;
const LAST: u8 = 1;
const COUNTED: u8 = 4;
const REST: u8 = 5;

/// Entries of tables, each once.
#[derive(Default)]
struct Table {
    rows: Vec<String>,
    places: HashMap<Vec<String>, usize>,
}

impl Table {
    fn one(&mut self, row: String) -> usize {
        self.all(vec![row])
    }

    fn all(&mut self, rows: Vec<String>) -> usize {
        *self.places.entry(rows).or_insert_with_key(|rows| {
            self.rows.extend_from_slice(rows);
            self.rows.len() - rows.len()
        })
    }
}

/// Bytes that others are found among, wherever they begin.
#[derive(Default)]
struct Stream {
    all: Vec<u8>,
    /// Where the stretches end that the bytes were made of.
    ends: Vec<usize>,
}

impl Stream {
    fn place(&mut self, bytes: &[u8]) -> usize {
        if let Some(place) = self.all.windows(bytes.len().max(1)).position(|there| there == bytes) {
            return place;
        }
        self.all.extend_from_slice(bytes);
        self.ends.push(self.all.len());
        self.all.len() - bytes.len()
    }
}

/// The bits of a command's tests.
type Bits = BTreeMap<String, u8>;

struct Programs<'a> {
    aliases: &'a Aliases,
    nodes: Table,
    items: Table,
    fields: Stream,
    tests: Table,
    scans: Table,
    scripts: Stream,
    /// Places of shapes that contain themselves.
    recursive: HashMap<String, usize>,
}

impl<'a> Programs<'a> {
    fn new(aliases: &'a Aliases) -> Self {
        let mut new = Self {
            aliases,
            nodes: Table::default(),
            items: Table::default(),
            fields: Stream::default(),
            tests: Table::default(),
            scans: Table::default(),
            scripts: Stream::default(),
            recursive: HashMap::new(),
        };
        // as in `core/src/shape`
        for known in ["Any", "Skip", "Name", "Bulk", "Int", "Number", "Status"] {
            new.node(known.to_string());
        }
        new.tests.one("Test { any: 0, all: 0, none: 0 }".to_string());
        new
    }

    fn node(&mut self, text: String) -> usize {
        self.nodes.one(format!("Node::{text}"))
    }

    fn command(&mut self, command: &Command, shape: &Shape) -> Result<String> {
        let mut tests = Vec::new();
        self.collect(shape, &mut tests, &mut Vec::new());
        if tests.len() > 7 {
            return Err(Failure("more than seven conditions".to_string()));
        }
        let bits: Bits =
            tests.iter().enumerate().map(|(bit, test)| (format!("{test:?}"), 1 << bit)).collect();
        let node = self.shape(shape, &bits)?;
        if tests.is_empty() {
            return Ok(format!("{node}"));
        }
        let (least, script) = self.scan(command, &tests)?;
        // 0 is for nothing
        let scan = 1 + self.scans.one(format!("Scan {{ least: {least}, node: {node}, script: {script} }}"));
        let plain = self.settled(node);
        if self.nodes.rows.len() > 1 << 9 || scan >= 1 << 7 {
            return Err(Failure("more nodes or scripts than a reply can name".to_string()));
        }
        Ok(if plain == 0 { format!("{scan} << 9") } else { format!("{plain} | {scan} << 9") })
    }

    /// Gives what a node comes to when none of the tests but those of the protocol holds.
    fn settled(&self, mut node: usize) -> usize {
        while let Some(case) = self.nodes.rows[node].strip_prefix("Node::Case(") {
            let numbers = |text: &str| -> Vec<usize> {
                text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
            };
            let (case, test) = (numbers(case), |place: usize| numbers(&self.tests.rows[place]));
            node = match (case.as_slice(), case.first().map(|place| test(*place)).as_deref()) {
                (_, Some([any, all, none])) if (any | all | none) & usize::from(RESP2) != 0 => break,
                ([_, yes, _], Some([0, 0, _])) => *yes,
                ([_, _, no], _) => *no,
                _ => break,
            };
        }
        node
    }

    /// Gathers the tests that a command's words decide.
    fn collect(&self, shape: &Shape, tests: &mut Vec<Test>, seen: &mut Vec<String>) {
        let text = shape.to_string();
        let mut conditions = Vec::new();
        shape.with_cases(&mut |branches| {
            conditions.extend(branches.iter().map(|branch| branch.0.clone()));
            None
        });
        visit_items(shape, &mut |item| conditions.extend(item.when.clone()));
        for test in conditions.iter().flat_map(Condition::tests) {
            if !matches!(test, Test::Resp2 | Test::Resp3 | Test::Subscribed) && !tests.contains(test) {
                tests.push(test.clone());
            }
        }
        for (name, shape) in self.aliases {
            if text.contains(&format!("@{name}")) && !seen.contains(name) {
                seen.push(name.clone());
                self.collect(shape, tests, seen);
            }
        }
    }

    fn shape(&mut self, shape: &Shape, bits: &Bits) -> Result<usize> {
        let text = match shape {
            Shape::Word(Word::Bare) => format!("Array({})", self.node("Text".to_string())),
            Shape::Word(Word::Warnings) => {
                let text = self.node("Text".to_string());
                format!("Filled({})", self.node(format!("Array({text})")))
            }
            Shape::Word(Word::Correction) => format!("Swapped({})", self.node("Bulk".to_string())),
            Shape::Word(word) => match word {
                Word::Int => "Int",
                Word::Bool => "Bool",
                Word::Double => "Double",
                Word::Num => "Number",
                Word::Bulk | Word::Value => "Bulk",
                Word::Bytes => "Blob",
                Word::Text | Word::Simple => "Text",
                Word::Ok => "Status",
                Word::Null | Word::Any | Word::None | Word::Error | Word::Empty => "Any",
                Word::Skip => "Skip",
                Word::Info => "Parsed(Format::Info)",
                Word::ClientList => "Parsed(Format::ClientList)",
                Word::ClientInfo => "Parsed(Format::ClientInfo)",
                Word::ClusterNodes => "Parsed(Format::ClusterNodes)",
                Word::ClusterNode => "Parsed(Format::ClusterNode)",
                Word::Flags => "Parsed(Format::Flags)",
                Word::SentinelFlags => "Parsed(Format::SentinelFlags)",
                Word::Bare | Word::Correction | Word::Warnings => {
                    return Err(Failure("no word".to_string()));
                }
            }
            .to_string(),
            Shape::Literal(_) => "Text".to_string(),
            Shape::Json(None) => "Bulk".to_string(),
            Shape::Json(Some(inner)) if matches!(**inner, Shape::Array(_)) => {
                format!("Numbers({})", self.shape(inner, bits)?)
            }
            Shape::Json(Some(inner)) => return self.shape(inner, bits),
            Shape::Alias(name) => return self.alias(name, bits),
            Shape::Optional(inner) => {
                let id = self.shape(inner, bits)?;
                // a scalar may always be null
                match self.nodes.rows[id].split_once('(').map_or("", |(kind, _)| kind) {
                    "" | "Node::Parsed" | "Node::Tuple" | "Node::Struct" | "Node::Record" => return Ok(id),
                    _ => format!("Optional({id})"),
                }
            }
            Shape::Union(all) => return self.union(all, bits),
            Shape::Array(inner) => format!("Array({})", self.shape(inner, bits)?),
            Shape::Set(inner) => format!("Set({})", self.shape(inner, bits)?),
            Shape::Wrap3(inner) => format!("Wrapped({})", self.shape(inner, bits)?),
            Shape::Only(inner) => format!("Only({})", self.shape(inner, bits)?),
            Shape::Map(key, value) => {
                format!("Map({}, {})", self.shape(key, bits)?, self.shape(value, bits)?)
            }
            Shape::Pairs(key, value) => {
                format!("Pairs({}, {})", self.shape(key, bits)?, self.shape(value, bits)?)
            }
            Shape::By(name, inner) => match self.shape(inner, bits)? {
                id if self.nodes.rows[id].starts_with("Node::Struct(") && first_name(inner) == Some(name) => {
                    let indexed = self.nodes.rows[id].replace("Node::Struct", "Indexed");
                    format!("By({})", self.node(indexed))
                }
                _ => return Err(Failure(format!("by<{name},...> needs a struct whose first field that is"))),
            },
            Shape::Tuple(items) | Shape::Push(items) => self.tuple(items, bits)?,
            Shape::Record(items) => self.record(items, bits)?,
            Shape::Keyed(key, items) => {
                let Content::One(key) = &key.content else {
                    return Err(Failure("a key is one value".to_string()));
                };
                let (key, tuple) = (self.shape(key, bits)?, self.tuple(items, bits)?);
                format!("Keyed({key}, {})", self.node(tuple))
            }
            Shape::Struct(fields, others) => {
                let rest = others.as_deref();
                // what nobody knows of is the server's own text, and so need not be known of
                let text = Shape::Word(Word::Text);
                let loose = rest.is_none_or(|shape| *shape == Shape::Word(Word::Any));
                let bare = fields.iter().any(|field| field.shape == Shape::Word(Word::Bare));
                let known = |(place, field): &(usize, &Field)| {
                    *place == 0 || !loose || bare || field.names.len() > 1 || field.shape != text
                };
                let mut all = Vec::new();
                for (_, field) in fields.iter().enumerate().filter(known) {
                    all.push((field.names.join("|"), self.shape(&field.shape, bits)?));
                }
                let others = if loose {
                    self.shape(&text, bits)?
                } else {
                    rest.map_or(Ok(0), |shape| self.shape(shape, bits))?
                };
                let dropped = fields.iter().map(|field| &field.shape).chain(rest);
                // how many fields are told is known at the end
                let sparse = dropped.into_iter().any(|shape| {
                    matches!(shape, Shape::Word(Word::Skip | Word::SentinelFlags | Word::Warnings))
                });
                let kind = match (sparse, bare) {
                    (_, true) => "Bare",
                    (true, _) => "Sparse",
                    _ => "Struct",
                };
                format!("{kind}({}, {}, {others})", all.len(), self.fields(&all)?)
            }
            Shape::Case(branches) => return self.case(branches, bits),
        };
        Ok(self.node(text))
    }

    fn alias(&mut self, name: &str, bits: &Bits) -> Result<usize> {
        if let Some(&place) = self.recursive.get(name) {
            return Ok(place);
        }
        let aliases = self.aliases;
        let shape = aliases.get(name).ok_or_else(|| Failure(format!("no shape @{name}")))?;
        if !shape.to_string().contains(&format!("@{name}")) {
            return self.shape(shape, bits);
        }
        let place = self.nodes.rows.len();
        self.nodes.rows.push("Node::Any".to_string());
        self.recursive.insert(name.to_string(), place);
        let id = self.shape(shape, bits)?;
        self.nodes.rows[place] = self.nodes.rows[id].clone();
        Ok(place)
    }

    fn union(&mut self, all: &[Shape], bits: &Bits) -> Result<usize> {
        if let [Shape::Word(Word::Empty), inner] = all {
            let inner = self.shape(inner, bits)?;
            return Ok(self.node(format!("EmptyOr({inner})")));
        }
        let many = |shape: &&Shape| {
            matches!(
                shape,
                Shape::Array(_)
                    | Shape::Set(_)
                    | Shape::Map(..)
                    | Shape::Pairs(..)
                    | Shape::Tuple(_)
                    | Shape::Only(_)
                    | Shape::Struct(..)
            )
        };
        // errors and statuses come through whatever is expected
        let scalar = all
            .iter()
            .filter(|shape| !many(shape))
            .find(|shape| !matches!(shape, Shape::Word(Word::Error | Word::Simple) | Shape::Literal(_)));
        let mut aggregates = all.iter().filter(many).rev();
        let Some(last) = aggregates.next() else {
            return self.shape(scalar.unwrap_or(&Shape::Word(Word::Text)), bits);
        };
        let mut id = self.shape(last, bits)?;
        for shape in aggregates {
            let count = match shape {
                Shape::Tuple(items) => items.len(),
                Shape::Only(_) => 1,
                _ => return Err(Failure("alternatives cannot be told apart".to_string())),
            };
            let this = self.shape(shape, bits)?;
            id = self.node(format!("Arity({count}, {this}, {id})"));
        }
        match scalar {
            None => Ok(id),
            Some(scalar) => {
                let one = self.shape(scalar, bits)?;
                Ok(self.node(format!("Either({one}, {id})")))
            }
        }
    }

    fn case(&mut self, branches: &[(Condition, Shape)], bits: &Bits) -> Result<usize> {
        let [(condition, shape), others @ ..] = branches else {
            return Err(Failure("a case without a branch".to_string()));
        };
        let yes = self.shape(shape, bits)?;
        if condition.is_else() {
            return Ok(yes);
        }
        let no = self.case(others, bits)?;
        let test = self.test(condition, bits)?;
        Ok(self.node(format!("Case({test}, {yes}, {no})")))
    }

    fn test(&mut self, condition: &Condition, bits: &Bits) -> Result<usize> {
        let (mut any, mut all, mut none) = (0, 0, 0);
        let bit = |test: &Test| match test {
            Test::Resp2 | Test::Resp3 => RESP2,
            test => bits.get(&format!("{test:?}")).copied().unwrap_or(0),
        };
        match condition.0.as_slice() {
            [terms] => {
                for term in terms {
                    if term.negated ^ (term.test == Test::Resp3) {
                        none |= bit(&term.test);
                    } else {
                        all |= bit(&term.test);
                    }
                }
            }
            alternatives => {
                for terms in alternatives {
                    match terms.as_slice() {
                        [term] if !term.negated => any |= bit(&term.test),
                        _ => return Err(Failure(format!("{condition} is more than a test can say"))),
                    }
                }
            }
        }
        Ok(self.tests.one(format!("Test {{ any: {any}, all: {all}, none: {none} }}")))
    }

    fn tuple(&mut self, items: &[Item], bits: &Bits) -> Result<String> {
        let start = self.items(items, bits, Self::tuple)?;
        Ok(format!("Tuple({}, {start})", items.len()))
    }

    fn record(&mut self, items: &[Item], bits: &Bits) -> Result<String> {
        let start = self.items(items, bits, Self::record)?;
        let names: Vec<_> = items.iter().map(|item| (item.name.clone().unwrap_or_default(), 0)).collect();
        Ok(format!("Record({}, {start}, {})", items.len(), self.fields(&names)?))
    }

    fn items(
        &mut self,
        items: &[Item],
        bits: &Bits,
        group: impl Fn(&mut Self, &[Item], &Bits) -> Result<String>,
    ) -> Result<usize> {
        let mut rows = Vec::new();
        for item in items {
            let when = item.when.as_ref().map_or(Ok(0), |condition| self.test(condition, bits))?;
            let (takes, node) = match &item.content {
                Content::One(shape) => ("One", self.shape(shape, bits)?),
                Content::Rest(shape) => ("Rest", self.shape(shape, bits)?),
                Content::Group(items) => {
                    let group = group(self, items, bits)?;
                    ("Groups", self.node(group))
                }
            };
            rows.push(format!("Item {{ when: {when}, takes: Takes::{takes}, node: {node} }}"));
        }
        Ok(self.items.all(rows))
    }

    /// Places fields: the name of each, then its node, whose high byte ends the name.
    fn fields(&mut self, fields: &[(String, usize)]) -> Result<usize> {
        let mut bytes = Vec::new();
        for (name, node) in fields {
            let node = u16::try_from(*node).ok().filter(|node| node >> 8 < 32);
            let node = node.ok_or_else(|| Failure(format!("{name}: too many nodes")))?;
            bytes.extend(name.bytes().chain(node.to_be_bytes()));
        }
        Ok(self.fields.place(&bytes))
    }

    fn scan(&mut self, command: &Command, tests: &[Test]) -> Result<(u8, usize)> {
        let mut probes = Vec::new();
        let mut wanted: Vec<(&str, u8)> = Vec::new();
        for (bit, test) in tests.iter().enumerate() {
            let bit = 1u8 << bit;
            let (name, kind) = match test {
                Test::Token(token) => {
                    wanted.push((token, bit));
                    continue;
                }
                Test::Sent(name) => (name, SENT),
                Test::Path(name) => (name, b'$'),
                Test::Negative(name) => (name, b'-'),
                _ => continue,
            };
            let (place, alternative) =
                place(&command.args, name).ok_or_else(|| Failure(format!("no argument {name}")))?;
            probes.extend([place, bit, if alternative { LAST } else { kind }]);
        }
        let (mut lead, mut counted, mut from) = (0, None, 0);
        for (index, node) in command.args.iter().enumerate() {
            if node.optional || wanted.iter().any(|(token, _)| holds(node, token)) {
                break;
            }
            if node.multiple && index > 0 && command.args[index - 1].counts.is_some() {
                counted = Some(lead - 1);
            } else if let Some(width) = width(node) {
                lead += width;
            } else {
                break;
            }
            from = index + 1;
        }
        let mut tokens = Vec::new();
        if !wanted.is_empty() {
            command.args[from..].iter().for_each(|node| gather(node, &mut tokens));
        }
        let counted = counted.unwrap_or(u8::MAX);
        // a word that takes none with it matters only where it decides something
        let (mut names, mut options) = (Vec::new(), 0);
        for (token, own) in tokens {
            let bit = wanted.iter().find(|(name, _)| *name == token).map_or(0, |(_, bit)| *bit);
            if bit > 0 || own > 0 {
                options += 1;
                names.extend([token.len() as u8, bit, own]);
                names.extend(token.bytes());
            }
        }
        let script = [&[probes.len() as u8 / 3][..], &probes, &[lead, counted, options], &names].concat();
        let probed = probes.chunks(3).map(|probe| probe[0]).min();
        let least = probed.into_iter().chain((options > 0).then_some(lead)).min().unwrap_or(u8::MAX - 1) + 1;
        Ok((least, self.scripts.place(&script)))
    }

    fn text(&self, replies: &[String]) -> String {
        let mut text = "//! Generated by `cargo xtask codegen` from `core/commands/`.\n\n".to_string();
        text += "use super::scan::Scan;\n";
        text += "use super::{Format, Item, Node, Takes, Test};\n";
        let mut table = |name: &str, of: &str, about: &str, rows: &[String]| {
            let _ = write!(text, "\n/// {about}\npub(super) static {name}: &[{of}] = &[\n");
            for row in rows {
                let _ = writeln!(text, "    {row},");
            }
            text += "];\n";
        };
        table("REPLIES", "u16", "The nodes of all rows' replies, and what decides more.", replies);
        table("SCANS", "Scan", "What decides a reply's shape, counted from 1.", &self.scans.rows);
        table("TESTS", "Test", "What branches and items depend on.", &self.tests.rows);
        table("NODES", "Node", "What values are.", &self.nodes.rows);
        table("ITEMS", "Item", "Elements of tuples.", &self.items.rows);
        let mut stream = |name: &str, about: &str, stream: &Stream| {
            let _ = write!(text, "\n/// {about}\npub(super) static {name}: &[u8] = b\"\\\n");
            let mut start = 0;
            for end in &stream.ends {
                let _ = writeln!(text, "{}\\", stream.all[start..*end].escape_ascii());
                start = *end;
            }
            text += "\";\n";
        };
        stream("SCRIPTS", "What to look for in a command's words.", &self.scripts);
        stream("FIELDS", "Names of fields, each followed by its node.", &self.fields);
        text
    }
}

fn visit_items(shape: &Shape, visit: &mut impl FnMut(&Item)) {
    match shape {
        Shape::Optional(inner)
        | Shape::Array(inner)
        | Shape::Set(inner)
        | Shape::Wrap3(inner)
        | Shape::Only(inner)
        | Shape::Json(Some(inner))
        | Shape::By(_, inner) => visit_items(inner, visit),
        Shape::Map(one, two) | Shape::Pairs(one, two) => {
            visit_items(one, visit);
            visit_items(two, visit);
        }
        Shape::Union(all) => all.iter().for_each(|shape| visit_items(shape, visit)),
        Shape::Case(branches) => branches.iter().for_each(|branch| visit_items(&branch.1, visit)),
        Shape::Struct(fields, _) => fields.iter().for_each(|field| visit_items(&field.shape, visit)),
        Shape::Tuple(items) | Shape::Record(items) | Shape::Push(items) | Shape::Keyed(_, items) => {
            each_item(items, visit);
        }
        Shape::Word(_) | Shape::Literal(_) | Shape::Alias(_) | Shape::Json(None) => {}
    }
}

fn each_item(items: &[Item], visit: &mut impl FnMut(&Item)) {
    for item in items {
        visit(item);
        match &item.content {
            Content::One(shape) | Content::Rest(shape) => visit_items(shape, visit),
            Content::Group(items) => each_item(items, visit),
        }
    }
}

fn first_name(shape: &Shape) -> Option<&String> {
    match shape {
        Shape::Struct(fields, _) => fields.first().and_then(|field| field.names.first()),
        _ => None,
    }
}

/// Gives how many words a node is; `None` when that varies.
fn width(node: &Node) -> Option<u8> {
    let token = u8::from(node.token.as_ref().is_some_and(|token| !token.is_empty()));
    if node.multiple {
        return None;
    }
    let value = match node.kind {
        Kind::PureToken => 0,
        Kind::Block => {
            let widths = node.arguments.iter().map(|part| if part.optional { None } else { width(part) });
            widths.sum::<Option<u8>>()?
        }
        Kind::Oneof => {
            let widths: Option<Vec<u8>> = node.arguments.iter().map(width).collect();
            let widths = widths?;
            let first = *widths.first()?;
            widths.iter().all(|&width| width == first).then_some(first)?
        }
        _ => 1,
    };
    Some(token + value)
}

fn holds(node: &Node, token: &str) -> bool {
    node.token.as_deref() == Some(token) || node.arguments.iter().any(|part| holds(part, token))
}

/// Gives where an argument's words begin, and whether it is one of several alternatives.
fn place(args: &[Node], name: &str) -> Option<(u8, bool)> {
    let mut at = 0;
    for node in args {
        if node.name == name {
            return Some((at, false));
        }
        if node.arguments.iter().any(|part| part.name == name) {
            return Some((at, node.kind == Kind::Oneof));
        }
        let option = node.optional && node.token.is_some();
        at += if option { 0 } else { width(node)? };
    }
    None
}

/// Gathers the tokens of a node and its parts, with the words that each takes along.
fn gather(node: &Node, tokens: &mut Vec<(String, u8)>) {
    let counted = |parts: &[Node]| parts.first().is_some_and(|part| part.counts.is_some());
    if let Some(token) = node.token.as_ref().filter(|token| !token.is_empty()) {
        let repeated = node.multiple && !node.multiple_token;
        let plain = node.arguments.iter().take_while(|part| {
            !part.optional && !part.multiple && part.token.is_none() && part.kind != Kind::Oneof
        });
        let words = match node.kind {
            Kind::PureToken => 0,
            Kind::Block if counted(&node.arguments) => COUNTED,
            Kind::Block if node.arguments.iter().filter(|part| part.multiple).count() > 1 => REST,
            Kind::Block => plain.count().min(3) as u8,
            _ if repeated && node.counts.is_none() => 1,
            // a count under a token, of what stands behind it
            _ if node.counts.is_some() => COUNTED,
            _ => 1,
        };
        if !tokens.iter().any(|known| known.0 == *token) {
            tokens.push((token.clone(), words));
        }
    }
    node.arguments.iter().for_each(|part| gather(part, tokens));
}
