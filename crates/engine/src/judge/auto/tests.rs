use std::time::Duration;

use super::{Auto, AutoParams};
use crate::judge::streaming::{Core, Step, Streaming};
use crate::judge::usual::UsualCount;
use crate::judge::{Registry, State, StrategyConfig, StrategyContext, ThresholdStrategy, Verdict};
use crate::metric::{Direction, Labels, Metric, MetricSample, Timestamp};

const DAY: i64 = 86_400;

fn step(x: f64, seconds: i64) -> Step {
    Step {
        steps: 1,
        x,
        weighed: UsualCount::default().weigh(&sample(x, seconds), x),
        at: Timestamp::from_millis(seconds * 1000),
        direction: Direction::Both,
    }
}

fn sample(value: f64, seconds: i64) -> MetricSample {
    let at = Timestamp::from_millis(seconds * 1000);
    MetricSample::new(Metric::Custom, Labels::empty(), value, at)
}

fn built(json: &str) -> Box<dyn ThresholdStrategy> {
    let config: StrategyConfig = serde_json::from_str(json).unwrap();
    let context = StrategyContext {
        direction: Direction::Both,
        interval: Duration::ZERO,
    };
    Registry::built_in().build(&config, &context).unwrap()
}

/// Noise between -1 and 1 that is the same for the same row.
fn noise(row: i64) -> f64 {
    let row = u32::try_from(row).unwrap();
    f64::from(row.wrapping_mul(2_654_435_761) >> 16 & 0xff) / 127.5 - 1.0
}

/// A strategy that has watched noise around 100 for so many days, every five minutes.
fn after_days(json: &str, days: i64) -> Box<dyn ThresholdStrategy> {
    let mut auto = built(json);
    for row in 0..days * 288 {
        auto.judge(&sample(100.0 + noise(row), row * 300));
    }
    auto
}

/// The score, the periods and the size of a value, which is then learned.
fn figures(auto: &mut Auto, params: &AutoParams, step: Step) -> [f64; 3] {
    let passed = auto.passed(step.at);
    let size = auto.excursion(step, passed).map_or(0.0, |found| found.size);
    let rarity = auto.past.rarity(size, passed, params.budget.days());
    let score = auto.assess(params, step).score.unwrap_or(0.0);
    assert!((score - rarity.score).abs() < 1e-12);
    auto.learn(params, step);
    [score, rarity.periods, size]
}

/// The output of `testdata/recurrence.py`, which transcribes the algorithm without shortcuts.
#[test]
fn scores_equal_those_of_the_transcription_across_gaps_intervals_and_shifts() {
    let params = AutoParams::default();
    let mut auto = Auto::new(&params);
    let mut judged = 0;
    for (row, line) in include_str!("../testdata/golden/recurrence.csv")
        .lines()
        .skip(1)
        .enumerate()
    {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        let [seconds, value, expected @ ..] = cells.as_slice() else {
            panic!("{line}");
        };
        let got = if value.is_nan() {
            [0.0; 3]
        } else {
            figures(&mut auto, &params, step(*value, *seconds as i64))
        };
        for (got, expected) in got.iter().zip(expected) {
            let error = (got - expected).abs();
            assert!(
                error <= 1e-9 * expected.abs(),
                "{row}: {got}, not {expected}"
            );
        }
        judged += u32::from(got[0] > 0.0);
    }
    assert!(judged > 1000);
}

#[test]
fn a_series_needs_less_than_5_kb() {
    let mut auto = Auto::new(&AutoParams::default());
    for row in 0..5000 {
        auto.learn(&AutoParams::default(), step(noise(row), row * 300));
    }
    let bytes =
        size_of::<Streaming<Auto>>() + auto.day.heap() + auto.bars.heap() + auto.past.heap();
    assert!(bytes < 5000, "{bytes}");
}

/// Whether a value is anomalous agrees with the band, except where a bar ends with it.
#[test]
fn the_limits_of_the_band_are_where_the_score_is_1() {
    for (json, days) in [
        (r#"{"type":"auto"}"#, 3),
        (r#"{"type":"auto","budget":"1/30d"}"#, 40),
        (r#"{"type":"auto","budget":"3/d"}"#, 40),
    ] {
        let mut auto = after_days(json, days);
        auto.judge(&sample(100.0, days * DAY));
        let probe = |x: f64| auto.duplicate().judge(&sample(x, days * DAY + 10));
        let band = probe(100.0).expected;
        let (lower, upper) = (band.lower.unwrap(), band.upper.unwrap());
        assert!(lower < band.centre.unwrap() && band.centre.unwrap() < upper);
        let width = upper - lower;
        for (limit, outwards) in [(lower, -1e-6 * width), (upper, 1e-6 * width)] {
            let (inside, outside) = (probe(limit - outwards), probe(limit + outwards));
            assert_eq!(inside.state, State::Ok, "{json}: {inside:?}");
            assert_eq!(outside.state, State::Anomalous, "{json}: {outside:?}");
        }
    }
}

/// The verdict on a spike on the last of some days; on each of `spikes` days before it there was one
/// as large.
fn spike_after(budget: &str, spikes: i64) -> Verdict {
    let mut auto = built(&format!(r#"{{"type":"auto","budget":"{budget}"}}"#));
    let (days, last) = (20, 20 * 288);
    for row in 0..last {
        let is_spike = row % 288 == 144 && row / 288 >= days - spikes;
        let x = 100.0 + noise(row) + if is_spike { 8.0 } else { 0.0 };
        auto.judge(&sample(x, row * 300));
    }
    auto.judge(&sample(108.0 + noise(last), last * 300))
}

#[test]
fn a_spike_that_recurs_more_often_than_the_budget_is_not_anomalous() {
    assert!(spike_after("1/d", 0).is_anomalous());
    assert!(spike_after("1/30d", 0).is_anomalous());
    assert!(!spike_after("1/30d", 10).is_anomalous());
}

#[test]
fn the_reason_says_how_large_how_rare_and_what_the_budget_is() {
    let why = spike_after("1/d", 0).why;
    assert!(
        why.contains("standard deviations above the usual 99.")
            || why.contains("standard deviations above the usual 100."),
        "{why}"
    );
    assert!(
        why.contains("; none as large came in 16 days, and the budget is 1/d"),
        "{why}"
    );
    let why = spike_after("3/d", 2).why;
    assert!(
        why.contains("; one as large came 2 times in 16 days"),
        "{why}"
    );
}

#[test]
fn only_the_watched_side_counts() {
    for (direction, up, down) in [
        ("both", true, true),
        ("above", true, false),
        ("below", false, true),
    ] {
        let json = format!(r#"{{"type":"auto","direction":"{direction}"}}"#);
        let auto = after_days(&json, 10);
        let is_anomalous = |x: f64| auto.duplicate().judge(&sample(x, 10 * DAY)).is_anomalous();
        assert_eq!(
            (is_anomalous(130.0), is_anomalous(70.0)),
            (up, down),
            "{direction}"
        );
    }
}

#[test]
fn an_incident_that_was_only_assessed_is_counted_once_it_is_over() {
    let params = AutoParams::default();
    let mut auto = Auto::new(&params);
    let mut judge = |row: i64, x: f64, learns: bool| {
        auto.assess(&params, step(x, row * 300));
        if learns {
            auto.learn(&params, step(x, row * 300));
        }
        auto.clone()
    };
    let past = 10 * 288;
    for row in 0..past {
        judge(row, 100.0 + noise(row), true);
    }
    let frozen = (past..past + 12)
        .map(|row| judge(row, 130.0, false))
        .last()
        .unwrap();
    let over = judge(past + 12, 100.0, true);
    let later = step(130.0, (past + 400) * 300).at;
    let spike = step(130.0, past * 300 + 10);
    let size = frozen
        .excursion(spike, frozen.passed(spike.at))
        .unwrap()
        .size;
    let earlier = |auto: &Auto| {
        auto.past
            .earlier(size, auto.passed(auto.last.unwrap()), later)
    };
    assert!(earlier(&frozen) < 0.5);
    let more = earlier(&over) - earlier(&frozen);
    assert!((0.9..1.1).contains(&more), "{more}");
}

#[test]
fn a_wrong_budget_is_refused_with_its_limits() {
    for (budget, message) in [
        ("5", "not a budget: \"5\"; write it as 1/d, 2/w or 1/30d"),
        ("4/d", "must be from 1/30d to 3/d, got 4/d"),
        ("1/31d", "must be from 1/30d to 3/d, got 1/31d"),
    ] {
        let config = StrategyConfig::new("auto").with("budget", budget);
        let context = StrategyContext {
            direction: Direction::Both,
            interval: Duration::ZERO,
        };
        let problems = Registry::built_in().check(&config, &context);
        assert_eq!(
            (problems[0].path.as_str(), problems[0].message.as_str()),
            ("budget", message)
        );
    }
}
