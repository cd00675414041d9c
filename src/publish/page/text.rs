//! Numbers, times and labels as text for people, and escaping for HTML.

use std::time::Duration;

use crate::judge::Band;
use crate::metric::{Labels, Timestamp, format_duration};
use crate::publish::{Alert, Definition, Signal};

/// Escapes text for an element or a quoted attribute.
#[must_use]
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The number with four significant digits.
#[must_use]
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = match size {
        1000.0.. => 0,
        100.0.. => 1,
        10.0.. => 2,
        1.0.. => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// The time from `from` to `to`, to the second.
pub(super) fn elapsed(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.since(from).as_secs();
    format_duration(Duration::from_secs(seconds))
}

/// An expected band in words.
pub(super) fn range(band: &Band) -> String {
    match (band.lower, band.upper) {
        (None, None) => "unknown".to_owned(),
        (Some(lower), None) => format!("at least {}", number(lower)),
        (None, Some(upper)) => format!("at most {}", number(upper)),
        (Some(lower), Some(upper)) => format!("{} to {}", number(lower), number(upper)),
    }
}

/// Hours, minutes and seconds in UTC.
pub(super) fn clock(at: Timestamp) -> String {
    let full = at.to_string();
    full.split_once('T')
        .and_then(|(_, time)| time.split('.').next())
        .unwrap_or("")
        .to_owned()
}

/// Day and time in UTC.
pub(super) fn moment(at: Timestamp) -> String {
    let full = at.to_string();
    let day = full.split('T').next().unwrap_or("");
    format!("{day} {} UTC", clock(at))
}

/// `name=value` pairs, without the metric's name.
pub(super) fn series(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != Labels::NAME)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(" ")
}

/// The anchor of a signal, which is its id in the API: that of its rule, and a hash of its labels.
/// It is stable across restarts, so that a link in an alert stays valid.
#[must_use]
pub(crate) fn anchor(signal: &Signal) -> String {
    let rule = signal.rule.key.id();
    let series = signal.labels.fingerprint();
    format!("signal-{}-{rule}-{series:016x}", slug(signal.rule.name()))
}

/// The anchor of a rule.
pub(super) fn rule_anchor(rule: &Definition) -> String {
    format!("rule-{}-{}", slug(rule.name()), rule.key.id())
}

/// The anchor of an alert.
pub(super) fn alert_anchor(alert: &Alert) -> String {
    let rule = alert.rule.key.id();
    let labels = alert.labels.fingerprint();
    format!("alert-{}-{rule}-{labels:016x}", slug(alert.rule.name()))
}

/// The attributes by which the script of the page finds what a link to the rule means.
pub(super) fn names(rule: &Definition) -> String {
    let (name, id) = (escape(rule.name()), rule.key.id());
    format!(" data-rule=\"{name}\" data-rule-id=\"{id}\"")
}

fn slug(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{clock, elapsed, number};
    use crate::metric::Timestamp;

    #[test]
    fn numbers_keep_four_digits() {
        let cases = [
            (0.0, "0"),
            (0.9234567, "0.9235"),
            (12.0, "12"),
            (1234.56, "1235"),
            (100.0, "100"),
            (1e-9, "1.000e-9"),
            (-3.5, "-3.5"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn what_began_after_now_has_lasted_no_time() {
        let at = Timestamp::from_millis;
        assert_eq!(elapsed(at(1_000), at(66_900)), "1m5s");
        assert_eq!(elapsed(at(5_000), at(0)), "0s");
    }

    #[test]
    fn a_clock_shows_seconds() {
        assert_eq!(clock(Timestamp::from_millis(1_709_210_096_789)), "12:34:56");
    }
}
