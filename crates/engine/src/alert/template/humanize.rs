//! Prometheus' functions that make numbers readable.

use super::numbers::{general, time};

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_1024: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn four(value: f64) -> String {
    general(value, Some(4))
}

fn is_plain(value: f64) -> bool {
    value == 0.0 || !value.is_finite()
}

/// Metric prefixes: `1.049M`.
pub(super) fn humanize(value: f64) -> String {
    if is_plain(value) {
        return four(value);
    }
    if value.abs() < 1.0 {
        return small(value);
    }
    scaled(value, 1000.0, &LARGE)
}

/// Binary prefixes: `1Mi`.
pub(super) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || is_plain(value) {
        return four(value);
    }
    scaled(value, 1024.0, &LARGE_1024)
}

fn scaled(mut value: f64, base: f64, prefixes: &[&'static str]) -> String {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    format!("{}{prefix}", four(value))
}

fn small(mut value: f64) -> String {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    format!("{}{prefix}", four(value))
}

/// Seconds as `1d 2h 3m 4s`, below a second as `123ms`.
#[expect(clippy::cast_possible_truncation, reason = "whole seconds are meant")]
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return four(value);
    }
    if value.abs() < 1.0 {
        return if value == 0.0 {
            "0s".to_owned()
        } else {
            format!("{}s", small(value))
        };
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as i64;
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{}s", four(value))
    }
}

/// A ratio as `95.9%`.
pub(super) fn percentage(value: f64) -> String {
    format!("{}%", four(value * 100.0))
}

/// Seconds since the epoch as a UTC time.
pub(super) fn timestamp(value: f64) -> Result<String, String> {
    if !value.is_finite() {
        return Ok(four(value));
    }
    if (value * 1e9).abs() > 9.223_372_036_854_775e18 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            super::numbers::float(value)
        ));
    }
    Ok(time(value))
}
