//! The decoder against hostile bytes, on a small stack and with its memory counted.

use redwire_core::resp::{Decoder, FrameSink};
use redwire_tests::hostile;

fn on_a_small_stack(name: &str) {
    let (_, test) = *hostile::ALL.iter().find(|(known, _)| *known == name).expect("no such test");
    let thread = std::thread::Builder::new().stack_size(hostile::STACK).spawn(test);
    thread.expect("a thread starts").join().expect("it passes");
}

macro_rules! on_a_small_stack {
    ($($test:ident)*) => {$(
        #[test]
        fn $test() {
            on_a_small_stack(&stringify!($test).replace('_', " "));
        }
    )*};
}

on_a_small_stack! {
    values_survive_the_wire
    a_split_anywhere_changes_nothing
    mutated_values_end_alike_wherever_they_are_split
    random_bytes_are_values_or_errors
    depth_bombs_are_one_error
    the_deepest_values_need_no_deep_stack
    rows_of_attributes_need_no_deep_stack
    announcements_are_refused_or_waited_for
}

const MEBIBYTE: u64 = 1 << 20;

#[test]
fn no_header_reserves_what_it_announces() {
    for (wire, _) in hostile::ANNOUNCEMENTS {
        let used = allocation_counter::measure(|| {
            let (mut decoder, mut sink) = (Decoder::default(), FrameSink::default());
            let _ = decoder.decode(wire.as_bytes(), &mut sink);
        });
        assert!(used.bytes_max <= MEBIBYTE, "{wire:?} made {} bytes", used.bytes_max);
    }
}

#[test]
fn headers_within_headers_reserve_little() {
    for header in ["*268435456\r\n", "%268435456\r\n", "~268435456\r\n", "|268435456\r\n"] {
        let wire = header.repeat(128);
        let used = allocation_counter::measure(|| {
            let (mut decoder, mut sink) = (Decoder::default(), FrameSink::default());
            let _ = decoder.decode(wire.as_bytes(), &mut sink);
        });
        assert!(used.bytes_max <= MEBIBYTE, "{header:?} made {} bytes", used.bytes_max);
    }
}
