//! Numbers for people.

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
    use super::rounded;

    #[test]
    fn six_digits_are_enough_for_people() {
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
