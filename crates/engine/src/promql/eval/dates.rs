//! Parts of a date in UTC.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only called with date functions"
)]

use super::super::functions::Function;
use crate::metric::{date_of_days, days_of_date};

/// Month 13 is the first month of the next year.
fn days_in_month(year: i64, month: i64) -> i64 {
    days_of_date(year, month + 1, 1) - days_of_date(year, month, 1)
}

/// A part of a time in seconds since the epoch; NaN if it is not a time.
pub(super) fn part(function: Function, seconds: f64) -> f64 {
    // Later years do not fit.
    if seconds.is_nan() || seconds.abs() >= 1e15 {
        return f64::NAN;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let seconds = seconds.trunc() as i64;
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of_days(days);
    let part = match function {
        Function::Minute => of_day / 60 % 60,
        Function::Hour => of_day / 3600,
        Function::DayOfWeek => (days + 4).rem_euclid(7),
        Function::DayOfMonth => day,
        Function::DayOfYear => days - days_of_date(year, 1, 1) + 1,
        Function::DaysInMonth => days_in_month(year, month),
        Function::Month => month,
        Function::Year => year,
        _ => return f64::NAN,
    };
    #[expect(clippy::cast_precision_loss, reason = "a part of a date")]
    let part = part as f64;
    part
}

#[cfg(test)]
mod tests {
    use super::super::super::functions::Function;
    use super::part;

    #[test]
    #[expect(clippy::float_cmp, reason = "parts of a date are whole")]
    fn a_leap_day_is_the_sixtieth_day_of_its_year() {
        // 2024-02-29T23:59:00Z, a Thursday.
        let at = 1_709_251_140.0;
        assert_eq!(part(Function::DayOfYear, at), 60.0);
        assert_eq!(part(Function::DaysInMonth, at), 29.0);
        assert_eq!(part(Function::DaysInMonth, at + 307.0 * 86_400.0), 31.0);
        assert_eq!(part(Function::DayOfYear, at + 306.0 * 86_400.0), 366.0);
        assert_eq!(part(Function::DayOfWeek, at), 4.0);
        assert_eq!(part(Function::Hour, at), 23.0);
        assert!(part(Function::Year, f64::INFINITY).is_nan());
    }
}
