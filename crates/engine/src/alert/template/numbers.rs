//! Numbers, times and durations as Go prints them.

use crate::metric::Timestamp;

/// Go's `%v` of a float64: shortest digits, exponent form below 1e-4 and from 1e6 on.
pub(crate) fn float(value: f64) -> String {
    general(value, None)
}

/// Go's `%g`, with a precision or with as many digits as identify the number.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let precision = precision.map(|p| p.max(1));
    let scientific = match precision {
        Some(p) => format!("{:.*e}", p - 1, value),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let limit = precision.map_or(SHORTEST_EXPONENT, |p| i32::try_from(p).unwrap_or(i32::MAX));
    if exponent < -4 || exponent >= limit {
        return format!("{mantissa}e{}", exponent_text(exponent));
    }
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let digits = i32::try_from(digits).unwrap_or(i32::MAX);
    let decimals = usize::try_from(digits - 1 - exponent).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// From this exponent on `%v` and `%g` without precision use the exponent form
/// (`strconv.FormatFloat`).
const SHORTEST_EXPONENT: i32 = 6;

fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{:02}", exponent.abs())
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".to_owned());
    }
    value
        .is_infinite()
        .then(|| if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
}

/// Go's `%e`.
pub(super) fn exponential(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| {
        let text = format!("{value:.precision$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        format!(
            "{mantissa}e{}",
            exponent_text(exponent.parse().unwrap_or(0))
        )
    })
}

pub(super) fn fixed(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| format!("{value:.precision$}"))
}

/// Go's `time.Time.String` in UTC, with milliseconds as Prometheus keeps them.
pub(super) fn time(seconds: f64) -> String {
    let text = Timestamp::from_secs_f64(seconds).to_string();
    let text = text.trim_end_matches('Z').replace('T', " ");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    // Without a fraction, trimming may have removed zeros of the seconds.
    let whole = "2006-01-02 15:04:05".len();
    let padding = "0".repeat(whole.saturating_sub(text.len()));
    format!("{text}{padding} +0000 UTC")
}

/// Go's `time.Duration.String`: `2h10m15s`, `1.5s`, `300ms`, `0s`.
pub(super) fn duration(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    if seconds < f64::MIN_POSITIVE {
        return "0s".to_owned();
    }
    if seconds < 1.0 {
        let (unit, scale) = match seconds {
            s if s < 1e-6 => ("ns", 1e9),
            s if s < 1e-3 => ("µs", 1e6),
            _ => ("ms", 1e3),
        };
        return format!("{sign}{}{unit}", trimmed(seconds * scale, 6));
    }
    let hours = (seconds / 3600.0).floor();
    let minutes = ((seconds - hours * 3600.0) / 60.0).floor();
    let rest = trimmed(seconds - hours * 3600.0 - minutes * 60.0, 9);
    if hours > 0.0 {
        format!("{sign}{hours}h{minutes}m{rest}s")
    } else if minutes > 0.0 {
        format!("{sign}{minutes}m{rest}s")
    } else {
        format!("{sign}{rest}s")
    }
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
