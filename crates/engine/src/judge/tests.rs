//! One test per flaw that a naive implementation of these formulas has.

mod figures;
mod infinite;
mod null;
mod oracle;
mod properties;
mod ratio;
mod season;
mod start;

use std::time::Duration;

use super::{
    EwmaParams, EwmaStrategy, Registry, State, StaticThresholdStrategy, StrategyConfig,
    StrategyContext, ThresholdStrategy,
};
use crate::incident::Table;
use crate::metric::{Direction, Labels, Metric, MetricSample, Timestamp};

const ROWS: StrategyContext = StrategyContext {
    direction: Direction::Both,
    interval: Duration::ZERO,
};

fn at(value: f64, seconds: i64) -> MetricSample {
    let at = Timestamp::from_millis(seconds * 1000);
    MetricSample::new(Metric::Custom, Labels::empty(), value, at)
}

fn sample(value: f64) -> MetricSample {
    at(value, 0)
}

fn config(json: &str) -> StrategyConfig {
    serde_json::from_str(json).unwrap()
}

/// Deterministic noise between -1 and 1.
fn noise(i: u32) -> f64 {
    f64::from(i.wrapping_mul(2_654_435_761) >> 16 & 0xff) / 127.5 - 1.0
}

#[test]
fn a_configuration_is_the_same_in_json_and_yaml() {
    let json = config(r#"{"type":"ewma","alpha":0.2,"k_sigma":3}"#);
    let yaml: StrategyConfig =
        serde_yaml::from_str("{type: ewma, alpha: 0.2, k_sigma: 3}").unwrap();
    assert_eq!(json, yaml);
    assert_eq!(
        serde_json::to_string(&json).unwrap(),
        r#"{"type":"ewma","alpha":0.2,"k_sigma":3}"#
    );
    let fixed = config(r#"{"type":"static","bound":0.9}"#);
    for one in [json, fixed] {
        let above = StrategyContext {
            direction: Direction::Above,
            ..ROWS
        };
        assert_eq!(Registry::built_in().check(&one, &above), vec![]);
    }
}

#[test]
fn every_mistake_is_reported_with_its_path_and_remedy() {
    let config = config(
        r#"{"type":"any_of","strategies":[{"type":"ewma","alpha":1.5,"k_sgima":3,"warm_up":1.5},{"type":"statik"},{"type":"static","bound":null}]}"#,
    );
    let context = StrategyContext {
        direction: Direction::Above,
        ..ROWS
    };
    let problems = Registry::built_in().check(&config, &context);
    let lines: Vec<String> = problems
        .iter()
        .map(|p| format!("{}: {}", p.path, p.message))
        .collect();
    assert_eq!(
        lines,
        [
            "strategies[0].alpha: must be between 0 and 1, got 1.5",
            "strategies[0].warm_up: must be a whole number from 2 to 1000000, got 1.5",
            "strategies[0].k_sgima: unknown key; did you mean k_sigma?",
            "strategies[1].type: no strategy \"statik\"; did you mean static?",
            "strategies[2].bound: must be a number, got nothing",
        ]
    );
}

#[test]
fn a_composition_has_one_to_sixteen_strategies() {
    let mistakes = |count: usize| {
        let parts = vec![r#"{"type":"static","bound":1}"#; count].join(",");
        let config = config(&format!(r#"{{"type":"all_of","strategies":[{parts}]}}"#));
        let context = StrategyContext {
            direction: Direction::Above,
            ..ROWS
        };
        Registry::built_in().check(&config, &context).len()
    };
    assert_eq!([0, 1, 16, 17].map(mistakes), [1, 0, 0, 1]);
}

#[test]
fn a_spike_is_anomalous_because_the_variance_does_not_contain_it() {
    let (alpha, k) = (0.2, 3.0);
    let (mut mean, mut variance, mut old_fired) = (10.0_f64, 1.0_f64, false);
    let params = EwmaParams {
        alpha,
        k_sigma: k,
        ..EwmaParams::default()
    };
    let mut ours = EwmaStrategy::new(params);
    for i in 0..100 {
        let x = 10.0 + noise(i);
        let d = x - mean;
        variance = (1.0 - alpha) * variance + alpha * d * d;
        mean += alpha * d;
        ours.judge(&sample(x));
    }
    for spike in [1e3, 1e6, 1e12] {
        let d = spike - mean;
        let after = (1.0 - alpha) * variance + alpha * d * d;
        old_fired |= d.abs() > k * after.sqrt();
        assert_eq!(ours.clone().judge(&sample(spike)).state, State::Anomalous);
    }
    assert!(
        !old_fired,
        "the naive formula found the spike, so this test shows nothing"
    );
}

#[test]
fn state_is_kept_per_series_and_not_shared() {
    let ewma = config(r#"{"type":"ewma","warm_up":10,"relearn_after":1000}"#);
    let mut table = Table::new(&Registry::built_in(), &ewma, &ROWS, Duration::ZERO);
    let mut shared = EwmaStrategy::new(EwmaParams {
        warm_up: 10,
        ..EwmaParams::default()
    });
    let (mut apart, mut mixed) = (None, None);
    for i in 0..100 {
        for (name, level) in [("a", 1.0), ("b", 100.0)] {
            let mut one = sample(level + 0.1 * noise(i));
            if i == 99 && name == "a" {
                one.value = 2.0;
            }
            one.labels = Labels::new([("model", name)]);
            let verdicts = (table.judge(&one).verdict, shared.judge(&one));
            if i == 99 && name == "a" {
                (apart, mixed) = (Some(verdicts.0.state), Some(verdicts.1.state));
            }
        }
    }
    assert_eq!(apart, Some(State::Anomalous));
    assert_eq!(
        mixed,
        Some(State::Ok),
        "a strategy shared by both series does not see the jump"
    );
    assert_eq!(table.counts().series, 2);
}

#[test]
fn nan_is_counted_and_an_infinite_value_is_anomalous_and_neither_changes_anything() {
    let ewma = config(r#"{"type":"ewma","warm_up":10}"#);
    let mut table = Table::new(&Registry::built_in(), &ewma, &ROWS, Duration::ZERO);
    for i in 0..50 {
        table.judge(&sample(noise(i)));
    }
    let learned = |table: &Table| {
        let all = table.snapshot().into_iter();
        all.map(|series| series.snapshot).collect::<Vec<_>>()
    };
    let before = learned(&table);
    for (bad, state, score) in [
        (f64::NAN, State::InsufficientData, None),
        (f64::INFINITY, State::Anomalous, Some(f64::MAX)),
        (f64::NEG_INFINITY, State::Anomalous, Some(f64::MAX)),
    ] {
        let verdict = table.judge(&sample(bad)).verdict;
        assert_eq!((verdict.state, verdict.score), (state, score));
    }
    assert_eq!(learned(&table), before);
    assert_eq!(table.counts().nan, 1);
    assert!(
        (0.1 * f64::NAN + 0.9).is_nan(),
        "a naive mean would stay NaN"
    );
}

#[test]
fn the_first_samples_are_warming_up_and_never_ok() {
    let mut ewma = EwmaStrategy::new(EwmaParams::default());
    for i in 0..50 {
        assert_eq!(ewma.judge(&sample(noise(i))).state, State::WarmingUp);
    }
    assert_eq!(ewma.judge(&sample(0.0)).state, State::Ok);
}

#[test]
fn the_first_change_of_a_constant_series_is_seen_beyond_a_minimum() {
    let mut ewma = EwmaStrategy::new(EwmaParams::default());
    for _ in 0..100 {
        ewma.judge(&sample(100.0));
    }
    let tiny = ewma.clone().judge(&sample(100.05));
    assert_eq!(
        tiny.state,
        State::Ok,
        "the least deviation is 0.1 % of the mean, which makes a band of 0.5 %"
    );
    assert_eq!(ewma.judge(&sample(101.0)).state, State::Anomalous);
}

/// The states that `ewma` returns for 400 values whose level moves by `by` after the first half.
fn states_around_a_shift(by: f64) -> Vec<State> {
    let mut ewma = EwmaStrategy::new(EwmaParams::default());
    let level = |i| if i < 200 { 0.0 } else { by };
    (0..400)
        .map(|i| ewma.judge(&sample(noise(i) + level(i))).state)
        .collect()
}

#[test]
fn a_higher_level_is_anomalous_and_then_becomes_normal() {
    let states = states_around_a_shift(1000.0);
    assert_eq!(states[200..250], [State::Anomalous; 50]);
    assert_eq!(states[250..300], [State::WarmingUp; 50]);
    assert_eq!(states[300..400], [State::Ok; 100]);
}

#[test]
fn a_sample_that_is_not_newer_than_the_last_is_not_learned() {
    let timed = EwmaParams {
        interval: Duration::from_secs(15),
        ..EwmaParams::default()
    };
    let mut ewma = EwmaStrategy::new(timed);
    ewma.judge(&at(1.0, 30));
    let before = ewma.snapshot();
    for seconds in [30, 15] {
        assert_eq!(ewma.judge(&at(9.0, seconds)).state, State::InsufficientData);
    }
    assert_eq!(ewma.snapshot(), before);
}

#[test]
fn a_longer_gap_gives_the_next_sample_more_weight() {
    let mean_after = |gap: i64| {
        let params = EwmaParams {
            alpha: 0.1,
            interval: Duration::from_secs(15),
            clip_sigma: 1e9,
            ..EwmaParams::default()
        };
        let mut ewma = EwmaStrategy::new(params);
        for i in 0..60 {
            ewma.judge(&at(noise(i.try_into().unwrap()), i * 15));
        }
        ewma.judge(&at(1.0, 59 * 15 + gap * 15));
        ewma.judge(&at(0.0, 60 * 15 + gap * 15))
            .expected
            .centre
            .unwrap()
    };
    let (short, long, endless) = (mean_after(1), mean_after(5), mean_after(1_000_000));
    // 1 - 0.9^5 = 0.40951 of the way to 1 instead of 0.1.
    assert!((((1.0 - long) / (1.0 - short)) - 0.59049 / 0.9).abs() < 1e-12);
    assert!(endless < 1.0 && endless > 0.999);
}

#[test]
fn the_score_at_a_bound_is_exactly_1_and_low_accuracy_is_anomalous() {
    let mut accuracy = StaticThresholdStrategy::new(0.8, Metric::Accuracy.direction());
    let mut scores = Vec::new();
    for (value, state) in [
        (0.9, State::Ok),
        (0.8, State::Ok),
        (0.4, State::Anomalous),
        (1e9, State::Ok),
    ] {
        let verdict = accuracy.judge(&sample(value));
        assert_eq!(verdict.state, state, "{value}");
        scores.push(verdict.score.unwrap());
    }
    assert_eq!(scores, [0.875, 1.0, 1.5, 0.0]);
    let mut latency = StaticThresholdStrategy::new(100.0, Metric::InferenceLatencyMs.direction());
    assert_eq!(latency.judge(&sample(150.0)).score, Some(1.5));
}

#[test]
fn the_number_of_series_is_limited_and_idle_ones_are_evicted() {
    let mut table = Table::new(
        &Registry::built_in(),
        &StrategyConfig::new("ewma"),
        &ROWS,
        Duration::ZERO,
    );
    table.max_series = 2;
    for name in ["a", "b", "c"] {
        let mut one = at(1.0, if name == "a" { 0 } else { 100 });
        one.labels = Labels::new([("model", name)]);
        table.judge(&one);
    }
    assert_eq!((table.counts().series, table.counts().refused), (2, 1));
    // What ewma learnt is of use for a week.
    let minute = Duration::from_secs(60);
    table.evict_idle(Timestamp::from_millis(100_000), minute, |_| false);
    assert_eq!(table.counts().series, 2);
    let week = Duration::from_secs(7 * 86_400);
    let later = Timestamp::from_millis(50_000) + week;
    table.evict_idle(later, minute, |_| true);
    assert_eq!(table.counts().series, 2);
    table.evict_idle(later, minute, |_| false);
    assert_eq!((table.counts().series, table.counts().evicted), (1, 1));
}

#[test]
fn a_restored_table_returns_the_same_verdicts_as_the_original() {
    for json in [
        r#"{"type":"ewma"}"#,
        r#"{"type":"mad"}"#,
        r#"{"type":"seasonal"}"#,
        r#"{"type":"novelty"}"#,
        r#"{"type":"auto"}"#,
        r#"{"type":"shift"}"#,
        r#"{"type":"page_hinkley"}"#,
        r#"{"type":"adwin"}"#,
        r#"{"type":"any_of","strategies":[{"type":"ewma"},{"type":"static","lower":-5,"upper":5}]}"#,
    ] {
        let new = || Table::new(&Registry::built_in(), &config(json), &ROWS, Duration::ZERO);
        let (mut whole, mut second) = (new(), new());
        for i in 0..300 {
            whole.judge(&sample(noise(i)));
        }
        let stored = serde_json::to_string(&whole.snapshot()).unwrap();
        assert!(
            second
                .restore(&serde_json::from_str::<Vec<_>>(&stored).unwrap())
                .is_empty()
        );
        for i in 300..400 {
            assert_eq!(
                second.judge(&sample(3.0 * noise(i))),
                whole.judge(&sample(3.0 * noise(i))),
                "{json}"
            );
        }
    }
}

fn built(json: &str) -> Box<dyn ThresholdStrategy> {
    Registry::built_in().build(&config(json), &ROWS).unwrap()
}

#[test]
fn the_deviation_of_a_spike_is_not_limited_by_the_window_of_mad() {
    let mut mad = built(r#"{"type":"mad","window":10,"warm_up":10,"k_sigma":3}"#);
    let mut window: Vec<f64> = (0..9).map(noise).collect();
    window.iter().for_each(|x| drop(mad.judge(&sample(*x))));
    mad.judge(&sample(0.0));
    window.push(1e9);
    let mean = window.iter().sum::<f64>() / 10.0;
    let variance = window.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 9.0;
    let old = (1e9 - mean) / variance.sqrt();
    assert!(
        old < 2.8461,
        "the naive z of a spike of 1e9 is {old}, never 3"
    );
    assert_eq!(mad.judge(&sample(1e9)).state, State::Anomalous);
}

#[test]
fn with_a_mad_of_zero_the_standard_deviation_is_used() {
    let mut mad = built(r#"{"type":"mad"}"#);
    for i in 0..300 {
        mad.judge(&sample(if i % 3 == 0 { noise(i) } else { 0.0 }));
    }
    let ordinary = mad.judge(&sample(0.9));
    assert_eq!(
        ordinary.state,
        State::Ok,
        "more than half the values are equal: {ordinary:?}"
    );
    assert_eq!(mad.judge(&sample(10.0)).state, State::Anomalous);
}

#[test]
fn novelty_sees_the_first_change_of_a_constant_series() {
    let mut novelty = built(r#"{"type":"novelty"}"#);
    for _ in 0..500 {
        assert!(!novelty.judge(&sample(7.0)).is_anomalous());
    }
    assert!(novelty.judge(&sample(8.0)).is_anomalous());
}

#[test]
fn an_incident_does_not_change_the_expectation_one_day_later() {
    let mut seasonal = built(r#"{"type":"seasonal"}"#);
    let hour = |i: i64| i * 3600;
    let usual =
        |i: i64| f64::from(u32::try_from(i % 24).unwrap()) + 0.5 * noise(u32::try_from(i).unwrap());
    let mut level = usual(20 * 24 + 5);
    for i in 0..20 * 24 + 24 + 6 {
        let incident = i == 20 * 24 + 5;
        let value = usual(i) + if incident { 1000.0 } else { 0.0 };
        let verdict = seasonal.judge(&at(value, hour(i)));
        if incident {
            assert_eq!(verdict.state, State::Anomalous);
            // Without clipping, the level of the hour would learn a tenth of the incident.
            level += 0.1 * (value - level);
        }
        if i == 20 * 24 + 24 + 5 {
            assert_eq!(verdict.state, State::Ok, "{verdict:?}");
            assert!(
                level - value > 90.0,
                "without clipping, the normal value of the next day would be low by {}",
                level - value
            );
        }
    }
}

#[test]
fn any_of_and_all_of_are_unknown_if_the_result_depends_on_an_unknown() {
    let young = r#"{"type":"ewma"}"#;
    let verdict = |kind: &str, bound: f64| {
        let json = format!(
            r#"{{"type":"{kind}","strategies":[{young},{{"type":"static","lower":-1e9,"upper":{bound}}}]}}"#
        );
        built(&json).judge(&sample(5.0)).state
    };
    assert_eq!(verdict("any_of", 1.0), State::Anomalous);
    assert_eq!(verdict("any_of", 9.0), State::WarmingUp);
    assert_eq!(verdict("all_of", 1.0), State::WarmingUp);
    assert_eq!(verdict("all_of", 9.0), State::Ok);
}

#[test]
fn every_strategy_gives_finite_values_finite_scores() {
    for kind in [
        "ewma",
        "mad",
        "seasonal",
        "novelty",
        "auto",
        "shift",
        "page_hinkley",
        "adwin",
    ] {
        let mut strategy = built(&format!(r#"{{"type":"{kind}"}}"#));
        for i in 0..2000 {
            let value = match i % 97 {
                0 => f64::MAX,
                1 => f64::MIN,
                2 => f64::MIN_POSITIVE,
                _ => noise(i) * 1e6,
            };
            let verdict = strategy.judge(&at(value, i64::from(i) * 60));
            assert!(
                verdict
                    .score
                    .is_none_or(|score| score.is_finite() && score >= 0.0),
                "{kind} {i}: {verdict:?}"
            );
            assert_eq!(
                verdict.state == State::Anomalous,
                verdict.score.is_some_and(|score| score > 1.0)
            );
        }
        let stored = strategy.snapshot();
        assert!(
            built(&format!(r#"{{"type":"{kind}"}}"#))
                .restore(&stored)
                .is_ok(),
            "{kind}"
        );
    }
}
