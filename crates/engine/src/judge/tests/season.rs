//! `seasonal` on weeks of made-up traffic: nightly jobs, weekends, holidays, summer time.

use std::time::Duration;

use super::null::Random;
use super::{at, config};
use crate::judge::{Registry, StrategyContext, ThresholdStrategy};
use crate::metric::{Direction, days_of_date};

const MINUTES: i64 = 1440;

fn seasonal(json: &str, direction: Direction) -> Box<dyn ThresholdStrategy> {
    let context = StrategyContext {
        direction,
        interval: Duration::from_secs(60),
    };
    Registry::built_in().build(&config(json), &context).unwrap()
}

/// Judges one value a minute from 00:00 UTC of Monday, 2 March 2026, and returns the anomalous
/// minutes. `value` is given the minute, and gets noise of 5 %.
fn anomalous(json: &str, direction: Direction, days: i64, value: impl Fn(i64) -> f64) -> Vec<i64> {
    let start = days_of_date(2026, 3, 2) * 86_400;
    let mut strategy = seasonal(json, direction);
    let mut random = Random(7);
    let minutes = 0..days * MINUTES;
    minutes
        .filter(|minute| {
            let noisy = value(*minute) * (0.05 * random.normal()).exp();
            let sample = at(noisy, start + minute * 60);
            strategy.judge(&sample).is_anomalous()
        })
        .collect()
}

/// The share of the minutes that are anomalous.
fn share(anomalous: &[i64], minutes: &std::ops::Range<i64>) -> f64 {
    let hit = anomalous.iter().filter(|minute| minutes.contains(minute));
    hit.count() as f64 / (minutes.end - minutes.start) as f64
}

/// On how many days at least three consecutive minutes are anomalous, outside of `except`.
fn bad_days(anomalous: &[i64], except: &std::ops::Range<i64>) -> Vec<i64> {
    let mut days: Vec<i64> = anomalous
        .windows(3)
        .filter(|three| three[2] - three[0] == 2 && !except.contains(&three[2]))
        .map(|three| three[2] / MINUTES)
        .collect();
    days.dedup();
    days
}

#[test]
fn a_nightly_batch_is_usual_after_two_nights_and_an_incident_by_day_is_not() {
    let incident = 12 * MINUTES + 600..12 * MINUTES + 840;
    for length in [20, 50, 60] {
        let latency = |minute: i64| {
            let is_batch = (130..130 + length).contains(&(minute % MINUTES));
            let is_slow = is_batch || incident.contains(&minute);
            if is_slow { 300.0 } else { 100.0 }
        };
        let json = r#"{"type":"seasonal","min_relative_deviation":0.05}"#;
        let found = anomalous(json, Direction::Above, 15, latency);
        assert!(share(&found, &incident) > 0.95, "{length}");
        let false_days = bad_days(&found, &incident);
        assert!(false_days.len() <= 2, "{length}: {false_days:?}");
    }
}

/// Requests a second: a curve from 06:00 to 20:00, and about a third of it at weekends.
fn traffic(minute: i64, is_quiet: impl Fn(i64) -> bool) -> f64 {
    let hour = (minute % MINUTES) as f64 / 60.0;
    let curve = (std::f64::consts::PI * (hour - 6.0) / 14.0).sin().max(0.0);
    let factor = if is_quiet(minute / MINUTES) {
        0.35
    } else {
        1.0
    };
    factor * (20.0 + 100.0 * curve)
}

#[test]
fn the_loss_of_half_of_the_traffic_is_seen_and_weekends_and_holidays_are_usual() {
    let incident = 29 * MINUTES + 600..29 * MINUTES + 720;
    let requests = |minute: i64| {
        let factor = if incident.contains(&minute) { 0.5 } else { 1.0 };
        // The Thursday of the fourth week, 26 March, is a holiday.
        factor * traffic(minute, |day| day % 7 >= 5 || day == 24)
    };
    let json = |more: &str| {
        format!(
            r#"{{"type":"seasonal","days":"weekend","min_relative_deviation":0.06,{more}"warm_up":50}}"#
        )
    };
    let known = anomalous(
        &json(r#""holidays":["2026-03-26"],"#),
        Direction::Below,
        35,
        requests,
    );
    assert!(share(&known, &incident) > 0.95);
    let later: Vec<i64> = bad_days(&known, &incident)
        .into_iter()
        .filter(|day| *day >= 14)
        .collect();
    assert_eq!(later, Vec::<i64>::new());
    let unknown = anomalous(&json(""), Direction::Below, 35, requests);
    let holiday = bad_days(&unknown, &incident);
    let later: Vec<i64> = holiday.into_iter().filter(|day| *day >= 14).collect();
    assert_eq!(later, [24]);
}

#[test]
fn daily_habits_stay_usual_when_summer_time_begins_and_ends() {
    // Day 27 is 29 March 2026, when clocks in Berlin go forward at 01:00 UTC.
    let change = 27 * MINUTES + 60;
    let office = |minute: i64| {
        let local = minute + if minute < change { 60 } else { 120 };
        let hour = local % MINUTES / 60;
        let is_workday = local / MINUTES % 7 < 5;
        let is_busy = is_workday && (9..18).contains(&hour);
        if is_busy { 300.0 } else { 60.0 }
    };
    let after = |zone: &str| {
        let json = format!(
            r#"{{"type":"seasonal","days":"weekend","min_relative_deviation":0.06,"timezone":"{zone}"}}"#
        );
        let found = anomalous(&json, Direction::Both, 41, office);
        found.iter().filter(|minute| **minute >= change).count()
    };
    assert_eq!(after("Europe/Berlin"), 0);
    assert!(after("UTC") > 100);
}

#[test]
fn an_incident_of_a_day_is_not_usual_on_the_next_day() {
    let incident = 10 * MINUTES..12 * MINUTES;
    let latency = |minute: i64| {
        if incident.contains(&minute) {
            250.0
        } else {
            100.0
        }
    };
    let json = r#"{"type":"seasonal","min_relative_deviation":0.05}"#;
    let found = anomalous(json, Direction::Above, 14, latency);
    assert!(share(&found, &incident) > 0.99);
    assert_eq!(bad_days(&found, &incident), Vec::<i64>::new());
}

#[test]
fn mistakes_and_removed_parameters_are_reported_with_a_remedy() {
    let context = StrategyContext {
        direction: Direction::Both,
        interval: Duration::from_secs(60),
    };
    let json = r#"{"type":"seasonal","period":"week","relearn_after":9,"timezone":"Europe/Berln","holidays":["2026-02-30"],"days":"weekends"}"#;
    let problems = Registry::built_in().check(&config(json), &context);
    let mut lines: Vec<String> = problems
        .iter()
        .map(|p| format!("{}: {}", p.path, p.message))
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "days: must be one of alike, weekend, each, got \"weekends\"",
            "holidays[0]: must be a date such as 2026-12-25, got \"2026-02-30\"",
            "period: was removed; write days: alike for a day, or days: each for a week",
            "relearn_after: was removed, because a slot learns one value a visit; leave it out",
            "timezone: no time zone \"Europe/Berln\"; did you mean Europe/Berlin?",
        ]
    );
}

#[test]
fn a_state_of_other_days_slots_or_time_zone_is_not_restored() {
    let new = |more: &str| seasonal(&format!(r#"{{"type":"seasonal"{more}}}"#), Direction::Both);
    let mut learned = new("");
    for minute in 0..3 * MINUTES {
        learned.judge(&at(1.0, minute * 60));
    }
    let stored = learned.snapshot();
    assert!(new("").restore(&stored).is_ok());
    for (more, parameter) in [
        (r#","days":"each""#, "days"),
        (r#","slot":"20m""#, "slot"),
        (r#","timezone":"Asia/Tokyo""#, "timezone"),
    ] {
        let error = new(more).restore(&stored).unwrap_err().to_string();
        let wanted = format!("was learned with another {parameter}; learning starts over");
        assert!(error.ends_with(&wanted), "{error}");
    }
}

#[test]
fn the_state_of_a_kind_of_day_is_small() {
    let size = |json: &str, days: i64| {
        let mut strategy = seasonal(json, Direction::Both);
        for minute in 0..days * MINUTES {
            strategy.judge(&at(100.0 + (minute % 7) as f64 / 3.0, minute * 60));
        }
        serde_json::to_string(&strategy.snapshot()).unwrap().len()
    };
    let one = size(r#"{"type":"seasonal"}"#, 8);
    let two = size(r#"{"type":"seasonal","days":"weekend"}"#, 60);
    assert!(one < 14_000, "{one}");
    assert!(two < 28_000, "{two}");
}
