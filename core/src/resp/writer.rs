//! Writes commands to bytes that are already there, a few machine words at a time.

/// A position in a buffer that has room for everything that will be written, and [`SLACK`](Self::SLACK) bytes more.
///
/// Short texts are copied in stretches of constant length, which is several times quicker than a call for a few bytes; what
/// is written too much lies behind the position and is written over.
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// How much may be written behind the last position.
    pub(crate) const SLACK: usize = 32;

    pub(crate) fn new(out: &'a mut [u8], at: usize) -> Self {
        Self { out, at }
    }

    /// Gives the position.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Writes a tag, a length and a line end.
    #[inline(always)]
    pub(crate) fn header(&mut self, tag: u8, length: usize) {
        let digit = |value: usize| b'0' + (value % 10) as u8;
        let (bytes, used) = match length {
            0..10 => ([tag, digit(length), b'\r', b'\n', 0, 0, 0, 0], 4),
            10..100 => ([tag, digit(length / 10), digit(length), b'\r', b'\n', 0, 0, 0], 5),
            100..1000 => {
                let digits = [digit(length / 100), digit(length / 10), digit(length)];
                ([tag, digits[0], digits[1], digits[2], b'\r', b'\n', 0, 0], 6)
            }
            _ => return self.long_header(tag, length),
        };
        self.put(bytes, used);
    }

    #[inline(never)]
    fn long_header(&mut self, tag: u8, length: usize) {
        let digits = length.ilog10() as usize + 1;
        self.out[self.at] = tag;
        let mut rest = length;
        for digit in self.out[self.at + 1..=self.at + digits].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.at += 1 + digits;
        self.newline();
    }

    /// Writes the first `length` bytes of `source`.
    #[inline(always)]
    pub(crate) fn text(&mut self, source: &[u8], length: usize) {
        match (length, source.first_chunk::<16>(), source.first_chunk::<32>()) {
            (..=16, Some(&chunk), _) => self.put(chunk, length),
            (..=32, _, Some(&chunk)) => self.put(chunk, length),
            _ => {
                self.out[self.at..self.at + length].copy_from_slice(&source[..length]);
                self.at += length;
            }
        }
    }

    /// Writes a line end.
    #[inline(always)]
    pub(crate) fn newline(&mut self) {
        self.put([b'\r', b'\n'], 2);
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N], used: usize) {
        self.out[self.at..self.at + N].copy_from_slice(&bytes);
        self.at += used;
    }
}
