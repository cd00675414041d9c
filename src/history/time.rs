//! Moments as people write them.

use std::time::Duration;

use crate::metric::{Timestamp, parse_duration};

/// A moment: what [`parse_time`] reads, `now`, or a duration such as `7d` for so long before `now`.
///
/// # Errors
/// A sentence that names the text and shows the shapes.
pub fn parse_moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(now);
    }
    let before = |text: &str| parse_duration(text.strip_prefix('-').unwrap_or(text)).ok();
    parse_time(text)
        .or_else(|| Some(now - before(text)?))
        .ok_or_else(|| {
            format!("not a time: {text:?}; write Unix seconds, RFC 3339, or a duration before now such as 7d")
        })
}

/// Unix seconds, or a date and a time of day with or without a zone; UTC where there is none.
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
    let (clock, offset) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => (clock.get(..at)?, zone(clock.get(at..)?)?),
        None => (clock, 0),
    };
    let mut parts = clock.splitn(3, ':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next().unwrap_or("0").parse().ok()?;
    let in_day = hours * 3600.0 + minutes * 60.0 + seconds;
    let valid = (0.0..24.0).contains(&hours)
        && (0.0..60.0).contains(&minutes)
        && (0.0..61.0).contains(&seconds);
    let start = Timestamp::from_millis((days(year, month, day) * 86_400 - offset) * 1000);
    valid.then(|| start + Duration::from_secs_f64(in_day))
}

/// Seconds east of UTC.
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

/// Days since the epoch (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

#[cfg(test)]
mod tests {
    use super::{parse_moment, parse_time};
    use crate::metric::Timestamp;

    #[test]
    fn times_are_read_in_three_ways() {
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
    fn a_duration_is_a_moment_before_now() {
        let now = Timestamp::from_millis(1_709_210_096_789);
        let ms = |text| parse_moment(text, now).map(Timestamp::as_millis);
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
