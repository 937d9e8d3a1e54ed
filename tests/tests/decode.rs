//! Every form on the wire and what it must become.

use redwire_core::resp::{DecodeError, Decoder, Discard, Frame, Limits};
use redwire_tests::wire::{big, bulk, decode, error, simple, tiny, whole};

fn array(items: &[Frame]) -> Frame {
    Frame::Array(items.to_vec())
}

fn int(value: i64) -> Frame {
    Frame::Integer(value)
}

fn attributed(value: Frame) -> Frame {
    Frame::Attribute(vec![(simple("ttl"), int(9))], Box::new(value))
}

fn values() -> Vec<(&'static str, Frame)> {
    vec![
        // RESP2
        ("+OK\r\n", simple("OK")),
        ("+\r\n", simple("")),
        ("-ERR no\r\n", error("ERR no")),
        (":0\r\n", int(0)),
        (":+7\r\n", int(7)),
        (":-7\r\n", int(-7)),
        (":9223372036854775807\r\n", int(i64::MAX)),
        (":-9223372036854775808\r\n", int(i64::MIN)),
        ("$0\r\n\r\n", bulk("")),
        ("$4\r\n\r\n\r\n\r\n", bulk("\r\n\r\n")),
        ("$5\r\nhello\r\n", bulk("hello")),
        ("$-1\r\n", Frame::Null),
        ("*-1\r\n", Frame::Null),
        ("*0\r\n", array(&[])),
        ("*3\r\n:1\r\n$-1\r\n*1\r\n+a\r\n", array(&[int(1), Frame::Null, array(&[simple("a")])])),
        // RESP3
        ("_\r\n", Frame::Null),
        ("#t\r\n", Frame::Boolean(true)),
        ("#f\r\n", Frame::Boolean(false)),
        (",1.5\r\n", Frame::Double(1.5)),
        (",-0.25e-3\r\n", Frame::Double(-0.000_25)),
        (",10\r\n", Frame::Double(10.0)),
        (",.5\r\n", Frame::Double(0.5)),
        (",1E5\r\n", Frame::Double(1e5)),
        (",inf\r\n", Frame::Double(f64::INFINITY)),
        (",-inf\r\n", Frame::Double(f64::NEG_INFINITY)),
        (
            "(3492890328409238509324850943850943825024385\r\n",
            big("3492890328409238509324850943850943825024385"),
        ),
        ("(-1\r\n", big("-1")),
        ("!10\r\nERR a\r\nb c\r\n", error("ERR a\r\nb c")),
        ("=8\r\nmkd:# h1\r\n", Frame::Verbatim(*b"mkd", "# h1".into())),
        ("=4\r\ntxt:\r\n", Frame::Verbatim(*b"txt", "".into())),
        ("~2\r\n:1\r\n:1\r\n", Frame::Set(vec![int(1), int(1)])),
        ("%0\r\n", Frame::Map(vec![])),
        ("%2\r\n+b\r\n:1\r\n+a\r\n:2\r\n", Frame::Map(vec![(simple("b"), int(1)), (simple("a"), int(2))])),
        (">2\r\n+message\r\n:1\r\n", Frame::Push(vec![simple("message"), int(1)])),
        // without lengths
        ("$?\r\n;4\r\nHell\r\n;5\r\no wor\r\n;1\r\nd\r\n;0\r\n", bulk("Hello word")),
        ("$?\r\n;0\r\n", bulk("")),
        ("*?\r\n:1\r\n*?\r\n.\r\n.\r\n", array(&[int(1), array(&[])])),
        ("~?\r\n+a\r\n.\r\n", Frame::Set(vec![simple("a")])),
        ("%?\r\n+a\r\n:1\r\n+b\r\n*?\r\n.\r\n.\r\n", {
            Frame::Map(vec![(simple("a"), int(1)), (simple("b"), array(&[]))])
        }),
        ("*2\r\n$?\r\n;1\r\nx\r\n;0\r\n%?\r\n.\r\n", array(&[bulk("x"), Frame::Map(vec![])])),
        // attributes
        ("|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", attributed(bulk("v"))),
        ("*2\r\n|1\r\n+ttl\r\n:9\r\n:1\r\n:2\r\n", array(&[attributed(int(1)), int(2)])),
        (
            "|1\r\n+ttl\r\n:9\r\n*1\r\n|1\r\n+ttl\r\n:9\r\n_\r\n",
            attributed(array(&[attributed(Frame::Null)])),
        ),
        ("%?\r\n|1\r\n+ttl\r\n:9\r\n+k\r\n:1\r\n.\r\n", Frame::Map(vec![(attributed(simple("k")), int(1))])),
        ("|1\r\n+ttl\r\n|1\r\n+ttl\r\n:9\r\n:9\r\n+v\r\n", {
            Frame::Attribute(vec![(simple("ttl"), attributed(int(9)))], Box::new(simple("v")))
        }),
    ]
}

#[test]
fn every_form_becomes_its_value() {
    for (wire, value) in values() {
        let expected = (vec![value], Ok(()));
        assert_eq!(whole(wire.as_bytes()), expected, "{wire:?}");
        assert_eq!(decode(tiny(), [wire.as_bytes()]), expected, "in parts: {wire:?}");
        assert_eq!(decode(tiny(), wire.as_bytes().chunks(1)), expected, "byte by byte: {wire:?}");
    }
}

#[test]
fn values_follow_each_other() {
    let (wire, expected): (String, Vec<Frame>) = values().into_iter().unzip();
    assert_eq!(whole(wire.as_bytes()), (expected, Ok(())));
}

#[test]
fn texts_of_any_length_come_whole_or_cut_anywhere() {
    for length in [0, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 99_999] {
        let text = "x".repeat(length);
        let wire = format!("*2\r\n${length}\r\n{text}\r\n:1\r\n");
        let expected = (vec![array(&[bulk(&text), int(1)])], Ok(()));
        assert_eq!(whole(wire.as_bytes()), expected, "{length}");
        for at in (0..16).chain(wire.len() - 8..wire.len()) {
            let (head, tail) = wire.as_bytes().split_at(at.min(wire.len()));
            assert_eq!(decode(Limits::default(), [head, tail]), expected, "{length}, cut at {at}");
        }
        let wrong = format!("${length}\r\n{text}.\n");
        assert_eq!(whole(wrong.as_bytes()).1, Err(DecodeError::Newline), "{length}");
    }
}

#[test]
fn a_double_may_be_no_number() {
    for wire in [&b",nan\r\n"[..], b",-nan\r\n"] {
        assert!(matches!(whole(wire).0[..], [Frame::Double(value)] if value.is_nan()));
    }
}

#[test]
fn what_is_not_the_protocol_is_an_error() {
    use DecodeError::{Boolean, Double, Integer, Length, Newline, Null, Tag, TooLarge, Verbatim};
    let table: &[(&[u8], DecodeError)] = &[
        // tags
        (b"HTTP/1.1 400 Bad Request\r\n", Tag(b'H')),
        (b"\x15\x03\x01\x00\x02\x02\x28", Tag(0x15)),
        (b"REDIS0011", Tag(b'R')),
        (b"\r\n", Tag(b'\r')),
        (b"\n", Tag(b'\n')),
        (b"@1\r\n", Tag(b'@')),
        (b";1\r\n", Tag(b';')),
        (b".\r\n", Tag(b'.')),
        (b"*1\r\n.\r\n", Tag(b'.')),
        (b"$1\r\na\r\nX", Tag(b'X')),
        // line ends
        (b"+OK\n", Newline),
        (b"+O\nK\r\n", Newline),
        (b"+O\rK\r\n", Newline),
        (b"-ERR a\nb\r\n", Newline),
        (b":1\n", Integer),
        (b":1\r\r\n", Newline),
        (b"$1\n", Length),
        (b"$1\rX", Newline),
        (b"$1\r\nab\r\n", Newline),
        (b"$1\r\na\n", Newline),
        (b"$1\r\na\rX", Newline),
        (b"*1\n:1\r\n", Length),
        (b"_\n", Newline),
        (b"#t\n", Newline),
        (b"$?\r\n;1\r\nab", Newline),
        (b"*?\r\n.\n", Newline),
        // lengths
        (b"$\r\n", Length),
        (b"$a\r\n", Length),
        (b"$1a\r\n", Length),
        (b"$ 1\r\n", Length),
        (b"$1 \r\n", Length),
        (b"$-2\r\n", Length),
        (b"$-\r\n", Length),
        (b"$+1\r\n", Length),
        (b"$-0\r\n", Length),
        (b"$-01\r\n", Length),
        (b"$1.0\r\n", Length),
        (b"$0x1\r\n", Length),
        (b"*-2\r\n", Length),
        (b"*+1\r\n", Length),
        (b"%-1\r\n", Length),
        (b"~-1\r\n", Length),
        (b">-1\r\n", Length),
        (b"|-1\r\n", Length),
        (b"=-1\r\n", Length),
        (b"!-1\r\n", Length),
        (b"=?\r\n", Length),
        (b"!?\r\n", Length),
        (b">?\r\n", Length),
        (b"|?\r\n", Length),
        (b"$?x", Length),
        (b"$?\r\n;-1\r\n", Length),
        (b"$?\r\n;+1\r\n", Length),
        (b"$?\r\n$1\r\n", Tag(b'$')),
        (b"*4294967296\r\n", TooLarge),
        (b"%4611686018427387904\r\n", TooLarge),
        (b"$9223372036854775807\r\n", TooLarge),
        (b"$9223372036854775808\r\n", Length),
        (b"$99999999999999999999999999999999\r\n", Length),
        // numbers and the rest
        (b":\r\n", Integer),
        (b":-\r\n", Integer),
        (b":1.5\r\n", Integer),
        (b":9223372036854775808\r\n", Integer),
        (b":-9223372036854775809\r\n", Integer),
        (b":--1\r\n", Integer),
        (b",\r\n", Double),
        (b",1,5\r\n", Double),
        (b",.\r\n", Double),
        (b",1e\r\n", Double),
        (b",infinity\r\n", Double),
        (b",NaN\r\n", Double),
        (b",0x1p3\r\n", Double),
        (b"(1.5\r\n", Integer),
        (b"(\r\n", Integer),
        (b"(-\r\n", Integer),
        (b"#x\r\n", Boolean),
        (b"#true\r\n", Boolean),
        (b"#\r\n", Boolean),
        (b"_x\r\n", Null),
        (b"=3\r\ntxt\r\n", Verbatim),
        (b"=0\r\n\r\n", Verbatim),
        (b"=5\r\nplain\r\n", Verbatim),
        // values in the wrong place
        (b"*1\r\n>1\r\n+a\r\n", Tag(b'>')),
        (b"%1\r\n+a\r\n>1\r\n+a\r\n", Tag(b'>')),
        (b"|1\r\n+a\r\n>1\r\n+a\r\n", Tag(b'>')),
        (b"|1\r\n+a\r\n+b\r\n>1\r\n+a\r\n", Tag(b'>')),
        (b"%?\r\n+a\r\n.\r\n", Tag(b'.')),
        (b"*?\r\n|1\r\n+a\r\n+b\r\n.\r\n", Tag(b'.')),
        (b"%?\r\n+a\r\n:1\r\n|1\r\n+a\r\n+b\r\n.\r\n", Tag(b'.')),
    ];
    for (wire, error) in table {
        let shown = wire.escape_ascii();
        assert_eq!(whole(wire).1, Err(*error), "{shown}");
        assert_eq!(decode(Limits::default(), wire.chunks(1)).1, Err(*error), "byte by byte: {shown}");
        assert!(decode(tiny(), [*wire]).1.is_err(), "in parts: {shown}");
    }
}

#[test]
fn limits_are_kept() {
    let limits = Limits { depth: 2, bulk: 10, aggregate: 3, line: 8, whole: 64 << 10, ..Limits::default() };
    let table: &[(&str, Result<(), DecodeError>)] = &[
        ("*1\r\n*1\r\n:1\r\n", Ok(())),
        ("*1\r\n*1\r\n*1\r\n:1\r\n", Err(DecodeError::Depth)),
        ("$10\r\n0123456789\r\n", Ok(())),
        ("$11\r\n", Err(DecodeError::TooLarge)),
        ("*3\r\n:1\r\n:1\r\n:1\r\n", Ok(())),
        ("*4\r\n", Err(DecodeError::TooLarge)),
        ("%4\r\n", Err(DecodeError::TooLarge)),
        ("+12345678\r\n", Ok(())),
        ("+123456789\r\n", Err(DecodeError::TooLarge)),
        ("+123456789", Err(DecodeError::TooLarge)),
        ("$?\r\n;9\r\n123456789\r\n;9\r\n123456789\r\n", Err(DecodeError::TooLarge)),
    ];
    for (wire, expected) in table {
        assert_eq!(decode(limits, [wire.as_bytes()]).1, *expected, "{wire:?}");
        assert_eq!(decode(limits, wire.as_bytes().chunks(1)).1, *expected, "byte by byte: {wire:?}");
    }
}

#[test]
fn a_decoder_knows_where_it_stands() {
    let mut decoder = Decoder::new(tiny());
    assert!(!decoder.is_within_reply());
    let decoded = decoder.decode(b"$9\r\n1234", &mut Discard).expect("it is well-formed");
    assert_eq!((decoded.consumed, decoded.done), (8, false));
    assert!(decoder.is_within_reply());
    let decoded = decoder.decode(b"56789\r\n:1\r\n", &mut Discard).expect("it is well-formed");
    assert_eq!((decoded.consumed, decoded.done), (7, true), "one reply at a time");
    assert!(!decoder.is_within_reply());
}

#[test]
fn bytes_of_a_large_text_may_be_read_elsewhere() {
    let mut decoder = Decoder::new(tiny());
    assert_eq!(decoder.skip(9), 0, "no text is open");
    decoder.decode(b"$9\r\n12", &mut Discard).expect("it is well-formed");
    assert_eq!(decoder.skip(3), 3);
    assert_eq!(decoder.skip(100), 4, "no more than the text has");
    assert_eq!(decoder.skip(1), 0);
    let decoded = decoder.decode(b"\r\n:1\r\n", &mut Discard).expect("it is well-formed");
    assert_eq!((decoded.consumed, decoded.done), (2, true));
}

#[test]
fn a_decoder_knows_how_large_a_reply_is() {
    let mut decoder = Decoder::new(tiny());
    let mut size = |wire: &str| {
        decoder.decode(wire.as_bytes(), &mut Discard).expect("it is well-formed");
        decoder.size()
    };
    assert_eq!(size("*10\r\n"), 5 + 64 + 10 * 16, "what is announced counts before it comes");
    assert_eq!(size(":1\r\n"), 5 + 64 + 10 * 16 + 4);
    assert_eq!(size("$99\r\n12"), 5 + 64 + 10 * 16 + 4 + 5 + 99);
    decoder.skip(90);
    assert_eq!(decoder.size(), 5 + 64 + 10 * 16 + 4 + 5 + 99, "wherever it goes");

    let mut streamed = Decoder::new(tiny());
    streamed.decode(b"*?\r\n:1\r\n:2\r\n", &mut Discard).expect("it is well-formed");
    assert_eq!(streamed.size(), 4 + 64 + 2 * (4 + 16), "what is not announced counts as it comes");
    streamed.decode(b".\r\n", &mut Discard).expect("it is well-formed");
    assert_eq!(streamed.size(), 0, "the next one counts anew");
}
