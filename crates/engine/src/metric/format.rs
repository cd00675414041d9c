//! Numbers as text: as Go, and so Prometheus, writes them, and rounded for people.

/// The shortest decimal that reads back equal, without exponent: Go's `strconv.FormatFloat(v, 'f',
/// -1, 64)`.
///
/// Used for values in the HTTP API, in label values and by promtool.
#[must_use]
pub fn format_value(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // Rust prints the shortest digits that read back, without exponent, and keeps the sign of zero
    // as Go does.
    value.to_string()
}

/// As Go's `%v` and `%g` write a float: an exponent below 1e-4 and from 1e6 on.
#[must_use]
pub(crate) fn format_general(value: f64) -> String {
    if !value.is_finite() || value.to_bits() << 1 == 0 {
        return format_value(value);
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format_value(value);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// As OpenMetrics writes the value of an `le` or `quantile` label: [`format_general`], with `.0`
/// behind whole numbers.
pub(crate) fn format_bound(value: f64) -> String {
    let mut text = format_general(value);
    if value.is_finite() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        text.push_str(".0");
    }
    text
}

/// A share as a number of percent, without the sign: to a tenth, or to two significant digits below
/// 1 %.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if !percent.is_finite() {
        return rounded(percent);
    }
    let text = if percent.abs() < 1.0 {
        format!("{percent:.1e}")
    } else {
        format!("{percent:.1}")
    };
    text.parse()
        .map_or(text, |rounded: f64| rounded.to_string())
}

/// At most six significant digits, in plain decimals where a person reads them easily.
#[must_use]
pub fn rounded(value: f64) -> String {
    if !value.is_finite() {
        return match value {
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            _ => "NaN".to_owned(),
        };
    }
    let value: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if value == 0.0 || (1e-4..1e9).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::{format_general, format_value, rounded};

    #[test]
    fn values_are_written_without_exponent() {
        assert_eq!(format_value(0.1 + 0.2), "0.30000000000000004");
        assert_eq!(format_value(1e21), "1000000000000000000000");
        assert_eq!(format_value(f64::NEG_INFINITY), "-Inf");
        assert_eq!(format_value(-0.0), "-0");
    }

    #[test]
    fn the_general_form_is_that_of_go() {
        assert_eq!(format_general(1e21), "1e+21");
        assert_eq!(format_general(123_456_789.0), "1.23456789e+08");
        assert_eq!(format_general(123_456.0), "123456");
        assert_eq!(format_general(0.00001), "1e-05");
        assert_eq!(format_general(f64::INFINITY), "+Inf");
        assert_eq!(format_general(0.0001), "0.0001");
    }

    #[test]
    fn at_most_six_digits_are_shown_to_people() {
        let cases = [
            (449.999_999_999_999_8, "450"),
            (0.782_931_354_359_93, "0.782931"),
            (-1_234.567_89, "-1234.57"),
            (2.5e-7, "2.5e-7"),
            (1.5e12, "1.5e12"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(rounded(value), expected);
        }
    }
}
