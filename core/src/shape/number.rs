//! Numbers that come as text.

/// Gives the integer that `text` writes in the one usual way.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (first, rest) = digits.split_first()?;
    let usual = *first != b'0' || rest.is_empty() && digits.len() == text.len();
    if !usual || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // 19 digits cannot overflow a u64
    let value = digits.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    if digits.len() < text.len() { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Gives the integer that the text of a double stands for.
pub(super) fn whole(text: &[u8]) -> Option<i64> {
    let end = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let (digits, fraction) = text.split_at_checked(end)?;
    let nothing = fraction.iter().skip(1).all(|&byte| byte == b'0');
    if nothing { integer(digits) } else { None }
}

/// Tells whether `text` is written as digits, a point and digits.
pub(super) fn is_decimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let point = digits.iter().position(|&byte| byte == b'.');
    let others = digits.iter().filter(|byte| !byte.is_ascii_digit()).count();
    others == 1 && point.is_some_and(|at| at > 0 && at + 1 < digits.len())
}

/// The decimal digits of an integer.
pub(super) struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    pub(super) fn of(value: i64) -> Self {
        let mut digits = Self { bytes: [b'0'; 20], start: 20 };
        let mut left = value.unsigned_abs();
        loop {
            digits.put(b'0' + (left % 10) as u8);
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if value < 0 {
            digits.put(b'-');
        }
        digits
    }

    fn put(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(self.start) {
            *place = byte;
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}
