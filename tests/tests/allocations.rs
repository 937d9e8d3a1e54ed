//! What the steady state costs: nothing.

use redwire_core::batch::{Batch, BatchBuffer, flags};
use redwire_core::connection::{Config, Connection};
use redwire_core::machine::{LinkId, Machine, Segment, Slot};
use redwire_core::table;
use redwire_core::tape::Tape;
use redwire_core::time::Instant;
use redwire_tests::model::plain;

const COMMANDS: [(&str, &[&str], &str); 5] = [
    ("GET", &["key:1"], "$5\r\nhello\r\n"),
    ("SET", &["key:1", "hello"], "+OK\r\n"),
    ("HGETALL", &["hash"], "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n"),
    ("MGET", &["a", "b", "c"], "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n3\r\n"),
    ("INCR", &["n"], ":12345678901\r\n"),
];

/// One tick: `count` commands go out and are answered.
struct Tick {
    connection: Connection,
    tape: Tape,
    batch: BatchBuffer,
    replies: Vec<u8>,
    answered: usize,
}

impl Tick {
    fn new(count: usize) -> Self {
        let (mut batch, mut replies) = (BatchBuffer::default(), Vec::new());
        for slot in 0..count {
            let (name, args, reply) = COMMANDS[slot % COMMANDS.len()];
            let args = args.iter().map(|arg| arg.as_bytes());
            batch.push(Slot(slot as u32), table::find(name.as_bytes()), 0, None, args);
            replies.extend(reply.as_bytes());
        }
        let mut connection = Connection::new(plain());
        connection.connect(Instant(0));
        connection.handle_open(Instant(0), LinkId(1 << 8));
        let mut tape = Tape::default();
        connection.handle_bytes(Instant(0), LinkId(1 << 8), b"+PONG\r\n", &mut tape);
        while connection.poll_action().is_some() {}
        Self { connection, tape, batch, replies, answered: 0 }
    }

    fn run(&mut self) {
        let link = LinkId(1 << 8);
        self.connection.submit(Instant(1), &self.batch.batch()).expect("the batch is well-formed");
        while let Some(Segment::Bytes(bytes)) = self.connection.poll_transmit(link) {
            let count = bytes.len();
            self.connection.handle_transmitted(link, count);
        }
        self.tape.start(0);
        let used = self.connection.handle_bytes(Instant(2), link, &self.replies, &mut self.tape);
        assert_eq!(used, self.replies.len());
        assert!(self.connection.is_quiet() && self.connection.poll_action().is_none());
        self.answered += self.tape.words().len();
    }
}

#[test]
fn a_command_allocates_nothing_in_the_steady_state() {
    for count in [1, 5, 1_000] {
        let mut tick = Tick::new(count);
        (0..3).for_each(|_| tick.run());
        let used = allocation_counter::measure(|| (0..50).for_each(|_| tick.run()));
        assert!(tick.answered > 0);
        assert_eq!(used.count_total, 0, "allocations of 50 ticks of {count} commands");
    }
}

#[test]
fn commands_that_never_stop_overlapping_hold_no_more_than_is_in_flight() {
    let mut tick = Tick::new(1_000);
    tick.run();
    let link = LinkId(1 << 8);
    let reply = "$5\r\nhello\r\n";
    let mut one = BatchBuffer::default();
    one.push(Slot(1), table::find(b"GET"), 0, None, [b"key".as_slice()].into_iter());
    let mut turn = |reply: &str| {
        tick.connection.submit(Instant(1), &one.batch()).expect("the batch is well-formed");
        while let Some(Segment::Bytes(bytes)) = tick.connection.poll_transmit(link) {
            let count = bytes.len();
            tick.connection.handle_transmitted(link, count);
        }
        tick.tape.start(0);
        tick.connection.handle_bytes(Instant(2), link, reply.as_bytes(), &mut tick.tape);
    };
    // one command is always in flight, so the queue is never empty
    turn("");
    let used = allocation_counter::measure(|| (0..100_000).for_each(|_| turn(reply)));
    assert!(used.bytes_max < 1 << 20, "{} bytes", used.bytes_max);
}

#[test]
fn an_argument_that_stays_with_the_caller_takes_no_memory() {
    let mut connection = Connection::new(Config::default());
    let words = [1, flags::NAMED, 3, 1 << 30 | 3, 1 << 30 | 1, 2 << 30, 512 << 20];
    let batch = Batch { words: &words, text: &[], side: b"SETk" };
    let used = allocation_counter::measure(|| {
        connection.submit(Instant(0), &batch).expect("the batch is well-formed");
    });
    assert!(used.bytes_max < 16 << 10, "{} bytes", used.bytes_max);
}
