//! Numbers that come as text.

/// Gives the integer that `text` writes in the one usual way.
#[inline(never)]
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let usual = digits.first() != Some(&b'0') || text.len() == 1;
    // 19 digits cannot overflow a u64
    if !usual || digits.len() > 19 || !is_digits(digits) {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        value = value * 10 + u64::from(digit - b'0');
    }
    if digits.len() < text.len() { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

#[inline(never)]
fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
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
    let point = digits.iter().position(|&byte| byte == b'.').unwrap_or_default();
    match digits.split_at_checked(point) {
        Some((whole, [_, fraction @ ..])) => is_digits(whole) && is_digits(fraction),
        _ => false,
    }
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
