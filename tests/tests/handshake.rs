//! The first commands of a link, as dialogues.

use redwire_core::connection::{Config, Credentials, Protocol};
use redwire_core::machine::{Machine, Reason};
use redwire_core::resp::DecodeError;
use redwire_tests::model::Peer;
use redwire_tests::wire::bulk;

const HELLO: &str = "%3\r\n+server\r\n+redis\r\n+version\r\n+7.0.15\r\n+proto\r\n:3\r\n";
const PONG: &str = "+PONG\r\n";
const UNKNOWN: &str =
    "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `ann`, `secret`\r\n";

fn config() -> Config {
    let credentials = Credentials { username: Some(b"ann".to_vec()), password: b"secret".to_vec() };
    Config {
        credentials: Some(credentials),
        client_name: Some(b"me".to_vec()),
        database: 4,
        library: None,
        ..Config::default()
    }
}

/// A link is open and a command waits.
fn open(config: Config) -> Peer {
    let mut peer = Peer::new(config);
    peer.submit(1, "GET k");
    peer.open();
    peer
}

#[test]
fn everything_is_asked_in_one_write_and_commands_wait() {
    let mut peer = open(Config { library: Some(("redwire", "0.1")), ..config() });
    let asked = [
        "HELLO 3 AUTH ann secret SETNAME me",
        "SELECT 4",
        "CLIENT SETINFO LIB-NAME redwire",
        "CLIENT SETINFO LIB-VER 0.1",
        "PING",
    ];
    assert_eq!(peer.sent(), asked);
    peer.reply([HELLO, "+OK\r\n", "-ERR unknown subcommand\r\n", "+OK\r\n"].concat());
    assert!(peer.sent().is_empty(), "one answer is missing");
    peer.reply(PONG);
    assert_eq!(peer.ready, peer.links);
    assert_eq!(peer.sent(), ["GET k"]);
    peer.reply("$1\r\nv\r\n");
    assert_eq!(peer.replied(1), Some(&bulk("v")));
    let server = peer.connection.server();
    assert_eq!((server.protocol, server.version.as_slice(), server.is_fork), (3, &b"7.0.15"[..], false));
}

#[test]
fn where_hello_tells_nothing_info_is_asked_if_wanted() {
    let asked = || Config { ask_version: true, library: None, ..Config::default() };
    let info = "# Server\r\nredis_version:7.2.4\r\nredis_mode:standalone\r\n";
    let fork = [info, "server_name:valkey\r\nvalkey_version:9.1.0\r\n"].concat();
    for (said, version, is_fork) in [
        (bulk_text(info), "7.2.4", false),
        (bulk_text(&fork), "9.1.0", true),
        (bulk_text(""), "", false),
        ("-NOPERM this user has no permissions to run the 'info' command\r\n".into(), "", false),
        (bulk_text(&"x".repeat(100_000)), "", false),
    ] {
        let mut peer = open(asked());
        assert_eq!(peer.sent(), ["HELLO 3", "PING"], "it may tell");
        peer.reply([UNKNOWN, PONG].concat());
        assert_eq!(peer.sent(), ["INFO server", "PING"]);
        let reply = said + PONG;
        for byte in reply.bytes() {
            assert!(peer.ready.is_empty());
            peer.reply([byte]);
        }
        assert_eq!(peer.sent(), ["GET k"]);
        let server = peer.connection.server();
        assert_eq!(
            (server.version.as_slice(), server.is_fork, server.protocol),
            (version.as_bytes(), is_fork, 2)
        );
    }
}

fn bulk_text(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

#[test]
fn a_fork_is_told_by_its_name() {
    let mut peer = open(Config::default());
    peer.reply(HELLO.replace("redis", "valkey") + "+OK\r\n+OK\r\n" + PONG);
    assert!(peer.connection.server().is_fork);
}

#[test]
fn a_server_without_hello_is_asked_again_in_resp2_on_the_same_link() {
    for refusal in [
        UNKNOWN,
        "-ERR unknown command 'HELLO'\r\n",
        "-NOPROTO unsupported protocol version\r\n",
        "-NOPERM this user has no permissions to run the 'hello' command\r\n",
    ] {
        let mut peer = open(config());
        assert_eq!(peer.sent().len(), 3);
        peer.reply(refusal);
        peer.reply("-NOAUTH Authentication required.\r\n");
        assert!(peer.sent().is_empty(), "the answer to PING is still to come");
        peer.reply("-NOAUTH Authentication required.\r\n");
        assert_eq!(peer.sent(), ["AUTH ann secret", "CLIENT SETNAME me", "SELECT 4", "PING"]);
        peer.reply("+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
        assert_eq!(peer.sent(), ["GET k"]);
        peer.reply("$-1\r\n");
        assert_eq!(peer.replied(1), Some(&redwire_core::resp::Frame::Null));
        assert_eq!((peer.links.len(), peer.connection.server().protocol), (1, 2));
    }
}

#[test]
fn features_are_asked_for_and_have_to_be_known() {
    let mut peer = open(Config { no_evict: true, no_touch: true, library: None, ..Config::default() });
    assert_eq!(peer.sent(), ["HELLO 3", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON", "PING"]);
    peer.reply([HELLO, "+OK\r\n-ERR unknown subcommand 'NO-TOUCH'. Try CLIENT HELP.\r\n"].concat());
    assert_eq!(peer.closed, [(peer.link(), Reason::Handshake)]);
    assert_eq!(peer.connection.detail(), b"ERR unknown subcommand 'NO-TOUCH'. Try CLIENT HELP.");
}

#[test]
fn what_is_no_redis_is_quoted_as_long_as_it_is_the_first_that_came() {
    for (said, quoted) in [
        ("HTTP/1.1 400 Bad Request\r\nserver: x\r\n", &b"HTTP/1.1 400 Bad Request"[..]),
        ("220 mail.example.com ESMTP with a long greeting\r\n", b"220 mail.example.com ESMTP with "),
        ("\x15\x03\x01\x00\x02\x02", b"\x15\x03\x01\x00\x02\x02"),
        ("+OK\r\nsecret\r\n", b""),
    ] {
        let mut peer = open(config());
        peer.sent();
        peer.reply(said);
        assert!(matches!(peer.closed[..], [(_, Reason::Protocol(_))]), "{:?}", peer.closed);
        assert_eq!(peer.connection.detail(), quoted);
    }
    let mut peer = open(Config { protocol: Protocol::Resp2, ..config() });
    assert_eq!(peer.sent()[0], "AUTH ann secret");
    peer.reply("AUTH ann secret\r\n");
    assert_eq!(peer.connection.detail(), b"", "it may repeat what it was told");
}

#[test]
fn a_server_that_hangs_up_on_hello_is_asked_in_resp2_next_time() {
    let mut peer = open(config());
    assert_eq!(peer.sent().len(), 3);
    peer.close();
    assert_eq!(peer.links.len(), 2, "another link is asked for");
    assert_eq!(peer.outcome(1), None, "the command waits");
    peer.open();
    assert_eq!(peer.sent(), ["AUTH ann secret", "CLIENT SETNAME me", "SELECT 4", "PING"]);
    peer.reply("+OK\r\n+OK\r\n+OK\r\n+PONG\r\n");
    assert_eq!(peer.sent(), ["GET k"]);
}

#[test]
fn hanging_up_twice_is_the_end_and_hello_is_asked_anew() {
    let mut peer = open(config());
    peer.sent();
    peer.close();
    peer.open();
    peer.sent();
    peer.close();
    assert_eq!((peer.connection.trouble(), peer.outcome(1)), (Some(Reason::HungUp), None));
    peer.retry();
    peer.open();
    assert_eq!(peer.sent()[0], "HELLO 3 AUTH ann secret SETNAME me", "it was not because of HELLO");
}

#[test]
fn hanging_up_before_hello_was_written_says_nothing_about_it() {
    let mut peer = open(config());
    peer.close();
    assert_eq!(peer.connection.trouble(), Some(Reason::HungUp));
    peer.retry();
    peer.open();
    assert_eq!(peer.sent()[0], "HELLO 3 AUTH ann secret SETNAME me");
}

#[test]
fn hanging_up_later_in_the_handshake_is_a_drop() {
    let mut peer = open(config());
    peer.sent();
    peer.reply(HELLO);
    peer.close();
    assert_eq!((peer.connection.trouble(), peer.outcome(1)), (Some(Reason::HungUp), None));
}

#[test]
fn resp3_may_be_demanded() {
    let mut peer = open(Config { protocol: Protocol::Resp3, ..config() });
    assert_eq!(peer.sent().len(), 3);
    peer.reply(UNKNOWN);
    assert_eq!(peer.failed(1), Some((Reason::Protocol3, false)));
    let mut peer = open(Config { protocol: Protocol::Resp3, ..config() });
    peer.sent();
    peer.close();
    assert_eq!(peer.connection.trouble(), Some(Reason::HungUp));
    peer.retry();
    peer.open();
    assert_eq!(peer.sent()[0], "HELLO 3 AUTH ann secret SETNAME me", "no attempt in RESP2");
}

#[test]
fn resp2_may_be_demanded() {
    let mut peer = open(Config { protocol: Protocol::Resp2, ..config() });
    assert_eq!(peer.sent(), ["AUTH ann secret", "CLIENT SETNAME me", "SELECT 4", "PING"]);
}

#[test]
fn a_password_without_a_name_is_the_default_user() {
    let credentials = Some(Credentials { username: None, password: b"secret".to_vec() });
    let config = Config { credentials, library: None, ..Config::default() };
    assert_eq!(open(config.clone()).sent(), ["HELLO 3 AUTH default secret", "PING"]);
    assert_eq!(open(Config { protocol: Protocol::Resp2, ..config }).sent(), ["AUTH secret", "PING"]);
}

#[test]
fn words_are_framed_whatever_they_hold() {
    let credentials =
        Some(Credentials { username: None, password: b"a b\r\n$3\r\nSET x 1\r\n\xff".to_vec() });
    let mut peer = open(Config { credentials, library: None, ..Config::default() });
    peer.transmit(usize::MAX);
    let expected =
        b"*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$19\r\na b\r\n$3\r\nSET x 1\r\n\xff\r\n\
          *1\r\n$4\r\nPING\r\n";
    assert_eq!(peer.written.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn refusals_end_the_link_with_their_reason_and_without_secrets() {
    let table: &[(&[&str], Reason, &str)] = &[
        (&["-WRONGPASS invalid: ann secret\r\n"], Reason::Authentication, "WRONGPASS"),
        (&["-NOAUTH HELLO must be called with: secret\r\n"], Reason::Authentication, "NOAUTH"),
        (&["-ERR max number of clients reached\r\n"], Reason::MaxClients, "ERR"),
        (&["-LOADING Redis is loading the dataset in memory\r\n"], Reason::Loading, "LOADING"),
        (&["!15\r\nERR secret\r\nxyz\r\n"], Reason::Handshake, "ERR"),
        (&[HELLO, "-ERR DB index is out of range\r\n"], Reason::Database, "ERR DB index is out of range"),
        (
            &[HELLO, "-NOPERM no permissions to run SELECT\r\n"],
            Reason::Database,
            "NOPERM no permissions to run SELECT",
        ),
        (
            &[HELLO, "-BUSY Redis is busy running a script.\r\n"],
            Reason::Handshake,
            "BUSY Redis is busy running a script.",
        ),
        (&[UNKNOWN, "+OK\r\n", PONG, "-WRONGPASS secret\r\n"], Reason::Authentication, "WRONGPASS"),
        (
            &[UNKNOWN, "+OK\r\n", PONG, "-ERR unknown command 'AUTH', with args: 'secret'\r\n"],
            Reason::Authentication,
            "ERR",
        ),
        (
            &[UNKNOWN, "+OK\r\n", PONG, "+OK\r\n", "-ERR no such name\r\n"],
            Reason::Handshake,
            "ERR no such name",
        ),
    ];
    for (replies, reason, detail) in table {
        let mut peer = open(config());
        for reply in *replies {
            peer.sent();
            peer.reply(reply);
        }
        let settled = reason.is_permanent().then_some((*reason, false));
        assert_eq!(peer.failed(1), settled, "{replies:?}");
        assert_eq!(peer.connection.is_retrying(), settled.is_none(), "{replies:?}");
        assert_eq!(peer.closed, [(peer.link(), *reason)], "{replies:?}");
        let told = String::from_utf8_lossy(peer.connection.detail()).into_owned();
        assert_eq!(told, *detail);
        assert!(!told.contains("secret"));
        assert!(peer.ready.is_empty() && peer.sent().is_empty(), "no command was written");
        let shown = format!("{:?}", peer.connection);
        assert!(!shown.contains("secret"), "the password shows in {shown}");
    }
}

#[test]
fn what_a_server_says_unasked_counts_whatever_was_asked_first() {
    let full = "ERR max number of clients reached";
    let denied = "DENIED Redis is running in protected mode";
    let loading = "LOADING Redis is loading the dataset in memory";
    for (error, reason, detail) in [
        (full, Reason::MaxClients, full),
        (denied, Reason::Handshake, denied),
        (loading, Reason::Loading, loading),
        ("NOAUTH Authentication required.", Reason::Authentication, "NOAUTH"),
    ] {
        for library in [None, Some(("redwire", "0.1"))] {
            let mut peer = Peer::new(Config { protocol: Protocol::Resp2, library, ..Config::default() });
            peer.connect();
            peer.open_silent();
            peer.sent();
            peer.reply(format!("-{error}\r\n"));
            assert_eq!(peer.closed, [(peer.link(), reason)], "{error}");
            assert_eq!(peer.connection.detail(), detail.as_bytes());
        }
    }
}

#[test]
fn a_link_is_ready_when_its_server_has_loaded_its_data() {
    const LOADING: &str = "-LOADING Redis is loading the dataset in memory\r\n";
    const FORBIDDEN: &str = "-NOPERM this user has no permissions to run the 'ping' command\r\n";
    for (pong, ready) in [(LOADING, false), (PONG, true), (FORBIDDEN, true)] {
        for (protocol, replies) in
            [(Protocol::Resp3, &[HELLO, "+OK\r\n"][..]), (Protocol::Resp2, &["+OK\r\n"; 3])]
        {
            let mut peer = open(Config { protocol, ..config() });
            assert_eq!(peer.sent().last().map(String::as_str), Some("PING"));
            peer.reply(replies.concat());
            assert!(peer.ready.is_empty());
            peer.reply(pong);
            assert_eq!(peer.ready == peer.links, ready, "{pong}");
            assert_eq!(peer.connection.trouble(), (!ready).then_some(Reason::Loading));
        }
    }
}

#[test]
fn what_is_no_server_breaks_the_protocol() {
    for (wire, tag) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b'H'),
        (b"\x15\x03\x01\x00\x02\x02\x28", 0x15),
        (b"REDIS0011", b'R'),
    ] {
        let mut peer = open(config());
        peer.sent();
        peer.reply(wire);
        assert_eq!(peer.connection.trouble(), Some(Reason::Protocol(DecodeError::Tag(tag))));
        assert!(!peer.is_linked());
        peer.advance(5_000);
        assert_eq!(
            peer.failed(1),
            Some((Reason::Protocol(DecodeError::Tag(tag)), false)),
            "the reason is told"
        );
    }
}

#[test]
fn a_stall_at_any_step_is_a_connect_timeout_and_no_command_was_written() {
    let steps = [HELLO, "+OK\r\n", "+OK\r\n", "+OK\r\n", PONG];
    let mut old = ["+OK\r\n"; 10];
    old[0] = UNKNOWN;
    for replies in [&steps[..], &old] {
        for answered in 0..replies.len() {
            let mut peer =
                open(Config { library: Some(("redwire", "0.1")), connect_timeout: 500, ..config() });
            for reply in &replies[..answered] {
                peer.sent();
                peer.reply(reply);
            }
            peer.advance(499);
            assert_eq!(peer.outcome(1), None, "not before its time, after {answered} replies");
            peer.advance(1);
            assert_eq!(peer.outcome(1), None, "the command waits for the next link");
            assert_eq!(peer.closed, [(peer.link(), Reason::ConnectTimeout)]);
            peer.reply("+OK\r\n+OK\r\n$1\r\nv\r\n");
            assert!(peer.ready.is_empty(), "what comes late is nobody's");
            peer.transmit(usize::MAX);
            let written = String::from_utf8_lossy(&peer.written).into_owned();
            assert!(!written.contains("GET"), "{written}");
        }
    }
}

#[test]
fn a_link_that_never_opens_is_a_connect_timeout() {
    let mut peer = Peer::new(Config { connect_timeout: 500, ..config() });
    peer.submit(1, "GET k");
    peer.advance(500);
    assert_eq!(peer.connection.trouble(), Some(Reason::ConnectTimeout));
    peer.connection.handle_open(peer.now, peer.link());
    assert!(peer.sent().is_empty(), "an opening that comes late opens nothing");
}

#[test]
fn pushes_and_attributes_in_the_handshake_mean_nothing() {
    let mut peer = open(config());
    peer.sent();
    peer.reply(">2\r\n+invalidate\r\n*1\r\n+k\r\n");
    peer.reply("|1\r\n+proto\r\n:7\r\n");
    peer.reply(HELLO);
    peer.reply(">1\r\n-ERR\r\n+OK\r\n+PONG\r\n");
    assert_eq!((peer.sent(), peer.connection.server().protocol), (vec!["GET k".to_owned()], 3));
}

#[test]
fn the_answer_may_come_byte_by_byte() {
    let mut peer = open(config());
    peer.sent();
    for byte in [HELLO, "+OK\r\n", PONG].concat().into_bytes() {
        assert!(peer.ready.is_empty());
        peer.reply([byte]);
    }
    assert_eq!(peer.sent(), ["GET k"]);
}
