//! Texts that are made for people, as values.

use super::{Format, number};
use crate::resp::{Aggregate, Event, Sink, Text, is_double};

impl Format {
    /// Tells the value that `text` stands for, whatever it is.
    pub(super) fn tell(self, text: &[u8], sink: &mut dyn Sink) {
        let lines = Pieces { rest: text, separator: b'\n' };
        match self {
            Self::Info => fields(lines, b':', sink),
            Self::ClientInfo | Self::ClusterNode => self.line(lines.clone().next().unwrap_or_default(), sink),
            Self::ClientList | Self::ClusterNodes => {
                open(Aggregate::Array, lines.clone().count(), sink);
                lines.for_each(|line| self.line(line, sink));
                close(sink);
            }
            Self::Flags => {
                let flags = Pieces { rest: text, separator: b',' };
                open(Aggregate::Set, flags.clone().count(), sink);
                flags.for_each(|flag| word(flag, sink));
                close(sink);
            }
            Self::Numbers => match inside(text) {
                Some(all) => {
                    open(Aggregate::Array, all.clone().count(), sink);
                    all.for_each(|one| sink.event(json(one).unwrap_or(Event::Null)));
                    close(sink);
                }
                None => sink.event(Event::Text(Text::Bulk, text)),
            },
        }
    }

    fn line(self, line: &[u8], sink: &mut dyn Sink) {
        let words = Pieces { rest: line, separator: b' ' };
        if let Self::ClusterNode | Self::ClusterNodes = self {
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
        Some(value) => Event::Integer(value),
        None if number::is_decimal(text) => Event::Double(text),
        None => Event::Text(Text::Simple, text),
    });
}

/// Fields of clients and modules whose values are no numbers even where they look like some.
const NAMES: [&[u8]; 10] =
    [b"name", b"user", b"lib-name", b"lib-ver", b"addr", b"laddr", b"flags", b"events", b"cmd", b"ver"];

/// The ends of such fields of `INFO`.
const ENDS: [&[u8]; 7] = [b"run_id", b"build_id", b"sha1", b"replid", b"replid2", b"host", b"version"];

/// Loaded modules have a line each in `INFO`, all of this name.
const MODULE: &[u8] = b"module";

/// Tells parts such as `name:value` as fields; a value that is made of `name=value` parts itself, likewise.
fn fields(parts: Pieces<'_>, assign: u8, sink: &mut dyn Sink) {
    let all = parts.filter(|part| !part.starts_with(b"#")).filter_map(|part| halves(part, assign));
    let modules = all.clone().filter(|field| field.0 == MODULE).count();
    open(Aggregate::Struct, all.clone().count() - modules.saturating_sub(1), sink);
    let mut told = false;
    for (key, value) in all.clone() {
        if key != MODULE {
            word(key, sink);
            field(key, value, assign, sink);
        } else if !told {
            told = true;
            name("modules", sink);
            open(Aggregate::Array, modules, sink);
            all.clone()
                .filter(|field| field.0 == MODULE)
                .for_each(|module| field(MODULE, module.1, assign, sink));
            close(sink);
        }
    }
    close(sink);
}

fn field(key: &[u8], value: &[u8], assign: u8, sink: &mut dyn Sink) {
    let parts = Pieces { rest: value, separator: b',' };
    let named = |part: &[u8]| halves(part, b'=').is_some_and(|(key, _)| !key.contains(&b'/'));
    let of_info = assign == b':';
    if of_info && !value.is_empty() && parts.clone().all(named) {
        fields(parts, b'=', sink);
    } else if if of_info { ENDS.iter().any(|end| key.ends_with(end)) } else { NAMES.contains(&key) } {
        word(value, sink);
    } else {
        typed(value, sink);
    }
}

fn cluster_node(mut words: Pieces<'_>, sink: &mut dyn Sink) {
    let mut next = || words.next().unwrap_or_default();
    open(Aggregate::Struct, 12, sink);
    name("id", sink);
    word(next(), sink);
    let address = next();
    let (address, names) = halves(address, b',').unwrap_or((address, b""));
    let address = halves(address, b'@').map_or(address, |halves| halves.0);
    let colon = address.iter().rposition(|&byte| byte == b':').unwrap_or(address.len());
    let (host, port) = address.split_at_checked(colon).unwrap_or_default();
    name("host", sink);
    word(host, sink);
    name("port", sink);
    typed(port.strip_prefix(b":").unwrap_or(port), sink);
    name("hostname", sink);
    let hostname = halves(names, b',').map_or(names, |halves| halves.0);
    known(hostname, hostname.is_empty() || hostname.contains(&b'='), sink);
    name("flags", sink);
    Format::Flags.tell(next(), sink);
    name("master", sink);
    let master = next();
    known(master, master == b"-", sink);
    for number in ["ping_sent", "pong_recv", "config_epoch"] {
        name(number, sink);
        typed(next(), sink);
    }
    name("link_state", sink);
    word(next(), sink);
    for (kind, moving) in [("slots", false), ("migrations", true)] {
        let all = words.clone().filter(|word| word.starts_with(b"[") == moving);
        name(kind, sink);
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
    close(sink);
}

/// Tells a text, or null.
fn known(text: &[u8], unknown: bool, sink: &mut dyn Sink) {
    sink.event(if unknown { Event::Null } else { Event::Text(Text::Simple, text) });
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
