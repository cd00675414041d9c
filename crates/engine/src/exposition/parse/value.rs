//! Sample values and bucket bounds.

use crate::metric::format_bound;

/// Parses a sample value as Prometheus does: Go's `ParseFloat` without hexadecimal numbers and
/// underscores.
///
/// `NaN` has no sign; the result is the canonical NaN. A number too large for a float is an error,
/// one too small is 0.
///
/// # Errors
/// `not a number` or `too large for a float`.
pub fn parse_value(text: &[u8]) -> Result<f64, &'static str> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1.0, rest),
        [b'+', rest @ ..] => (1.0, rest),
        rest => (1.0, rest),
    };
    match digits.first() {
        Some(b'0'..=b'9' | b'.') => {
            let magnitude: f64 = fast_float2::parse(digits).map_err(|_| "not a number")?;
            if magnitude.is_infinite() {
                return Err("too large for a float");
            }
            Ok(sign * magnitude)
        }
        Some(b'i' | b'I')
            if digits.eq_ignore_ascii_case(b"inf") || digits.eq_ignore_ascii_case(b"infinity") =>
        {
            Ok(sign * f64::INFINITY)
        }
        Some(b'n' | b'N') if digits.len() == text.len() && digits.eq_ignore_ascii_case(b"nan") => {
            Ok(f64::NAN)
        }
        _ => Err("not a number"),
    }
}

/// The powers of ten that a float represents exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Parses a plain decimal and the newline after it, the form of nearly every sample; `None` for
/// every other form.
///
/// Integers up to 2⁵³ and powers of ten up to 10²² are exact floats, so one division rounds
/// correctly (Clinger, "How to read floating point numbers accurately"). Returns the value and the
/// offset after the newline.
#[inline]
pub(in crate::exposition) fn quick_value(body: &[u8], at: usize) -> Option<(f64, usize)> {
    let bytes = body.get(at..)?;
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut mantissa: u64 = 0;
    let mut point = usize::MAX;
    for (i, &byte) in bytes[start..].iter().take(18).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if byte == b'.' && point == usize::MAX {
            point = i;
        } else if byte == b'\n' {
            let fraction = if point == usize::MAX {
                0
            } else {
                i - 1 - point
            };
            let digits = if point == usize::MAX { i } else { i - 1 };
            if digits == 0 || mantissa > 1 << 53 {
                return None;
            }
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2⁵³")]
            let value = mantissa as f64 / EXACT[fraction];
            let value = if negative { -value } else { value };
            return Some((value, at + start + i + 1));
        } else {
            return None;
        }
    }
    None
}

/// The value of an `le` or `quantile` label in OpenMetrics' canonical form, so that `1` and `1.0`
/// are one series.
///
/// `None` if the text is not a number, or already canonical.
#[must_use]
pub(crate) fn canonical_bound(text: &str) -> Option<String> {
    let value = parse_value(text.as_bytes()).ok()?;
    let canonical = format_bound(value);
    (canonical != text).then_some(canonical)
}

#[cfg(test)]
mod tests {
    use super::{canonical_bound, parse_value, quick_value};

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-1.5", -1.5),
            (".5", 0.5),
            ("1.", 1.0),
            ("1e3", 1000.0),
            ("1.7E+009", 1.7e9),
            ("1e-400", 0.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_value(text.as_bytes()), Ok(value), "{text}");
        }
        for text in ["NaN", "nan", "Nan"] {
            assert!(parse_value(text.as_bytes()).unwrap().is_nan(), "{text}");
        }
        for text in [
            "", "+", "-", ".", "e5", "1e", "1e+", "+NaN", "-nan", "0x10", "1_000", "1p3", "1e400",
            "true", "--1", "+-1", "1 ", "1\r", "in", "1.5.2", "\u{661}",
        ] {
            assert!(
                parse_value(text.as_bytes()).is_err(),
                "{text:?} was accepted"
            );
        }
    }

    #[test]
    fn the_quick_path_agrees_with_the_full_one_or_returns_none() {
        for (text, quick) in [
            ("0", true),
            ("-0", true),
            ("12", true),
            ("1234.5678", true),
            ("0.1", true),
            (".5", true),
            ("5.", true),
            ("9007199254740992", true),
            ("-3.14159", true),
            ("9007199254740993", false),
            ("12345678901234567890", false),
            ("1e5", false),
            ("NaN", false),
            (".", false),
            ("-", false),
            ("1.2.3", false),
            ("1\r", false),
        ] {
            let line = format!("{text}\nrest");
            let found = quick_value(line.as_bytes(), 0);
            assert_eq!(found.is_some(), quick, "{text:?}");
            if let Some((value, end)) = found {
                let full = parse_value(text.as_bytes()).unwrap();
                assert_eq!(value.to_bits(), full.to_bits(), "{text}");
                assert_eq!(end, text.len() + 1);
            }
        }
        assert_eq!(
            quick_value(b"12", 0),
            None,
            "a last line without newline is left to the full path"
        );
        assert_eq!(quick_value(b"12", 5), None);
    }

    #[test]
    fn bounds_are_written_as_openmetrics_writes_them() {
        for (text, canonical) in [
            ("1", "1.0"),
            ("0", "0.0"),
            ("0.50", "0.5"),
            ("100000", "100000.0"),
            ("1000000", "1e+06"),
            ("2500000", "2.5e+06"),
            ("0.00001", "1e-05"),
            ("1e21", "1e+21"),
            ("inf", "+Inf"),
            ("-1", "-1.0"),
        ] {
            assert_eq!(canonical_bound(text).as_deref(), Some(canonical), "{text}");
        }
        for text in ["1.0", "+Inf", "0.005", "1e+06", "0.0001", "x", ""] {
            assert_eq!(canonical_bound(text), None, "{text}");
        }
    }
}
