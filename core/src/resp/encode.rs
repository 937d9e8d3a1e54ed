//! Writes commands, and frames, to a buffer that may be fixed.

/// The buffer cannot hold the bytes; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the buffer cannot hold the command")
    }
}

impl core::error::Error for Full {}

/// Bytes that can be appended to.
pub trait Buffer {
    /// Makes room for `additional` bytes.
    ///
    /// # Errors
    /// [`Full`] when there is none.
    fn reserve(&mut self, additional: usize) -> Result<(), Full>;

    /// Appends `bytes`, for which room was made.
    fn put(&mut self, bytes: &[u8]);
}

impl<const N: usize> Buffer for heapless::Vec<u8, N> {
    fn reserve(&mut self, additional: usize) -> Result<(), Full> {
        if N - self.len() < additional { Err(Full) } else { Ok(()) }
    }

    fn put(&mut self, bytes: &[u8]) {
        let fits = self.extend_from_slice(bytes);
        debug_assert!(fits.is_ok(), "room was made");
    }
}

#[cfg(feature = "alloc")]
impl Buffer for alloc::vec::Vec<u8> {
    fn reserve(&mut self, additional: usize) -> Result<(), Full> {
        self.reserve(additional);
        Ok(())
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(feature = "alloc")]
impl Buffer for bytes::BytesMut {
    fn reserve(&mut self, additional: usize) -> Result<(), Full> {
        self.reserve(additional);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Appends one command, `args` beginning with its name, and gives the bytes written.
///
/// The length is known beforehand: one reservation, and nothing is written when it fails.
///
/// # Errors
/// [`Full`] when `buffer` has no room for the whole command.
///
/// ```
/// let mut buffer = heapless::Vec::<u8, 64>::new();
/// let written = redwire_core::resp::encode::command(&mut buffer, &[b"GET", b"key"]).unwrap();
/// assert_eq!(buffer, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
/// assert_eq!(written, buffer.len());
/// ```
pub fn command<B: Buffer>(buffer: &mut B, args: &[&[u8]]) -> Result<usize, Full> {
    let length = header_len(args.len()) + args.iter().map(|arg| bulk_len(arg.len())).sum::<usize>();
    buffer.reserve(length)?;
    header(buffer, b'*', args.len());
    for arg in args {
        bulk(buffer, arg);
    }
    Ok(length)
}

/// Gives the bytes that `$n`, `n` bytes of text and their line ends take.
pub(crate) fn bulk_len(length: usize) -> usize {
    header_len(length) + length + 2
}

/// Gives the bytes that a tag, a length and a line end take.
pub(crate) fn header_len(length: usize) -> usize {
    length.checked_ilog10().unwrap_or(0) as usize + 4
}

/// Appends a tag, a length and a line end, for which room was made.
#[cfg_attr(target_family = "wasm", inline(never))]
#[cfg_attr(not(target_family = "wasm"), inline)]
pub(crate) fn header<B: Buffer>(buffer: &mut B, tag: u8, length: usize) {
    let mut text = [0; 24];
    let mut at = text.len() - 2;
    let mut rest = length;
    text[at] = b'\r';
    text[at + 1] = b'\n';
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    at -= 1;
    text[at] = tag;
    buffer.put(&text[at..]);
}

/// Appends a bulk string, for which room was made.
#[inline]
pub(crate) fn bulk<B: Buffer>(buffer: &mut B, text: &[u8]) {
    header(buffer, b'$', text.len());
    buffer.put(text);
    buffer.put(b"\r\n");
}
