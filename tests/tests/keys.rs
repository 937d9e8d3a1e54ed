//! The keys that the core finds among a command's words are those that servers find: every command with keys, in the shortest
//! and the fullest form, with each alternative, and lists of one and two.

use redwire_core::resp::{Frame, encode};
use redwire_core::table::{Row, RowId, find_words};
use redwire_tests::server::{Brand, Server};
use redwire_tests::wire;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Commands of which servers find other keys, and which.
const GAPS: [(&str, Gap); 9] = [
    ("CMS.MERGE", Gap::First),
    ("JSON.MGET", Gap::First),
    ("MIGRATE", Gap::Empty),
    ("SPUBLISH", Gap::None),
    ("SSUBSCRIBE", Gap::None),
    ("SUNSUBSCRIBE", Gap::None),
    ("TDIGEST.MERGE", Gap::First),
    ("TS.CREATERULE", Gap::First),
    ("TS.DELETERULE", Gap::First),
];

/// What a server finds in place of the keys.
#[derive(Clone, Copy)]
enum Gap {
    /// The first of them: the module keeps the others to itself.
    First,
    /// The empty word as well that stands where the key may be.
    Empty,
    /// None, as they are channels, which decide the node as keys do.
    None,
}

impl Gap {
    /// Tells whether a server that has this gap finds `theirs` where `ours` are the keys.
    fn explains(self, ours: &[String], theirs: &[String]) -> bool {
        match self {
            Self::First => theirs.len() == 1 && ours.starts_with(theirs),
            Self::Empty => ours.iter().eq(theirs.iter().filter(|key| !key.is_empty())),
            Self::None => theirs.is_empty(),
        }
    }
}

/// Commands of which servers refuse a form that they would execute, or that is newer than they are.
const REFUSED: [&str; 5] = ["MIGRATE", "PFMERGE", "SUNSUBSCRIBE", "ZRANK", "ZREVRANK"];

/// A way to fill in a tree of arguments.
#[derive(Clone, Copy)]
struct Choice {
    full: bool,
    alternative: usize,
    repetitions: usize,
}

fn commands() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/commands");
    let files = fs::read_dir(folder).expect("core/commands").flatten().map(|file| file.path());
    let groups = files.filter(|path| path.file_stem().is_some_and(|stem| stem != "shapes"));
    let parsed = groups.map(|path| {
        let text = fs::read_to_string(path).expect("a group of commands");
        serde_json::from_str::<Vec<Value>>(&text).expect("rows")
    });
    parsed.flatten().filter(|command| command["keys"].is_array()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is(node: &Value, flag: &str) -> bool {
    node[flag] == true
}

/// Appends what stands for the nodes of a tree.
fn fill(nodes: &[Value], choice: Choice, words: &mut Vec<String>) {
    let mut counted: Option<(usize, &Value, bool)> = None;
    for node in nodes {
        if is(node, "optional") && !choice.full {
            if let Some((at, ..)) = counted.take_if(|(_, name, _)| **name == node["name"]) {
                words[at] = "0".into();
            }
            continue;
        }
        let start = words.len();
        let repetitions = if is(node, "multiple") { choice.repetitions } else { 1 };
        for repetition in 0..repetitions {
            let token = node["token"].as_str().filter(|_| repetition == 0 || is(node, "multiple_token"));
            words.extend(token.map(String::from));
            match node["type"].as_str().expect("a type") {
                "pure-token" => {}
                "oneof" => {
                    let alternatives = list(&node["arguments"]);
                    let mut chosen = alternatives[choice.alternative % alternatives.len()].clone();
                    chosen["optional"] = false.into();
                    fill(&[chosen], choice, words);
                }
                "block" => fill(list(&node["arguments"]), choice, words),
                "key" => words.push(format!("key-{}", words.len())),
                "integer" | "double" | "unix-time" => words.push("1".into()),
                _ => words.push(format!("word-{}", words.len())),
            }
        }
        if let Some((at, _, in_words)) = counted.take_if(|(_, name, _)| **name == node["name"]) {
            words[at] = if in_words { words.len() - start } else { repetitions }.to_string();
        }
        if !node["counts"].is_null() {
            counted = Some((words.len() - 1, &node["counts"], node["unit"] == "words"));
        }
    }
}

fn samples(command: &Value) -> Vec<Vec<String>> {
    fn widest(nodes: &[Value]) -> usize {
        let width = |node: &Value| {
            let children = list(&node["arguments"]);
            widest(children).max(if node["type"] == "oneof" { children.len() } else { 1 })
        };
        nodes.iter().map(width).max().unwrap_or(1)
    }
    let tree = list(&command["args"]);
    let mut samples = Vec::new();
    for full in [false, true] {
        for alternative in 0..widest(tree) {
            for repetitions in [1, 2] {
                let name = command["name"].as_str().expect("a name");
                let mut words = name.split(' ').map(String::from).collect();
                fill(tree, Choice { full, alternative, repetitions }, &mut words);
                samples.push(words);
            }
        }
    }
    samples.dedup();
    samples
}

struct Link {
    socket: TcpStream,
}

impl Link {
    fn ask(&mut self, words: &[String]) -> Frame {
        let args: Vec<&[u8]> = [&b"COMMAND"[..], b"GETKEYS"]
            .into_iter()
            .chain(words.iter().map(|word| word.as_bytes()))
            .collect();
        let mut bytes = Vec::new();
        encode::command(&mut bytes, &args).expect("a growing buffer is never full");
        self.socket.write_all(&bytes).expect("the server reads");
        let mut read = Vec::new();
        loop {
            let mut chunk = [0; 4096];
            let count = self.socket.read(&mut chunk).expect("the server answers");
            assert!(count > 0, "the server hung up");
            read.extend_from_slice(&chunk[..count]);
            if let Some(frame) = wire::whole(&read).0.pop() {
                return frame;
            }
        }
    }
}

/// At least so many commands with keys are those that the server has today.
fn keys_are_those_of(brand: Brand, least: usize) {
    let Some(server) = Server::shared(brand) else { return };
    let mut link = Link { socket: TcpStream::connect(server.address()).expect("the server listens") };
    let (mut compared, mut wrong) = (0, Vec::new());
    let (mut known, mut unknown, mut refused) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for command in commands() {
        let name = command["name"].as_str().expect("a name").to_owned();
        let gap = GAPS.iter().find(|gap| gap.0 == name).map(|gap| gap.1);
        for words in samples(&command) {
            let theirs: Vec<String> = match link.ask(&words) {
                Frame::Array(keys) => keys
                    .iter()
                    .map(|key| match key {
                        Frame::Bulk(key) => String::from_utf8_lossy(key).into_owned(),
                        other => format!("{other:?}"),
                    })
                    .collect(),
                Frame::Error(text) if text.starts_with(b"ERR The command has no key arguments") => Vec::new(),
                Frame::Error(text) if text.starts_with(b"ERR Invalid command specified") => {
                    unknown.insert(name.clone());
                    break;
                }
                other => {
                    refused.push(format!("{}: {other:?}", words.join(" ")));
                    assert!(REFUSED.contains(&&*name), "{}", refused.join("\n"));
                    continue;
                }
            };
            known.insert(name.clone());
            let row = find_words(words[0].as_bytes(), words.get(1).map(String::as_bytes));
            assert_ne!(row, RowId::UNKNOWN, "{name}");
            let ours: Vec<String> = Row::at(row).keys(&words).map(|at| words[at].clone()).collect();
            compared += 1;
            if ours != theirs && !gap.is_some_and(|gap| gap.explains(&ours, &theirs)) {
                wrong.push(format!("{}: {ours:?}, the server: {theirs:?}", words.join(" ")));
            }
        }
    }
    println!("{brand:?}: {compared} forms of {} commands\n{known:?}", known.len());
    println!("not known to it: {unknown:?}\nrefused: {}", refused.join("\n"));
    assert!(known.len() >= least, "only {} commands were compared", known.len());
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn keys_are_those_of_redis() {
    keys_are_those_of(Brand::Redis, 185);
}

#[test]
fn keys_are_those_of_valkey() {
    keys_are_those_of(Brand::Valkey, 198);
}

#[test]
fn keys_are_those_of_redis_8() {
    keys_are_those_of(Brand::Redis82, 210);
}

#[test]
fn keys_are_those_of_the_modules() {
    keys_are_those_of(Brand::Stack, 280);
}
