//! Parses times of the command line and of CSV files.

use std::time::Duration;

use crate::metric::{Timestamp, days_of_date, parse_duration};

/// Parses what [`parse_time`] accepts, `now`, or a duration before `now` such as `7d`.
///
/// # Errors
/// A sentence that quotes the text and shows the formats.
pub(crate) fn parse_time_or_ago(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    let ago = || parse_duration(text.strip_prefix('-').unwrap_or(text)).ok();
    parse_time(text)
        .or_else(|| Some(now - ago()?))
        .ok_or_else(|| {
            format!("not a time: {text:?}; write Unix seconds, RFC 3339, or a duration before now such as 7d")
        })
}

/// Parses Unix seconds, or a date and a time of day with an optional zone; UTC without one.
#[must_use]
pub fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds
            .is_finite()
            .then(|| Timestamp::from_secs_f64(seconds));
    }
    let (date, clock) = text.split_once([' ', 'T', 't'])?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=9999).contains(&year) {
        return None;
    }
    let (time_of_day, offset) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => (clock.get(..at)?, zone(clock.get(at..)?)?),
        None => (clock, 0),
    };
    let mut parts = time_of_day.splitn(3, ':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next().unwrap_or("0").parse().ok()?;
    let in_day = hours * 3600.0 + minutes * 60.0 + seconds;
    let valid = (0.0..24.0).contains(&hours)
        && (0.0..60.0).contains(&minutes)
        && (0.0..61.0).contains(&seconds);
    let midnight =
        Timestamp::from_millis((days_of_date(year, month, day) * 86_400 - offset) * 1000);
    valid.then(|| midnight + Duration::from_secs_f64(in_day))
}

/// The offset of a zone in seconds east of UTC.
fn zone(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    Some(
        sign * (hours.parse::<u16>().ok().map(i64::from)? * 3600
            + minutes.parse::<u16>().ok().map(i64::from)? * 60),
    )
}

#[cfg(test)]
mod tests {
    use super::{parse_time, parse_time_or_ago};
    use crate::metric::Timestamp;

    #[test]
    fn times_have_three_formats() {
        let ms = |text| parse_time(text).map(Timestamp::as_millis);
        assert_eq!(ms("1709210096"), Some(1_709_210_096_000));
        assert_eq!(ms("2024-02-29 12:34:56"), Some(1_709_210_096_000));
        assert_eq!(ms("2024-02-29T12:34:56.789Z"), Some(1_709_210_096_789));
        assert_eq!(ms("2024-02-29T14:34:56+02:00"), Some(1_709_210_096_000));
        for bad in [
            "",
            "today",
            "2024-13-01 00:00:00",
            "2024-01-01 25:00:00",
            "NaN",
        ] {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_duration_is_a_time_before_now() {
        let now = Timestamp::from_millis(1_709_210_096_789);
        let ms = |text| parse_time_or_ago(text, now).map(Timestamp::as_millis);
        assert_eq!(ms("1h"), Ok(1_709_206_496_789));
        assert_eq!(ms("now"), Ok(1_709_210_096_789));
        assert_eq!(ms("1709210096.5"), Ok(1_709_210_096_500));
        assert!(
            ms("yesterday")
                .unwrap_err()
                .starts_with("not a time: \"yesterday\"")
        );
    }
}
