//! The name that a server gives to a script: the SHA-1 of its text.

use sha1::{Digest, Sha1};

/// Gives the SHA-1 of `text` as 40 hexadecimal digits, lower case.
///
/// ```
/// use redwire_core::sha1::sha1_hex;
/// assert_eq!(&sha1_hex(b"return 1"), b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
/// ```
pub fn sha1_hex(text: &[u8]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; 40];
    for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(Sha1::digest(text)) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    hex
}
