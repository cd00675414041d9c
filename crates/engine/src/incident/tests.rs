//! Incidents of single series, with the firing of the alert as an input.

use std::time::Duration;

use proptest::prelude::*;

use super::{Judged, Table};
use crate::judge::{Registry, State, StrategyConfig, StrategyContext};
use crate::metric::{Direction, Labels, Metric, MetricSample, Timestamp};

const MINUTE: i64 = 60;
const DAY: Duration = Duration::from_secs(86_400);

fn strategy(json: &str) -> StrategyConfig {
    serde_json::from_str(json).unwrap()
}

fn ewma() -> StrategyConfig {
    strategy(r#"{"type":"ewma","warm_up":20,"min_deviation":0.1}"#)
}

/// One series whose alert fires while its condition holds.
struct Watched {
    table: Table,
    minute: i64,
    is_firing: bool,
}

impl Watched {
    fn new(config: &StrategyConfig, adapt_after: Duration) -> Self {
        let context = StrategyContext {
            direction: Direction::Above,
            interval: Duration::from_secs(60),
        };
        Self {
            table: Table::new(&Registry::built_in(), config, &context, adapt_after),
            minute: 0,
            is_firing: false,
        }
    }

    /// Judges the value of the next minute; the alert has no `for`.
    fn next(&mut self, value: f64) -> Judged {
        self.minute += 1;
        let at = Timestamp::from_millis(self.minute * MINUTE * 1000);
        let sample = MetricSample::new(Metric::default(), Labels::empty(), value, at);
        let judged = self.table.judge(&sample);
        self.is_firing = judged.holds || (self.is_firing && judged.verdict.score.is_none());
        let is_firing = self.is_firing;
        self.table.settle(at, |_| is_firing);
        judged
    }

    /// Feeds values around a level, and returns how many of them held the condition.
    fn stay(&mut self, level: f64, minutes: i64) -> i64 {
        let mut held = 0;
        for _ in 0..minutes {
            let value = level + 0.2 * ripple(self.minute);
            held += i64::from(self.next(value).holds);
        }
        held
    }

    fn restart(&mut self, config: &StrategyConfig, adapt_after: Duration) {
        let stored = serde_json::to_string(&self.table.snapshot()).unwrap();
        let mut fresh = Self::new(config, adapt_after);
        let stored: Vec<_> = serde_json::from_str(&stored).unwrap();
        assert!(fresh.table.restore(&stored).is_empty());
        self.table = fresh.table;
    }
}

/// A deterministic value from -1 to 1 that differs from minute to minute.
fn ripple(minute: i64) -> f64 {
    (minute as f64 * 2.4).sin()
}

#[test]
fn an_incident_of_hours_is_judged_by_what_was_normal_before_it_and_leaves_no_trace() {
    let mut watched = Watched::new(&ewma(), DAY);
    assert_eq!(watched.stay(10.0, 200), 0);
    let before = watched.next(10.0).verdict.expected;
    assert_eq!(watched.stay(20.0, 600), 600);
    let during = watched.next(20.0).verdict.expected;
    let width = before.upper.unwrap() - before.centre.unwrap();
    assert!((during.upper.unwrap() - before.upper.unwrap()).abs() < 0.05 * width);
    assert_eq!(watched.stay(10.0, 10), 0);
    assert_eq!(watched.next(20.0).verdict.state, State::Anomalous);
}

#[test]
fn a_value_at_the_limit_does_not_end_an_incident() {
    let mut watched = Watched::new(&ewma(), DAY);
    watched.stay(10.0, 200);
    watched.stay(20.0, 5);
    let judged = watched.next(10.0);
    let (centre, upper) = (
        judged.verdict.expected.centre,
        judged.verdict.expected.upper,
    );
    let (centre, width) = (centre.unwrap(), upper.unwrap() - centre.unwrap());
    watched.next(20.0);
    let near = watched.next(centre + 0.9 * width);
    assert_eq!((near.verdict.state, near.holds), (State::Ok, true));
    assert!(near.verdict.why.contains("not clearly normal"), "{near:?}");
    assert!(!watched.next(centre + 0.7 * width).holds);
}

#[test]
fn a_fixed_bound_ends_an_incident_at_the_bound() {
    let mut watched = Watched::new(&strategy(r#"{"type":"static","bound":10}"#), DAY);
    assert!(watched.next(11.0).holds);
    assert!(!watched.next(9.99).holds);
}

#[test]
fn values_that_return_before_the_alert_fires_begin_no_incident() {
    let mut watched = Watched::new(&ewma(), DAY);
    watched.stay(10.0, 200);
    for _ in 0..3 {
        watched.minute += 1;
        let at = Timestamp::from_millis(watched.minute * MINUTE * 1000);
        for (value, holds) in [(20.0, true), (10.0, false)] {
            let sample = MetricSample::new(Metric::default(), Labels::empty(), value, at);
            let sample = MetricSample {
                at: if holds {
                    at
                } else {
                    at + Duration::from_secs(30)
                },
                ..sample
            };
            assert_eq!(watched.table.judge(&sample).holds, holds);
        }
    }
    assert!(!watched.table.settle(Timestamp::from_millis(0), |_| true));
}

#[test]
fn a_steady_new_level_is_accepted_after_adapt_after_and_is_normal_from_then_on() {
    let hours = Duration::from_secs(6 * 3600);
    let mut watched = Watched::new(&ewma(), hours);
    watched.stay(10.0, 200);
    // The condition holds from the first minute on, and the level is accepted after 360 more.
    assert_eq!(watched.stay(20.0, 360), 360);
    let accepted = watched.next(20.0).accepted.unwrap();
    assert!((accepted.was.unwrap() - 10.0).abs() < 0.2, "{accepted:?}");
    assert!((accepted.now - 20.0).abs() < 0.5, "{accepted:?}");
    assert_eq!(accepted.lasted, hours);
    assert_eq!(watched.stay(20.0, 600), 0);
    assert_eq!(watched.table.counts().accepted, 1);
}

#[test]
fn with_adapt_after_zero_no_level_is_ever_accepted() {
    let mut watched = Watched::new(&ewma(), Duration::ZERO);
    watched.stay(10.0, 200);
    assert_eq!(watched.stay(20.0, 10_000), 10_000);
}

#[test]
fn a_level_is_accepted_at_once_on_request_but_only_during_an_incident() {
    let mut watched = Watched::new(&ewma(), DAY);
    watched.stay(10.0, 200);
    assert!(!watched.table.accept(&Labels::empty()));
    watched.stay(20.0, 100);
    assert!(watched.table.accept(&Labels::empty()));
    assert!(watched.next(20.0).accepted.is_some());
    assert_eq!(watched.stay(20.0, 600), 0);
}

#[test]
fn a_strategy_without_a_level_stays_in_the_incident_until_the_band_from_before_it_is_reached() {
    for kind in ["novelty", "shift", "page_hinkley"] {
        let config = strategy(&format!(r#"{{"type":"{kind}"}}"#));
        let mut watched = Watched::new(&config, DAY);
        watched.stay(10.0, 2000);
        watched.stay(10.0 + 50.0, 60);
        assert!(watched.is_firing, "{kind} reports the change");
        assert_eq!(watched.stay(60.0, 300), 300, "{kind}");
        assert_eq!(watched.stay(10.0, 30), 0, "{kind}");
    }
}

#[test]
fn values_that_say_nothing_leave_an_incident_as_it_is() {
    let mut watched = Watched::new(&ewma(), DAY);
    watched.stay(10.0, 200);
    watched.stay(20.0, 10);
    for _ in 0..100 {
        assert!(!watched.next(f64::NAN).holds);
    }
    assert_eq!(watched.stay(20.0, 50), 50);
}

#[test]
fn a_fixed_limit_that_is_broken_during_the_warm_up_of_another_part_ends_its_alert() {
    let parts = r#"{"type":"any_of","strategies":[{"type":"static","bound":15},{"type":"ewma"}]}"#;
    let mut watched = Watched::new(&strategy(parts), DAY);
    watched.stay(10.0, 20);
    assert_eq!(watched.stay(20.0, 10), 10);
    assert_eq!(watched.stay(10.0, 300), 0);
    assert!(!watched.is_firing);
}

#[test]
fn a_gap_in_an_incident_does_not_count_towards_adapt_after() {
    let mut watched = Watched::new(&ewma(), DAY);
    watched.stay(10.0, 200);
    watched.stay(20.0, 60);
    watched.minute += 2 * 24 * 60;
    assert_eq!(watched.stay(20.0, 600), 600);
}

#[test]
fn accepting_a_level_that_has_gone_is_a_recovery() {
    let mut watched = Watched::new(&ewma(), DAY);
    watched.stay(10.0, 200);
    watched.stay(20.0, 30);
    assert!(watched.table.accept(&Labels::empty()));
    let judged = watched.next(10.0);
    assert_eq!((judged.holds, judged.accepted), (false, None));
}

#[test]
fn a_request_to_accept_survives_a_restart() {
    let mut watched = Watched::new(&ewma(), DAY);
    watched.stay(10.0, 200);
    watched.stay(20.0, 60);
    assert!(watched.table.accept(&Labels::empty()));
    watched.restart(&ewma(), DAY);
    assert!(watched.next(20.0).accepted.is_some());
}

#[test]
fn the_same_change_is_reported_again_after_recovery() {
    let config = strategy(r#"{"type":"shift"}"#);
    let mut watched = Watched::new(&config, DAY);
    watched.stay(10.0, 1000);
    for _ in 0..3 {
        assert!(watched.stay(30.0, 600) > 500);
        assert!(watched.stay(10.0, 1000) < 50);
        assert!(!watched.is_firing);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_restart_changes_no_verdict_and_ends_no_incident(
        levels in proptest::collection::vec((0..4_u8, 1..120_i64), 1..8),
        cut in 0..8_usize,
        kind in prop_oneof![Just("ewma"), Just("mad"), Just("novelty"), Just("auto")],
    ) {
        let config = strategy(&format!(r#"{{"type":"{kind}"}}"#));
        let hours = Duration::from_secs(3600);
        let (mut whole, mut parts) = (Watched::new(&config, hours), Watched::new(&config, hours));
        whole.stay(10.0, 200);
        parts.stay(10.0, 200);
        for (index, (level, minutes)) in levels.into_iter().enumerate() {
            for step in 0..minutes {
                if index == cut && step == minutes / 2 {
                    parts.restart(&config, hours);
                }
                let value = 10.0 + 10.0 * f64::from(level) + 0.2 * ripple(whole.minute);
                prop_assert_eq!(whole.next(value), parts.next(value));
            }
        }
    }
}
