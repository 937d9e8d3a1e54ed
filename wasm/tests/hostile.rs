//! The decoder against hostile bytes, where addresses have 32 bits and the stack has 64 KiB.
#![cfg(target_arch = "wasm32")]

use redwire_tests::hostile;
use wasm_bindgen_test::wasm_bindgen_test;

macro_rules! on_wasm {
    ($($test:ident)*) => {$(
        #[wasm_bindgen_test]
        fn $test() {
            hostile::$test();
        }
    )*};
}

on_wasm! {
    values_survive_the_wire
    a_split_anywhere_changes_nothing
    mutated_values_end_alike_wherever_they_are_split
    random_bytes_are_values_or_errors
    depth_bombs_are_one_error
    the_deepest_values_need_no_deep_stack
    rows_of_attributes_need_no_deep_stack
}

const PAGE: usize = 64 << 10;

#[wasm_bindgen_test]
fn announcements_take_no_memory() {
    let before = core::arch::wasm32::memory_size::<0>();
    hostile::announcements_are_refused_or_waited_for();
    let grown = (core::arch::wasm32::memory_size::<0>() - before) * PAGE;
    assert!(grown <= 1 << 20, "{grown} bytes");
}
