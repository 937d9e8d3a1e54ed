//! Bytes as a server sends them.

/// Texts per input of many.
pub const MANY: usize = 1000;

/// [`MANY`] replies of 16 bytes.
pub fn small_bulks() -> Vec<u8> {
    b"$16\r\n0123456789abcdef\r\n".repeat(MANY)
}

/// One array of 10 000 texts of 16 bytes.
pub fn array() -> Vec<u8> {
    let mut reply = b"*10000\r\n".to_vec();
    (0..10_000).for_each(|i| reply.extend(format!("$16\r\nitem:{i:011}\r\n").bytes()));
    reply
}

/// One text of 1 MiB.
pub fn large_bulk() -> Vec<u8> {
    let mut reply = format!("${}\r\n", 1 << 20).into_bytes();
    reply.extend(vec![b'x'; 1 << 20]);
    reply.extend(b"\r\n");
    reply
}

/// A hundred replies, each 32 arrays inside one another with a number at each level.
pub fn nesting() -> Vec<u8> {
    let mut reply = b"*2\r\n:1234\r\n".repeat(32);
    reply.extend(b"$5\r\nvalue\r\n");
    reply.repeat(100)
}

/// One RESP3 map of 1000 fields.
pub fn map() -> Vec<u8> {
    let mut reply = b"%1000\r\n".to_vec();
    (0..1000).for_each(|i| reply.extend(format!("$12\r\nfield:{i:06}\r\n$16\r\nvalue:{i:010}\r\n").bytes()));
    reply
}

/// [`MANY`] keys, as clients name them.
pub fn keys() -> Vec<String> {
    (0..MANY).map(|i| format!("key:{i:08}")).collect()
}
