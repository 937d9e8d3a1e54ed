//! Texts that are made for people, as values.

use super::{Format, number};
use crate::resp::{Aggregate, Event, Sink, Text, tell};

impl Format {
    /// Tells the value that `text` stands for, whatever it is.
    pub(super) fn tell<S: Sink>(self, text: &[u8], sink: &mut S) {
        match self {
            Self::Info => info(text, sink),
            Self::ClientList => list(lines(text), sink, client),
            Self::ClientInfo => client(lines(text).next().unwrap_or_default(), sink),
            Self::ClusterNodes => list(lines(text), sink, cluster_node),
            Self::ClusterNode => cluster_node(text.trim_ascii(), sink),
            Self::Flags => {
                let flags = || split(text, b',').filter(|flag| !flag.is_empty());
                open(Aggregate::Set, flags().count(), sink, |sink| flags().for_each(|flag| word(flag, sink)));
            }
            Self::Numbers => match numbers(text) {
                Some(all) => list(all, sink, |one, sink| match one {
                    b"null" => tell(sink, Event::Null),
                    one => match number::integer(one) {
                        Some(value) => tell(sink, Event::Integer(value)),
                        None => tell(sink, Event::Double(one)),
                    },
                }),
                None => tell(sink, Event::Text(Text::Bulk, text)),
            },
        }
    }
}

fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> + Clone {
    text.split(move |&byte| byte == separator)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    split(text, b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).filter(|line| !line.is_empty())
}

fn halves(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn open<S: Sink>(kind: Aggregate, count: usize, sink: &mut S, content: impl FnOnce(&mut S)) {
    tell(sink, Event::Open(kind, u32::try_from(count).ok()));
    content(sink);
    tell(sink, Event::Close { streamed: false });
}

fn list<'a, S: Sink>(
    all: impl Iterator<Item = &'a [u8]> + Clone,
    sink: &mut S,
    one: impl Fn(&'a [u8], &mut S),
) {
    open(Aggregate::Array, all.clone().count(), sink, |sink| all.for_each(|item| one(item, sink)));
}

fn word<S: Sink>(text: &[u8], sink: &mut S) {
    tell(sink, Event::Text(Text::Simple, text));
}

fn name<S: Sink>(name: &'static str, sink: &mut S) {
    tell(sink, Event::Text(Text::Name, name.as_bytes()));
}

/// A number where it is written as one, else text.
fn typed<S: Sink>(text: &[u8], sink: &mut S) {
    tell(
        sink,
        match number::integer(text) {
            Some(value) => Event::Integer(value),
            None if number::is_decimal(text) => Event::Double(text),
            None => Event::Text(Text::Simple, text),
        },
    );
}

fn info<S: Sink>(text: &[u8], sink: &mut S) {
    let fields = lines(text).filter(|line| !line.starts_with(b"#")).filter_map(|line| halves(line, b':'));
    let modules = fields.clone().filter(|field| field.0 == b"module").map(|field| field.1);
    let single = fields.filter(|field| field.0 != b"module");
    let loaded = modules.clone().next().is_some();
    open(Aggregate::Struct, single.clone().count() + usize::from(loaded), sink, |sink| {
        for (key, value) in single {
            word(key, sink);
            match assignments(value) {
                Some(all) => assigned(all, sink),
                None if is_name(key) => word(value, sink),
                None => typed(value, sink),
            }
        }
        if loaded {
            // one line each, all of the same name
            name("modules", sink);
            list(modules, sink, |module, sink| match assignments(module) {
                Some(all) => assigned(all, sink),
                None => word(module, sink),
            });
        }
    });
}

/// Tells whether a field of `INFO` holds a name that may look like a number.
fn is_name(key: &[u8]) -> bool {
    [&b"run_id"[..], b"build_id", b"sha1", b"replid", b"replid2", b"host", b"version"]
        .iter()
        .any(|end| key.ends_with(end))
}

/// Gives the parts of `a=1,b=2`.
fn assignments(value: &[u8]) -> Option<impl Iterator<Item = (&[u8], &[u8])> + Clone> {
    let parts = || split(value, b',').map(|part| halves(part, b'='));
    let named =
        |part: Option<(&[u8], &[u8])>| part.is_some_and(|(key, _)| key.iter().all(|&byte| byte != b'/'));
    parts().all(named).then(|| parts().flatten())
}

fn assigned<'a, S: Sink>(all: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone, sink: &mut S) {
    open(Aggregate::Struct, all.clone().count(), sink, |sink| {
        for (key, value) in all {
            word(key, sink);
            if key == b"name" || key == b"ver" { word(value, sink) } else { typed(value, sink) }
        }
    });
}

/// Fields of a client that are no numbers even where they look like some.
const CLIENT_TEXTS: [&[u8]; 9] =
    [b"name", b"user", b"lib-name", b"lib-ver", b"addr", b"laddr", b"flags", b"events", b"cmd"];

fn client<S: Sink>(line: &[u8], sink: &mut S) {
    let fields = split(line, b' ').filter_map(|word| halves(word, b'='));
    open(Aggregate::Struct, fields.clone().count(), sink, |sink| {
        for (key, value) in fields {
            word(key, sink);
            if CLIENT_TEXTS.contains(&key) { word(value, sink) } else { typed(value, sink) }
        }
    });
}

fn cluster_node<S: Sink>(line: &[u8], sink: &mut S) {
    let mut words = split(line, b' ').filter(|word| !word.is_empty());
    let mut next = || words.next().unwrap_or_default();
    let (id, address, flags, master, ping, pong, epoch, state) =
        (next(), next(), next(), next(), next(), next(), next(), next());
    let (address, names) = halves(address, b',').unwrap_or((address, b""));
    let address = halves(address, b'@').map_or(address, |halves| halves.0);
    let colon = address.iter().rposition(|&byte| byte == b':').unwrap_or(address.len());
    let (host, port) = address.split_at_checked(colon).unwrap_or_default();
    let hostname = split(names, b',').next().filter(|name| !name.is_empty() && !name.contains(&b'='));
    let known = |text: &'static str, value: Option<&[u8]>, sink: &mut S| {
        name(text, sink);
        tell(sink, value.map_or(Event::Null, |value| Event::Text(Text::Simple, value)));
    };
    let counted = |text: &'static str, value: &[u8], sink: &mut S| {
        name(text, sink);
        typed(value, sink);
    };
    open(Aggregate::Struct, 12, sink, |sink| {
        known("id", Some(id), sink);
        known("host", Some(host), sink);
        counted("port", port.strip_prefix(b":").unwrap_or(port), sink);
        known("hostname", hostname, sink);
        name("flags", sink);
        Format::Flags.tell(flags, sink);
        known("master", Some(master).filter(|&master| master != b"-"), sink);
        counted("ping_sent", ping, sink);
        counted("pong_recv", pong, sink);
        counted("config_epoch", epoch, sink);
        known("link_state", Some(state), sink);
        name("slots", sink);
        list(words.clone().filter(|word| !word.starts_with(b"[")), sink, |range, sink| {
            let (first, last) = halves(range, b'-').unwrap_or((range, range));
            list([first, last].into_iter(), sink, typed);
        });
        name("migrations", sink);
        list(words.filter(|word| word.starts_with(b"[")), sink, word);
    });
}

fn numbers(text: &[u8]) -> Option<impl Iterator<Item = &[u8]> + Clone> {
    let inside = text.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii();
    let all = || split(inside, b',').map(<[u8]>::trim_ascii).skip(usize::from(inside.is_empty()));
    let plain = |one: &[u8]| one == b"null" || number::integer(one).is_some() || crate::resp::is_double(one);
    all().all(plain).then(all)
}
