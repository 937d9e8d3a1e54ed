//! Mutual exclusion: processes that contend for a lock, crash with it, sleep over its time and are cut off, and a history of who held it when.
//!
//! `REDWIRE_ACQUISITIONS` says how often it is taken; `REDWIRE_CONTENDER` is what `tests/src/bin/contender.rs` is in JavaScript: half
//! of the processes run it. Both are told a class of locks first.
#![cfg(unix)]

use redwire_tests::server::{Brand, Server};
use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;

/// A time during which somebody relied on holding the lock, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    from: u64,
    until: u64,
    contender: usize,
}

/// Gives two that held the lock at once.
fn overlap(history: &mut [Span]) -> Option<(Span, Span)> {
    history.sort_unstable();
    let (&first, rest) = history.split_first()?;
    let mut last = first;
    for &span in rest {
        if last.until > span.from {
            return Some((last, span));
        }
        last = if span.until > last.until { span } else { last };
    }
    None
}

/// Runs a contender until the lock was taken `count` times, again when it crashes; gives when it held the lock, and counts what it did.
fn contend(
    program: &[String],
    address: SocketAddr,
    contender: usize,
    count: usize,
) -> (Vec<Span>, BTreeMap<String, u32>) {
    let (mut spans, mut deeds) = (Vec::new(), BTreeMap::new());
    for run in 0.. {
        let left = count - spans.len();
        if left == 0 {
            break;
        }
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).arg(address.to_string()).arg("lock").arg(left.to_string());
        command.arg((contender * 7_919 + run).to_string());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the contender starts");
        let before = spans.len();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        for line in output.lines() {
            let line = line.expect("a line");
            let [deed, from, until] = line.split(' ').collect::<Vec<_>>()[..] else {
                unreachable!("{line}");
            };
            let time = |text: &str| text.parse().expect("a time");
            spans.push(Span { from: time(from), until: time(until), contender });
            *deeds.entry(deed.to_owned()).or_default() += 1;
        }
        let status = child.wait().expect("it ends");
        let crashed = spans.len() > before && !status.success() && status.code().is_none();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().expect("its errors"), &mut said)
            .expect("text");
        assert!(crashed || status.success(), "{program:?}: {status}: {said}");
    }
    (spans, deeds)
}

#[test]
fn no_two_hold_a_lock_at_once() {
    let Some(server) = Server::shared(Brand::Redis) else { return };
    let total: usize = env::var("REDWIRE_ACQUISITIONS").map_or(500, |text| text.parse().expect("a number"));
    let native = |class: &str| [env!("CARGO_BIN_EXE_contender"), class].map(str::to_owned).to_vec();
    let script = env::var("REDWIRE_CONTENDER").ok();
    let scripted = |class: &str| match &script {
        Some(script) => ["node", script, class].map(str::to_owned).to_vec(),
        None => native(class),
    };
    const CONTENDERS: usize = 4;
    let programs: [_; CONTENDERS] =
        [native("LuaLock"), scripted("LuaLock"), native("Lock"), scripted("Lock")];
    let (address, count) = (server.address(), total / CONTENDERS);
    let contend = |(contender, program): (usize, Vec<String>)| {
        thread::spawn(move || contend(&program, address, contender, count))
    };
    let threads: Vec<_> = programs.into_iter().enumerate().map(contend).collect();
    let (mut history, mut deeds) = (Vec::new(), BTreeMap::<String, u32>::new());
    for thread in threads {
        let (spans, done) = thread.join().expect("no contender fails");
        history.extend(spans);
        done.into_iter().for_each(|(deed, count)| *deeds.entry(deed).or_default() += count);
    }
    assert_eq!(history.len(), count * CONTENDERS);
    let half = if script.is_some() { ", half of them in JavaScript" } else { "" };
    println!("{} acquisitions by {CONTENDERS} processes{half}: {deeds:?}", history.len());
    for deed in ["Release", "Crash", "Pause", "Extend", "Keep", "Kill"] {
        assert!(deeds.contains_key(deed), "{deed} happened");
    }
    // the checker itself sees what is wrong
    let mut wrong = history.clone();
    let longest = *history.iter().max_by_key(|span| span.until - span.from).expect("somebody held it");
    wrong.push(Span { from: longest.until - 1, contender: CONTENDERS, ..longest });
    assert!(longest.until > longest.from && overlap(&mut wrong).is_some());
    assert_eq!(overlap(&mut history), None);
}
