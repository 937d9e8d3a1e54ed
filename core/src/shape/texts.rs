//! Texts that are made for people, as values.

use super::{Format, SAFE, number};
use crate::resp::{Aggregate, Event, Sink, Text, is_double};

impl Format {
    /// Tells the value that `text` stands for, whatever it is.
    pub(super) fn tell(self, text: &[u8], sink: &mut dyn Sink) {
        let lines = Pieces { rest: text, separator: b'\n' };
        match self {
            Self::Info => fields(lines, b':', sink),
            Self::ClientInfo | Self::ClusterNode => self.line(lines.clone().next().unwrap_or_default(), sink),
            Self::ClientList => {
                list(Aggregate::Array, lines, |line, sink| Self::ClientInfo.line(line, sink), sink)
            }
            Self::ClusterNodes => {
                list(Aggregate::Array, lines, |line, sink| Self::ClusterNode.line(line, sink), sink)
            }
            Self::Flags => list(Aggregate::Set, Pieces { rest: text, separator: b',' }, word, sink),
            Self::SentinelFlags => {
                Self::Flags.tell(text, sink);
                for (field, flag) in SENTINEL {
                    name(field, sink);
                    let mut flags = Pieces { rest: text, separator: b',' };
                    sink.event(Event::Boolean(flags.any(|one| one == flag)));
                }
            }
            Self::Numbers => match inside(text) {
                Some(all) => {
                    list(
                        Aggregate::Array,
                        all,
                        |one, sink| sink.event(json(one).unwrap_or(Event::Null)),
                        sink,
                    );
                }
                None => sink.event(Event::Text(Text::Bulk, text)),
            },
        }
    }

    fn line(self, line: &[u8], sink: &mut dyn Sink) {
        let words = Pieces { rest: line, separator: b' ' };
        if let Self::ClusterNode = self {
            cluster_node(words, sink);
        } else {
            fields(words, b'=', sink);
        }
    }
}

/// The parts of a text that are not empty, without white space around them.
#[derive(Clone)]
struct Pieces<'a> {
    rest: &'a [u8],
    separator: u8,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (piece, rest) = halves(self.rest, self.separator).unwrap_or((self.rest, &[]));
            self.rest = rest;
            let piece = piece.trim_ascii();
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        None
    }
}

#[inline(never)]
fn halves(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Tells an aggregate of all pieces, each as `tell` says.
#[inline(never)]
fn list(kind: Aggregate, pieces: Pieces<'_>, tell: fn(&[u8], &mut dyn Sink), sink: &mut dyn Sink) {
    open(kind, pieces.clone().count(), sink);
    pieces.for_each(|piece| tell(piece, sink));
    close(sink);
}

#[inline(never)]
fn open(kind: Aggregate, count: usize, sink: &mut dyn Sink) {
    sink.event(Event::Open(kind, u32::try_from(count).ok()));
}

#[inline(never)]
fn close(sink: &mut dyn Sink) {
    sink.event(Event::Close { streamed: false });
}

#[inline(never)]
fn word(text: &[u8], sink: &mut dyn Sink) {
    sink.event(Event::Text(Text::Simple, text));
}

#[inline(never)]
fn name(name: &'static str, sink: &mut dyn Sink) {
    sink.event(Event::Text(Text::Name, name.as_bytes()));
}

/// A number where it is written as one, else text.
#[inline(never)]
fn typed(text: &[u8], sink: &mut dyn Sink) {
    sink.event(match number::integer(text) {
        // one that is too large must not cost all the others
        Some(value) if value.unsigned_abs() > SAFE => Event::Exact(value),
        Some(value) => Event::Integer(value),
        None if number::is_decimal(text) => Event::Double(text),
        None => Event::Text(Text::Simple, text),
    });
}

/// Fields of clients and modules whose values are no numbers even where they look like some.
const NAMES: [&[u8]; 10] =
    [b"name", b"user", b"lib-name", b"lib-ver", b"addr", b"laddr", b"flags", b"events", b"cmd", b"ver"];

/// The ends of such fields of `INFO`, and of those that are paths or names of the user's.
const ENDS: [&[u8]; 10] = [
    b"run_id",
    b"build_id",
    b"sha1",
    b"replid",
    b"replid2",
    b"host",
    b"version",
    b"executable",
    b"_file",
    b"_zone",
];

/// What the flags of a Sentinel's node say.
const SENTINEL: [(&str, &[u8]); 7] = [
    ("is_master", b"master"),
    ("is_slave", b"slave"),
    ("is_sdown", b"s_down"),
    ("is_odown", b"o_down"),
    ("is_sentinel", b"sentinel"),
    ("is_disconnected", b"disconnected"),
    ("is_master_down", b"master_down"),
];

/// Loaded modules have a line each in `INFO`, all of this name.
const MODULE: &[u8] = b"module";

/// Takes the next part such as `name:value`, which is no title.
#[inline(never)]
fn pair<'a>(parts: &mut Pieces<'a>, assign: u8) -> Option<(&'a [u8], &'a [u8])> {
    loop {
        let part = parts.next()?;
        match halves(part, assign) {
            Some(pair) if part.first() != Some(&b'#') => return Some(pair),
            _ => {}
        }
    }
}

/// Tells such parts as fields; a value that is made of `name=value` parts itself, likewise. Those of one name that follow each other are
/// one field.
fn fields(parts: Pieces<'_>, assign: u8, sink: &mut dyn Sink) {
    let (mut count, mut last) = (0, None);
    let mut rest = parts.clone();
    while let Some((key, _)) = pair(&mut rest, assign) {
        count += usize::from(last.replace(key) != Some(key));
    }
    open(Aggregate::Struct, count, sink);
    let mut rest = parts;
    while let Some((key, value)) = pair(&mut rest, assign) {
        let mut next = again(key, &rest, assign);
        let listed = next.is_some() || key == MODULE;
        word(if key == MODULE { b"modules" } else { key }, sink);
        if listed {
            sink.event(Event::Open(Aggregate::Array, None));
        }
        field(key, value, assign, sink);
        while let Some((value, behind)) = next {
            field(key, value, assign, sink);
            rest = behind;
            next = again(key, &rest, assign);
        }
        if listed {
            sink.event(Event::Close { streamed: true });
        }
    }
    close(sink);
}

/// Gives the value of the next part if it has the same name, and what is behind it.
#[inline(never)]
fn again<'a>(key: &[u8], rest: &Pieces<'a>, assign: u8) -> Option<(&'a [u8], Pieces<'a>)> {
    let mut rest = rest.clone();
    let (name, value) = pair(&mut rest, assign)?;
    (name == key).then_some((value, rest))
}

#[inline(never)]
fn field(key: &[u8], value: &[u8], assign: u8, sink: &mut dyn Sink) {
    let parts = Pieces { rest: value, separator: b',' };
    let named = |part: &[u8]| halves(part, b'=').is_some_and(|(key, _)| !key.contains(&b'/'));
    let of_info = assign == b':';
    if if of_info { ENDS.iter().any(|end| key.ends_with(end)) } else { NAMES.contains(&key) } {
        word(value, sink);
    } else if of_info && !value.is_empty() && parts.clone().all(named) {
        fields(parts, b'=', sink);
    } else {
        typed(value, sink);
    }
}

/// How a text of a line of `CLUSTER NODES` is told.
#[derive(Clone, Copy)]
enum How {
    Word,
    Typed,
    Flags,
    /// Null where the text is `-`.
    Known,
}

#[inline(never)]
fn tell(field: &'static str, how: How, text: &[u8], sink: &mut dyn Sink) {
    name(field, sink);
    match how {
        How::Typed => typed(text, sink),
        How::Flags => Format::Flags.tell(text, sink),
        How::Known if text == b"-" => sink.event(Event::Null),
        How::Word | How::Known => word(text, sink),
    }
}

fn cluster_node(mut words: Pieces<'_>, sink: &mut dyn Sink) {
    let mut next = || words.next().unwrap_or_default();
    let (id, address) = (next(), next());
    let (address, names) = halves(address, b',').unwrap_or((address, b""));
    let address = halves(address, b'@').map_or(address, |halves| halves.0);
    let colon = address.iter().rposition(|&byte| byte == b':').unwrap_or(address.len());
    let (host, port) = address.split_at_checked(colon).unwrap_or_default();
    let hostname = halves(names, b',').map_or(names, |halves| halves.0);
    // as the server writes that there is no master
    let hostname = if hostname.is_empty() || halves(hostname, b'=').is_some() { b"-" } else { hostname };
    let port = port.get(1..).unwrap_or_default();
    open(Aggregate::Struct, 12, sink);
    tell("id", How::Word, id, sink);
    tell("host", How::Word, host, sink);
    tell("port", How::Typed, port, sink);
    tell("hostname", How::Known, hostname, sink);
    tell("flags", How::Flags, next(), sink);
    tell("master", How::Known, next(), sink);
    tell("ping_sent", How::Typed, next(), sink);
    tell("pong_recv", How::Typed, next(), sink);
    tell("config_epoch", How::Typed, next(), sink);
    tell("link_state", How::Word, next(), sink);
    slots("slots", false, words.clone(), sink);
    slots("migrations", true, words, sink);
    close(sink);
}

/// Tells the slots among `words`, or those that are moving.
#[inline(never)]
fn slots(field: &'static str, moving: bool, words: Pieces<'_>, sink: &mut dyn Sink) {
    let all = words.filter(|word| word.starts_with(b"[") == moving);
    name(field, sink);
    open(Aggregate::Array, all.clone().count(), sink);
    for one in all {
        if moving {
            word(one, sink);
            continue;
        }
        let (first, last) = halves(one, b'-').unwrap_or((one, one));
        open(Aggregate::Array, 2, sink);
        typed(first, sink);
        typed(last, sink);
        close(sink);
    }
    close(sink);
}

/// Gives the elements of a JSON array of numbers and nulls.
fn inside(text: &[u8]) -> Option<Pieces<'_>> {
    let rest = text.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
    let all = Pieces { rest, separator: b',' };
    all.clone().all(|one| one == b"null" || json(one).is_some()).then_some(all)
}

fn json(one: &[u8]) -> Option<Event<'_>> {
    match number::integer(one) {
        Some(value) => Some(Event::Integer(value)),
        None => is_double(one).then_some(Event::Double(one)),
    }
}
