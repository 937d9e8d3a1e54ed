//! Cluster slots: which of the 16 384 a key belongs to.

use crc16::{State, XMODEM};

/// The number of slots of a cluster.
pub const SLOTS: u16 = 16_384;

/// Gives the slot of `key`: CRC16 of its hash tag, or of all of it where it has none.
///
/// The hash tag is what stands between the first `{` and the next `}`, when that is not empty.
///
/// ```
/// use redwire_core::slot::key_slot;
/// assert_eq!(key_slot(b"123456789"), 0x31c3 % 16_384);
/// assert_eq!(key_slot(b"{user1000}.following"), key_slot(b"{user1000}.followers"));
/// ```
pub fn key_slot(key: &[u8]) -> u16 {
    State::<XMODEM>::calculate(hash_tag(key)) % SLOTS
}

fn hash_tag(key: &[u8]) -> &[u8] {
    let position = |bytes: &[u8], brace| bytes.iter().position(|&byte| byte == brace);
    position(key, b'{')
        .and_then(|open| key.get(open + 1..))
        .and_then(|rest| rest.get(..position(rest, b'}')?))
        .filter(|tag| !tag.is_empty())
        .unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        for (key, slot) in [
            (&b"123456789"[..], 12_739),
            (b"foo", 12_182),
            (b"", 0),
            (b"foo{}{bar}", key_slot_of_all(b"foo{}{bar}")),
            (b"foo{{bar}}zap", key_slot_of_all(b"{bar")),
            (b"foo{bar}{zap}", key_slot_of_all(b"bar")),
            (b"foo{bar", key_slot_of_all(b"foo{bar")),
        ] {
            assert_eq!(key_slot(key), slot, "{key:?}");
        }
    }

    fn key_slot_of_all(bytes: &[u8]) -> u16 {
        State::<XMODEM>::calculate(bytes) % SLOTS
    }
}
