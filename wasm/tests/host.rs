//! The numeric surface from end to end, with memory read and written as JavaScript does.
#![cfg(target_arch = "wasm32")]

use js_sys::{Uint8Array, Uint32Array, WebAssembly};
use redwire_tests::model::{Hello, Options, Server};
use redwire_wasm::Host;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;

const NAMED: u32 = 1 << 17;

fn buffer() -> wasm_bindgen::JsValue {
    wasm_bindgen::memory().unchecked_into::<WebAssembly::Memory>().buffer()
}

fn bytes(address: usize, length: usize) -> Uint8Array {
    Uint8Array::new_with_byte_offset_and_length(&buffer(), address as u32, length as u32)
}

fn words(address: usize, count: usize) -> Uint32Array {
    Uint32Array::new_with_byte_offset_and_length(&buffer(), address as u32, count as u32)
}

fn register(host: &Host, index: u32) -> usize {
    words(host.registers(), 2).get_index(index) as usize
}

/// Submits one command made of texts, and gives what the host said to it.
fn submit(host: &mut Host, slot: u32, args: &[&str]) -> u32 {
    let text = args.concat();
    bytes(host.input(text.len()), text.len()).copy_from(text.as_bytes());
    let mut described = vec![slot, NAMED, args.len() as u32];
    described.extend(args.iter().map(|arg| arg.encode_utf16().count() as u32));
    words(host.words(described.len()), described.len()).copy_from(&described);
    host.submit(0.0, 0, described.len(), text.len(), 0, 1)
}

fn actions(host: &mut Host) -> Vec<[u32; 4]> {
    let count = host.poll();
    let told = words(register(host, 0), count).to_vec();
    told.chunks_exact(4).map(|action| [action[0], action[1], action[2], action[3]]).collect()
}

fn written(host: &mut Host, link: u32) -> Vec<u8> {
    let mut written = Vec::new();
    while host.transmit(link) == 1 {
        written.extend(bytes(register(host, 0), register(host, 1)).to_vec());
    }
    written
}

/// Gives the tape as pairs, texts read.
fn tape(host: &mut Host, count: usize) -> Vec<(u32, u32, Option<String>)> {
    let told = words(host.tape(), count & !1).to_vec();
    let text = |pair: &[u32]| match pair[0] & 15 {
        1..=3 | 6 | 7 | 14 => {
            let text = bytes(pair[1] as usize, pair[0] as usize >> 6).to_vec();
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        _ => None,
    };
    told.chunks_exact(2).map(|pair| (pair[0] & 15, pair[1], text(pair))).collect()
}

#[wasm_bindgen_test]
fn commands_go_out_and_replies_come_in() {
    let mut host = Host::new();
    assert_eq!(submit(&mut host, 3, &["SET", "ключ", "𝄞"]), 0);
    assert_eq!(submit(&mut host, 4, &["GET", "ключ"]), 0);
    let opened = actions(&mut host);
    assert_eq!((opened.len(), opened[0][0]), (1, 0), "a link is asked for");
    let link = opened[0][1];
    host.opened(0.0, link);

    let mut server = Server::new(Options { hello: Hello::Known, ..Options::default() });
    let mut session = server.session();
    let mut told = Vec::new();
    loop {
        let out = written(&mut host, link);
        if out.is_empty() {
            break;
        }
        for reply in server.receive(&mut session, &out).concat().chunks(5) {
            let address = host.window(link);
            assert!(register(&host, 0) >= reply.len(), "there is room");
            bytes(address, reply.len()).copy_from(reply);
            let count = host.receive(0.0, link, reply.len());
            told.extend(tape(&mut host, count));
        }
    }
    assert_eq!(actions(&mut host), [[1, link, 3, 0]], "the link got ready on RESP3");
    assert_eq!(told[..3], [(0, 3, None), (8, 1, None), (0, 4, None)]);
    assert_eq!((told.len(), told[3].2.as_deref()), (4, Some("𝄞")));
    host.closed(0.0, link, false);
    assert_eq!(actions(&mut host)[0][..2], [6, link], "it is lost, and another will be opened");
}

#[wasm_bindgen_test]
fn halves_that_meet_and_broken_batches_are_told_apart() {
    let mut host = Host::new();
    // as JavaScript would concatenate them: one character, one unit each
    let text = "𝄞".as_bytes();
    bytes(host.input(4), 4).copy_from(text);
    let described = [1, NAMED, 2, 1, 1];
    words(host.words(5), 5).copy_from(&described);
    assert_eq!(host.submit(0.0, 0, 5, 4, 0, 1), 1);
    assert_eq!(host.submit(0.0, 0, 4, 4, 0, 0), 2);
    assert_eq!(host.submit(0.0, 0, usize::MAX, 4, 0, 0), 2);
    assert!(actions(&mut host).is_empty(), "nothing was accepted");
}

#[wasm_bindgen_test]
fn slots_of_keys_are_those_of_the_specification() {
    let mut host = Host::new();
    bytes(host.input(9), 9).copy_from(b"123456789");
    assert_eq!(host.key_slot(9), 12_739);
}
