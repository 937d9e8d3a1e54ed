//! The name that a server gives to a script: the SHA-1 of its text.

use sha1::block_api::compress;

/// Gives the SHA-1 of `text` as 40 hexadecimal digits, lower case.
///
/// ```
/// use redwire_core::sha1::sha1_hex;
/// assert_eq!(&sha1_hex(b"return 1"), b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
/// ```
pub fn sha1_hex(text: &[u8]) -> [u8; 40] {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let (blocks, rest) = text.as_chunks();
    compress(&mut state, blocks);
    // the rest, a bit, and the length in bits at the end of a block
    let mut end = [0; 128];
    end[..rest.len()].copy_from_slice(rest);
    end[rest.len()] = 0x80;
    let size = if rest.len() < 56 { 64 } else { 128 };
    end[size - 8..size].copy_from_slice(&(text.len() as u64 * 8).to_be_bytes());
    compress(&mut state, end[..size].as_chunks().0);
    hex(state)
}

fn hex(state: [u32; 5]) -> [u8; 40] {
    let digit = |at: usize| b"0123456789abcdef"[(state[at / 8] >> (28 - at % 8 * 4)) as usize & 15];
    core::array::from_fn(digit)
}
