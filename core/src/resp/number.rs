//! Numbers on the wire: strict, bounded, without allocation.

use super::DecodeError;

/// Parses a length: digits without a sign, or -1.
#[inline(always)]
pub(super) fn length(text: &[u8]) -> Result<Option<(i64, usize)>, DecodeError> {
    match text {
        [b'0'..=b'9', ..] | [b'-', b'1', ..] | [b'-'] | [] => line(text, DecodeError::Length),
        _ => Err(DecodeError::Length),
    }
}

/// Parses the decimal digits of `text` up to its CRLF; gives the value and the bytes used, `None` for "more bytes".
///
/// A value beyond `i64` is refused.
#[inline(always)]
pub(super) fn line(text: &[u8], error: DecodeError) -> Result<Option<(i64, usize)>, DecodeError> {
    // most lengths have one or two digits
    match text {
        [a @ b'0'..=b'9', b'\r', b'\n', ..] => Ok(Some((i64::from(a - b'0'), 3))),
        [a @ b'0'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Ok(Some((i64::from(a - b'0') * 10 + i64::from(b - b'0'), 4)))
        }
        _ => long_line(text, error),
    }
}

#[cfg_attr(target_family = "wasm", inline(never))]
fn long_line(text: &[u8], error: DecodeError) -> Result<Option<(i64, usize)>, DecodeError> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut value: u64 = 0;
    // 19 digits cannot overflow a u64; behind them, one more byte that is none
    for (count, &byte) in digits.iter().take(20).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 && count < 19 {
            value = value * 10 + u64::from(digit);
            continue;
        }
        if byte != b'\r' || count == 0 {
            return Err(error);
        }
        let used = text.len() - digits.len() + count + 2;
        match digits.get(count + 1) {
            Some(b'\n') => {}
            Some(_) => return Err(DecodeError::Newline),
            None => return Ok(None),
        }
        let value = if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() };
        return value.map(|value| Some((value, used))).ok_or(error);
    }
    Ok(None)
}

/// Tells whether `text` is a RESP3 double.
pub(crate) fn is_double(text: &[u8]) -> bool {
    if matches!(text, b"inf" | b"-inf" | b"+inf" | b"nan" | b"-nan") {
        return true;
    }
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        _ => (0, rest),
    };
    let exponent = match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => {
            matches!(digits(rest), (1.., []))
        }
        _ => false,
    };
    whole + fraction > 0 && exponent
}

/// Tells whether `text` is an integer of any size.
pub(super) fn is_big_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    matches!(digits(unsigned), (1.., []))
}

fn digits(text: &[u8]) -> (usize, &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count, text.get(count..).unwrap_or_default())
}
