//! The local day of a time zone: which day it is, of which kind, and how late it is.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde_json::json;

use crate::describe::{Kind, Limits, Node, Scalar, Shape, worded};
use crate::metric::{Timestamp, days_of_date, nearest};

const DAY_SECONDS: i64 = 86_400;
/// Days of the week, counted from Monday.
const SATURDAY: usize = 5;
const SUNDAY: usize = 6;

/// Which days are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    Alike,
    Weekend,
    Each,
}

worded! {
    Days {
        "alike" => Self::Alike, "All days are alike.";
        "weekend" => Self::Weekend, "Monday to Friday are alike, and so are Saturday and Sunday.";
        "each" => Self::Each, "Each day of the week differs from the others.";
    }
}

impl Days {
    /// How many kinds of day there are.
    pub(super) fn kinds(self) -> usize {
        match self {
            Self::Alike => 1,
            Self::Weekend => 2,
            Self::Each => 7,
        }
    }

    /// The kind of a day of the week, counted from Monday.
    fn kind(self, weekday: usize) -> usize {
        match self {
            Self::Alike => 0,
            Self::Weekend => usize::from(weekday >= SATURDAY),
            Self::Each => weekday,
        }
    }
}

/// A time zone of the IANA database, which is compiled in: no file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone(TimeZone);

impl Zone {
    pub(super) const UTC: Self = Self(TimeZone::UTC);

    /// A zone by its name, such as `Europe/Berlin`.
    fn named(name: &str) -> Option<Self> {
        TimeZoneDatabase::bundled().get(name).ok().map(Self)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Seconds since the epoch as a local clock shows them. Outside of the years that the database
    /// knows, those of UTC.
    fn local_seconds(&self, at: Timestamp) -> i64 {
        let seconds = at.as_millis().div_euclid(1000);
        let offset = jiff::Timestamp::from_second(seconds)
            .map_or(0, |at| i64::from(self.0.to_offset(at).seconds()));
        seconds.saturating_add(offset)
    }
}

static ZONE: Scalar = Scalar {
    name: "time zone",
    doc: "A name of the IANA time zone database, such as `Europe/Berlin`.",
    schema: || json!({"type": "string", "minLength": 1}),
    show: |number| number.to_string(),
};

impl Shape for Zone {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&ZONE)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        let name = node.text()?;
        let zone = Self::named(&name);
        if zone.is_none() {
            let known: Vec<String> = TimeZoneDatabase::bundled()
                .available()
                .map(|zone| zone.to_string())
                .collect();
            let hint = match nearest(&name, known.iter().map(String::as_str), 3) {
                Some(near) => format!("did you mean {near}?"),
                None => "write a name such as Europe/Berlin or UTC".to_owned(),
            };
            node.problem(format!("no time zone {name:?}; {hint}"));
        }
        zone
    }

    fn show(value: &Self) -> Option<String> {
        Some(value.name().to_owned())
    }
}

/// A date such as `2026-12-25`, as days since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date(i64);

static DATE: Scalar = Scalar {
    name: "date",
    doc: "A date such as `2026-12-25`.",
    schema: || json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
    show: |number| number.to_string(),
};

impl Shape for Date {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&DATE)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        let text = node.text()?;
        let date = text.parse::<jiff::civil::Date>().ok();
        let Some(date) = date.filter(|_| text.len() == "2026-12-25".len()) else {
            node.problem(format!("must be a date such as 2026-12-25, got {text:?}"));
            return None;
        };
        let (year, month, day) = (date.year(), date.month(), date.day());
        Some(Self(days_of_date(year.into(), month.into(), day.into())))
    }
}

/// Where local time stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LocalTime {
    /// Days since the epoch.
    pub(super) day: i64,
    /// The kind of day.
    pub(super) kind: usize,
    /// Seconds that the clock shows since midnight.
    pub(super) second: i64,
}

/// Local days and their kinds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calendar {
    pub(super) zone: Zone,
    pub(super) days: Days,
    /// Dates that count as a Sunday.
    pub(super) holidays: Vec<Date>,
}

impl Calendar {
    /// Local time at an instant.
    pub(super) fn at(&self, at: Timestamp) -> LocalTime {
        let seconds = self.zone.local_seconds(at);
        let day = seconds.div_euclid(DAY_SECONDS);
        // The epoch was a Thursday.
        let weekday = (day + 3).rem_euclid(7) as usize;
        let weekday = if self.holidays.contains(&Date(day)) {
            SUNDAY
        } else {
            weekday
        };
        LocalTime {
            day,
            kind: self.days.kind(weekday),
            second: seconds.rem_euclid(DAY_SECONDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(zone: &str, days: Days) -> Calendar {
        Calendar {
            zone: Zone::named(zone).unwrap(),
            days,
            holidays: vec![Date(days_of_date(2026, 12, 24))],
        }
    }

    fn utc(year: i64, month: i64, day: i64, hour: i64) -> Timestamp {
        let seconds = days_of_date(year, month, day) * DAY_SECONDS + hour * 3600;
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn local_time_follows_daylight_saving_on_both_days_of_change() {
        let berlin = calendar("Europe/Berlin", Days::Alike);
        let hour = |at| berlin.at(at).second / 3600;
        // 29 March 2026: 02:00 becomes 03:00. 25 October 2026: 03:00 becomes 02:00.
        assert_eq!([0, 1].map(|h| hour(utc(2026, 3, 29, h))), [1, 3]);
        assert_eq!([0, 1, 2].map(|h| hour(utc(2026, 10, 25, h))), [2, 2, 3]);
        let new_york = calendar("America/New_York", Days::Alike);
        let late = new_york.at(utc(2026, 7, 1, 2));
        assert_eq!(late.second / 3600, 22);
        assert_eq!(late.day, days_of_date(2026, 6, 30));
    }

    #[test]
    fn a_holiday_counts_as_a_sunday_in_local_time() {
        let tokyo = calendar("Asia/Tokyo", Days::Each);
        let kind = |day, hour| tokyo.at(utc(2026, 12, day, hour)).kind;
        // 24 December 2026 is a Thursday, and begins at 15:00 UTC of the day before.
        assert_eq!([kind(23, 14), kind(23, 15), kind(24, 14)], [2, 6, 6]);
        assert_eq!([kind(24, 15), kind(26, 20)], [4, 6]);
        let weekend = calendar("UTC", Days::Weekend);
        let kinds = [23, 24, 25, 26, 27, 28].map(|day| weekend.at(utc(2026, 12, day, 0)).kind);
        assert_eq!(kinds, [0, 1, 0, 1, 1, 0]);
    }

    #[test]
    fn every_time_has_a_local_time() {
        let berlin = calendar("Europe/Berlin", Days::Each);
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            let local = berlin.at(Timestamp::from_millis(millis));
            assert!(local.kind < 7 && (0..DAY_SECONDS).contains(&local.second));
        }
    }
}
