//! Commands on their way in: lengths of text, and words that contradict themselves.

use proptest::prelude::*;
use redwire_core::batch::{Argument, Batch, BatchBuffer, Malformed, flags, measure_utf16};
use redwire_core::connection::Connection;
use redwire_core::machine::{LinkId, Machine, Slot};
use redwire_core::table::{self, RowId};
use redwire_core::tape::Tape;
use redwire_core::time::Instant;
use redwire_tests::model::plain;

/// Concatenates `args` as JavaScript does: halves of a pair that meet join, halves that stay alone become U+FFFD.
fn concatenated(args: &[&[u16]]) -> (Vec<u32>, String) {
    let mut words = vec![7, flags::NAMED, args.len() as u32];
    words.extend(args.iter().map(|arg| arg.len() as u32));
    (words, String::from_utf16_lossy(&args.concat()))
}

fn measured(args: &[&[u16]]) -> Result<Vec<Vec<u8>>, Malformed> {
    let (mut words, text) = concatenated(args);
    measure_utf16(&mut words, text.as_bytes())?;
    let mut batch = Batch { words: &words, text: text.as_bytes(), side: &[] };
    let request = batch.next_request()?.expect("there is a command");
    assert_eq!(batch.next_request()?.map(|_| ()), None);
    let bytes = |arg| match arg {
        Argument::Bytes(bytes) => bytes.to_vec(),
        Argument::External(_) => unreachable!("all is text"),
    };
    Ok(request.args().map(bytes).collect())
}

fn utf16(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

#[test]
fn lengths_in_utf16_become_lengths_in_bytes() {
    for args in [
        &["GET", "key"][..],
        &["SET", "", ""],
        &["ä", "€", "𝄞", "a𝄞b", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}"],
        &["\0", "\r\n", "€€€", ""],
    ] {
        let units: Vec<Vec<u16>> = args.iter().map(|arg| utf16(arg)).collect();
        let units: Vec<&[u16]> = units.iter().map(Vec::as_slice).collect();
        let bytes: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        assert_eq!(measured(&units), Ok(bytes));
    }
}

#[test]
fn halves_of_a_pair_that_meet_between_arguments_are_found() {
    const HIGH: u16 = 0xd834;
    const LOW: u16 = 0xdd1e;
    assert_eq!(measured(&[&[HIGH], &[LOW]]), Err(Malformed::Joined));
    assert_eq!(measured(&[&utf16("SET"), &[97, HIGH], &[LOW, 98]]), Err(Malformed::Joined));
    assert_eq!(measured(&[&utf16("SET"), &[HIGH], &[LOW], &utf16("b")]), Err(Malformed::Joined));
    // halves that stay alone have a length of their own
    let lone = "\u{fffd}".as_bytes().to_vec();
    assert_eq!(measured(&[&[HIGH], &[HIGH]]), Ok(vec![lone.clone(), lone.clone()]));
    assert_eq!(measured(&[&[LOW], &[HIGH]]), Ok(vec![lone.clone(), lone.clone()]));
    assert_eq!(measured(&[&[HIGH], &[97]]), Ok(vec![lone, b"a".to_vec()]));
}

#[test]
fn batches_that_contradict_themselves_are_refused_as_a_whole() {
    const SIDE: u32 = 1 << 30;
    const EXTERNAL: u32 = 2 << 30;
    type Case = (&'static [u32], &'static [u8], &'static [u8], Malformed);
    let table: &[Case] = &[
        (&[1], b"", b"", Malformed::Words),
        (&[1, 0], b"", b"", Malformed::Words),
        (&[1, flags::TIMEOUT, 0], b"", b"", Malformed::Words),
        (&[1, 0, 1], b"", b"", Malformed::Words),
        (&[1, 0, u32::MAX], b"", b"", Malformed::Words),
        (&[1, 0, 1, 3 << 30], b"", b"", Malformed::Words),
        (&[1, 0, 1, EXTERNAL], b"", b"", Malformed::Words),
        (&[1, 0, 1, 2], b"a", b"", Malformed::Bytes),
        (&[1, 0, 1, SIDE | 2], b"ab", b"a", Malformed::Bytes),
        (&[1, 0, 1, 1], b"ab", b"", Malformed::Bytes),
        (&[1, 0, 0], b"", b"a", Malformed::Bytes),
        (&[], b"a", b"", Malformed::Bytes),
    ];
    for (tail, text, side, malformed) in table {
        let good = [9, u32::from(table::find(b"PING").0), 0];
        let words = if tail.is_empty() { vec![] } else { [&good, *tail].concat() };
        let mut connection = Connection::new(plain());
        let batch = Batch { words: &words, text, side };
        assert_eq!(connection.submit(Instant(0), &batch), Err(*malformed), "{tail:?}");
        assert!(connection.is_quiet() && connection.poll_action().is_none(), "nothing of it was accepted");
    }
}

#[test]
fn commands_come_out_as_they_went_in() {
    let mut buffer = BatchBuffer::default();
    let args: [&[u8]; 3] = [b"SET", b"a\r\nSET x 1\r\n", b""];
    buffer.push(Slot(5), RowId::UNKNOWN, flags::RAW, Some(9), args.into_iter());
    buffer.push(Slot(6), table::find(b"GET"), 0, None, [b"k".as_slice()].into_iter());
    let mut batch = buffer.batch();
    let first = batch.next_request().expect("well-formed").expect("a command");
    assert_eq!((first.slot, first.row, first.timeout), (Slot(5), RowId::UNKNOWN, Some(9)));
    assert!(first.flags & flags::RAW != 0 && first.flags & flags::NAMED != 0);
    assert!(first.args().eq(args.map(Argument::Bytes)));
    let second = batch.next_request().expect("well-formed").expect("a command");
    assert_eq!((second.slot, second.row, second.timeout), (Slot(6), table::find(b"GET"), None));
    assert_eq!(batch.next_request().map(|request| request.is_none()), Ok(true));
}

/// Words that look like commands more often than chance would have it.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..4u32,
        (0..4u32, 0..6u32).prop_map(|(place, length)| place << 30 | length),
        (0..40u32, 0..64u32).prop_map(|(row, flags)| row | flags << 16),
        any::<u32>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_words_make_a_machine_panic(
        words in prop::collection::vec(word(), 0..24),
        text in prop::collection::vec(any::<u8>(), 0..12),
        side in prop::collection::vec(any::<u8>(), 0..12),
        reply in "(\\+OK\r\n|\\+QUEUED\r\n|\\*1\r\n:1\r\n|-ERR\r\n|_\r\n){0,6}",
        cancelled in 0..4u32,
    ) {
        let _ = measure_utf16(&mut words.clone(), &text);
        let mut tape = Tape::default();
        let mut connection = Connection::new(plain());
        let _ = connection.submit(Instant(0), &Batch { words: &words, text: &text, side: &side });
        connection.connect(Instant(0));
        connection.handle_open(Instant(0), LinkId(1 << 8));
        let mut turns = 0;
        while connection.poll_transmit(LinkId(1 << 8)).is_some() && turns < 100 {
            connection.handle_transmitted(LinkId(1 << 8), 5);
            turns += 1;
        }
        connection.handle_bytes(Instant(1), LinkId(1 << 8), reply.as_bytes(), &mut tape);
        connection.cancel(Instant(1), Slot(cancelled));
        connection.handle_timeout(Instant(1 << 40));
        connection.handle_closed(Instant(1 << 40), LinkId(1 << 8));
        while connection.poll_action().is_some() {}
    }

    #[test]
    fn arguments_survive_the_batch(args in prop::collection::vec("\\PC{0,6}", 1..6)) {
        let units: Vec<Vec<u16>> = args.iter().map(|arg| utf16(arg)).collect();
        let units: Vec<&[u16]> = units.iter().map(Vec::as_slice).collect();
        let bytes: Vec<Vec<u8>> = args.iter().map(|arg| arg.clone().into_bytes()).collect();
        prop_assert_eq!(measured(&units), Ok(bytes));
    }
}
