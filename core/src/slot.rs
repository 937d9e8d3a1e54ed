//! Cluster slots: which of the 16 384 a key belongs to.

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
    crc16(hash_tag(key)) % SLOTS
}

/// CRC16 as XMODEM has it. The polynomial x¹⁶ + x¹² + x⁵ + 1 has so few terms that shifts do what a table of 512 bytes would.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, &byte| {
        let high = crc >> 8 ^ u16::from(byte);
        let high = high ^ high >> 4;
        crc << 8 ^ high << 12 ^ high << 5 ^ high
    })
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
    fn the_checksum_is_that_of_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // bit by bit, as the polynomial defines it
        let plain = |bytes: &[u8]| {
            bytes.iter().fold(0u16, |crc, &byte| {
                (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
                    (crc << 1) ^ if crc >> 15 == 1 { 0x1021 } else { 0 }
                })
            })
        };
        for first in 0..=u16::MAX {
            let bytes = first.to_be_bytes();
            assert_eq!(crc16(&bytes), plain(&bytes));
        }
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        for (key, slot) in [
            (&b"123456789"[..], 12_739),
            (b"foo", 12_182),
            (b"", 0),
            (b"foo{}{bar}", crc16(b"foo{}{bar}") % SLOTS),
            (b"foo{{bar}}zap", crc16(b"{bar") % SLOTS),
            (b"foo{bar}{zap}", crc16(b"bar") % SLOTS),
            (b"foo{bar", crc16(b"foo{bar") % SLOTS),
        ] {
            assert_eq!(key_slot(key), slot, "{key:?}");
        }
    }
}
