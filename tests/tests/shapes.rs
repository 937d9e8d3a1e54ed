//! One shape whatever the protocol, and only well-formed values whatever the server sends.

use redwire_core::batch::{BatchBuffer, flags};
use redwire_core::connection::Config;
use redwire_core::machine::{LinkId, Machine, ReplySink, Segment, Slot};
use redwire_core::resp::{Event, Frame, Limits, Sink};
use redwire_core::tape::Tape;
use redwire_tests::frames::frame;
use redwire_tests::model::{Peer, Words, plain, words};
use redwire_tests::wire::{bulk, encoded, encoded_resp2};

fn ready(protocol: u8, limits: Limits) -> Peer {
    Peer::ready(
        protocol,
        match protocol {
            3 => Config { limits, ..Config::default() },
            _ => Config { limits, ..plain() },
        },
    )
}

/// Gives what the caller gets when `wire` answers the command in `line`.
fn got(protocol: u8, limits: Limits, flags: u32, line: &str, wire: &[u8]) -> Frame {
    let mut peer = ready(protocol, limits);
    peer.submit_with(1, flags, None, &words(line));
    peer.sent();
    peer.reply(wire);
    let closed = &peer.closed;
    peer.replied(1).cloned().unwrap_or_else(|| unreachable!("{line} got no reply: {closed:?}"))
}

/// A command, its reply in RESP2 and in RESP3, and what the caller sees.
fn pairs() -> Vec<(&'static str, &'static str, &'static str, Frame)> {
    let text = |text: &str| bulk(text);
    let yes = Frame::Boolean;
    let double = Frame::Double;
    let scored = |member: &str, score| Frame::Array(vec![bulk(member), Frame::Double(score)]);
    vec![
        ("SET k v", "+OK\r\n", "+OK\r\n", yes(true)),
        ("SET k v NX", "$-1\r\n", "_\r\n", yes(false)),
        ("set k v get", "$1\r\no\r\n", "$1\r\no\r\n", text("o")),
        ("SET k v GET", "$-1\r\n", "_\r\n", Frame::Null),
        ("GET k", "$-1\r\n", "_\r\n", Frame::Null),
        ("GET k", "$2\r\nOK\r\n", "$2\r\nOK\r\n", text("OK")),
        ("MSET a 1", "+OK\r\n", "+OK\r\n", yes(true)),
        (
            "HGETALL h",
            "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
            "%2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
            Frame::Map(vec![(text("a"), text("1")), (text("b"), text("2"))]),
        ),
        ("HGETALL h", "*0\r\n", "%0\r\n", Frame::Map(vec![])),
        (
            "SMEMBERS s",
            "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
            "~2\r\n$1\r\na\r\n$1\r\nb\r\n",
            Frame::Set(vec![text("a"), text("b")]),
        ),
        ("ZADD z 1 a", ":1\r\n", ":1\r\n", Frame::Integer(1)),
        ("ZADD z INCR 1 a", "$3\r\n1.5\r\n", ",1.5\r\n", double(1.5)),
        ("ZADD z INCR 1 a", "$4\r\n-inf\r\n", ",-inf\r\n", double(f64::NEG_INFINITY)),
        ("ZADD z NX INCR 1 a", "$-1\r\n", "_\r\n", Frame::Null),
        (
            "ZRANGE z 0 -1 WITHSCORES",
            "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$3\r\ninf\r\n",
            "*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,inf\r\n",
            Frame::Array(vec![scored("a", 1.0), scored("b", f64::INFINITY)]),
        ),
        ("ZRANGE z 0 -1 WITHSCORES", "*0\r\n", "*0\r\n", Frame::Array(vec![])),
        ("ZRANGE z 0 -1", "*1\r\n$1\r\na\r\n", "*1\r\n$1\r\na\r\n", Frame::Array(vec![text("a")])),
        ("NOSUCH OK", "+OK\r\n", "+OK\r\n", redwire_tests::wire::simple("OK")),
        ("SET k v", "-OOM no\r\n", "-OOM no\r\n", redwire_tests::wire::error("OOM no")),
        ("HGETALL k", "-WRONGTYPE no\r\n", "-WRONGTYPE no\r\n", redwire_tests::wire::error("WRONGTYPE no")),
    ]
}

#[test]
fn both_protocols_give_the_same_value() {
    for limits in [Limits::default(), Limits { whole: 0, ..Limits::default() }] {
        for (line, two, three, expected) in pairs() {
            // a score in parts stays text
            if limits.whole > 0 || !two.contains("inf") && !line.contains("Z") {
                assert_eq!(got(2, limits, 0, line, two.as_bytes()), expected, "{line} on RESP2");
            }
            assert_eq!(got(3, limits, 0, line, three.as_bytes()), expected, "{line} on RESP3");
        }
    }
}

#[test]
fn a_raw_reply_keeps_the_form_of_the_wire() {
    for (line, two, three, _) in pairs() {
        for (protocol, wire) in [(2, two), (3, three)] {
            let raw = redwire_tests::wire::whole(wire.as_bytes()).0.remove(0);
            assert_eq!(got(protocol, Limits::default(), flags::RAW, line, wire.as_bytes()), raw);
        }
    }
}

#[test]
fn attributes_are_dropped_wherever_they_stand() {
    const ATTRIBUTE: &str = "|1\r\n+ttl\r\n*2\r\n:1\r\n|1\r\n+x\r\n:1\r\n:2\r\n";
    for (line, _, three, expected) in pairs() {
        let mut wire = String::new();
        // before every value: every line that begins with a tag, none that holds a bulk's text
        let mut text = false;
        for part in three.split_inclusive("\r\n") {
            if !text {
                wire += ATTRIBUTE;
            }
            text = !text && part.starts_with('$') && !part.starts_with("$-");
            wire += part;
        }
        assert_eq!(got(3, Limits::default(), 0, line, wire.as_bytes()), expected, "{line}: {wire:?}");
    }
}

#[test]
fn elements_of_exec_have_the_shapes_of_their_commands() {
    let pairs = pairs();
    let members: Vec<Words> = pairs.iter().map(|(line, ..)| words(line)).collect();
    let expected = Frame::Array(pairs.iter().map(|(.., frame)| frame.clone()).collect());
    for protocol in [2, 3] {
        for attribute in ["", "|1\r\n+a\r\n*1\r\n:1\r\n"] {
            let mut peer = ready(protocol, Limits::default());
            peer.transaction(1, &members);
            peer.sent();
            peer.reply("+OK\r\n");
            peer.reply("+QUEUED\r\n".repeat(members.len()));
            peer.reply(format!("{attribute}*{}\r\n", members.len()));
            for (_, two, three, _) in &pairs {
                peer.reply(attribute);
                peer.reply(if protocol == 2 { two } else { three });
            }
            assert_eq!(peer.replied(1), Some(&expected), "RESP{protocol} with {attribute:?}");
        }
    }
    for (wire, frame) in [("*-1\r\n", Frame::Null), ("_\r\n", Frame::Null), ("*0\r\n", Frame::Array(vec![]))]
    {
        let mut peer = ready(3, Limits::default());
        peer.transaction(1, &[words("GET k")]);
        peer.sent();
        peer.reply(["+OK\r\n+QUEUED\r\n", wire].concat());
        assert_eq!(peer.replied(1), Some(&frame), "{wire:?}");
    }
}

/// Lines of a tape: every pair of words, with texts read where they point to.
#[derive(Default)]
struct Read {
    tape: Tape,
    lines: Vec<String>,
}

impl Read {
    fn note(&mut self, tell: impl FnOnce(&mut Tape), text: &[u8]) {
        self.tape.start(text.as_ptr() as usize);
        tell(&mut self.tape);
        let pairs = self.tape.words().chunks_exact(2);
        self.lines.extend(pairs.map(|pair| format!("{pair:?} {}", text.escape_ascii())));
    }
}

impl Sink for Read {
    fn event(&mut self, event: Event<'_>) {
        let text = match event {
            Event::Text(_, text) | Event::Double(text) | Event::BulkPart(text) => text,
            _ => b"",
        };
        self.note(|tape| tape.event(event), text);
    }
}

impl ReplySink for Read {
    fn begin(&mut self, slot: Slot) {
        self.note(|tape| tape.begin(slot), b"");
    }
    fn end(&mut self) {
        self.note(Tape::end, b"");
    }
    fn queue_error(&mut self, slot: Slot, index: u32, text: &[u8]) {
        self.note(|tape| tape.queue_error(slot, index, text), text);
    }
}

#[test]
fn both_protocols_write_the_same_tape() {
    let tape = |protocol: u8, line: &str, wire: &str| {
        let mut peer = ready(protocol, Limits::default());
        let (mut batch, command) = (BatchBuffer::default(), words(line));
        let row = redwire_core::table::RowId::UNKNOWN;
        batch.push(Slot(9), row, 0, None, command.iter().map(Vec::as_slice));
        peer.connection.submit(peer.now, &batch.batch()).expect("the batch is well-formed");
        while let Some(Segment::Bytes(bytes)) = peer.connection.poll_transmit(LinkId(1 << 8)) {
            let count = bytes.len();
            peer.connection.handle_transmitted(LinkId(1 << 8), count);
        }
        let mut read = Read::default();
        peer.connection.handle_bytes(peer.now, LinkId(1 << 8), wire.as_bytes(), &mut read);
        read.lines
    };
    for (line, two, three, _) in pairs() {
        assert_eq!(tape(2, line, two), tape(3, line, three), "{line}");
    }
}

#[test]
fn whatever_the_server_sends_comes_out_well_formed() {
    const LINES: [&str; 6] =
        ["SET k v", "ZADD z INCR 1 a", "HGETALL h", "SMEMBERS s", "ZRANGE z 0 -1 WITHSCORES", "GET k"];
    let odd = [
        "*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n",
        "*2\r\n:1\r\n:2\r\n",
        "*2\r\n*1\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*2\r\n$9\r\nlong text\r\n$9\r\nlong text\r\n",
        "*?\r\n$1\r\na\r\n$1\r\n1\r\n.\r\n",
        "%1\r\n$1\r\na\r\n$1\r\n1\r\n",
        "*2\r\n$?\r\n;1\r\na\r\n;0\r\n$?\r\n;1\r\n1\r\n;0\r\n",
    ];
    let random = (0..300).map(|seed| frame(&mut oorandom::Rand32::new(seed), 3));
    let random = random.filter(|frame| !matches!(frame, Frame::Push(_)));
    let wires = random.flat_map(|frame| [encoded(&frame), encoded_resp2(&frame)]);
    // the caller checks that what it is told is one whole value, with as many elements as announced
    for wire in odd.into_iter().map(|wire| wire.as_bytes().to_vec()).chain(wires) {
        for limits in [Limits::default(), redwire_tests::wire::tiny()] {
            for protocol in [2, 3] {
                for line in LINES {
                    got(protocol, limits, 0, line, &wire);
                }
                let mut peer = ready(protocol, limits);
                peer.transaction(1, &LINES.map(words));
                peer.sent();
                peer.reply("+OK\r\n");
                peer.reply("+QUEUED\r\n".repeat(LINES.len()));
                let mut elements = format!("*{}\r\n", LINES.len()).into_bytes();
                LINES.iter().for_each(|_| elements.extend(&wire));
                peer.reply(elements);
                assert!(peer.replied(1).is_some());
            }
        }
    }
}
