//! Infinite values and NaN, for every strategy in the registry.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{ROWS, at, config};
use crate::judge::{Registry, Side, State, StrategyContext, ThresholdStrategy, Verdict};
use crate::metric::{Direction, Evidence, MetricSample};

/// A configuration of each strategy with a short warm-up.
const CONFIGS: [&str; 12] = [
    r#"{"type":"static","lower":-3,"upper":3}"#,
    r#"{"type":"ewma","warm_up":10}"#,
    r#"{"type":"mad","window":40,"warm_up":10}"#,
    r#"{"type":"seasonal","warm_up":10}"#,
    r#"{"type":"novelty","warm_up":10}"#,
    r#"{"type":"auto"}"#,
    r#"{"type":"shift","warm_up":20,"budget":20}"#,
    r#"{"type":"page_hinkley","warm_up":10}"#,
    r#"{"type":"adwin","clock":1}"#,
    r#"{"type":"drift"}"#,
    r#"{"type":"any_of","strategies":[{"type":"mad","warm_up":10},{"type":"ewma","warm_up":10}]}"#,
    r#"{"type":"all_of","strategies":[{"type":"mad","warm_up":10},{"type":"ewma","warm_up":10}]}"#,
];

fn strategy(json: &str, direction: Direction) -> Box<dyn ThresholdStrategy> {
    let context = StrategyContext { direction, ..ROWS };
    Registry::built_in().build(&config(json), &context).unwrap()
}

/// A sample that every strategy can judge: the drift strategy needs a critical value.
fn judged(value: f64, index: usize) -> MetricSample {
    let evidence = Evidence {
        critical_value: Some(3.0),
        ..Evidence::default()
    };
    MetricSample {
        evidence: Some(std::sync::Arc::new(evidence)),
        ..at(value, i64::try_from(index).unwrap() * 60)
    }
}

/// What the finite value `x` would get in the place of an infinite one.
fn state_of(
    strategy: &dyn ThresholdStrategy,
    json: &str,
    direction: Direction,
    sample: &MetricSample,
) -> State {
    let mut copy = self::strategy(json, direction);
    copy.restore(&strategy.snapshot()).unwrap();
    copy.judge(sample).state
}

/// Whether the strategy has this side, whatever the direction of the rule.
fn watches(json: &str, side: Side, direction: Direction) -> bool {
    match json {
        json if json.contains("static") => true,
        json if json.contains("drift") => side == Side::Above,
        _ => side.is_watched(direction),
    }
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let one = prop_oneof![
        6 => -1e3..1e3_f64,
        1 => Just(0.0),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(f64::NAN),
    ];
    proptest::collection::vec(one, 1..200)
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        Just(Direction::Above),
        Just(Direction::Below),
        Just(Direction::Both)
    ]
}

#[test]
fn every_strategy_in_the_registry_is_tested() {
    let tested: BTreeSet<String> = CONFIGS.iter().map(|json| config(json).kind).collect();
    // The values of a ratio are shares of counts, never infinite.
    let registry = Registry::built_in();
    let known = registry.kinds().filter(|kind| *kind != "ratio");
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    assert_eq!(tested, known);
}

#[test]
fn an_infinite_value_before_anything_was_learned_is_warming_up() {
    for json in CONFIGS {
        let state = strategy(json, Direction::Both)
            .judge(&judged(f64::INFINITY, 0))
            .state;
        let learns = !json.contains("static") && !json.contains("drift");
        let expected = if learns {
            State::WarmingUp
        } else {
            State::Anomalous
        };
        assert_eq!(state, expected, "{json}");
    }
}

#[test]
fn the_reason_names_the_infinite_value() {
    let mut fixed = strategy(r#"{"type":"static","upper":5}"#, Direction::Above);
    let why = |verdict: Verdict| verdict.why.into_owned();
    assert_eq!(
        why(fixed.judge(&judged(f64::INFINITY, 0))),
        "+Inf is above the bound 5"
    );
    let mut ewma = strategy(r#"{"type":"ewma","warm_up":2}"#, Direction::Below);
    ewma.judge(&judged(1.0, 0));
    ewma.judge(&judged(1.0, 1));
    let verdict = ewma.judge(&judged(f64::NEG_INFINITY, 2));
    assert_eq!(verdict.expected.centre, Some(1.0));
    assert_eq!(why(verdict), "-Inf is below every limit");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_infinite_value_is_beyond_every_limit_on_its_side_and_is_never_learned(
        series in values(),
        direction in direction(),
    ) {
        for json in CONFIGS {
            let mut with = strategy(json, direction);
            let mut without = strategy(json, direction);
            for (index, value) in series.iter().enumerate() {
                let sample = judged(*value, index);
                if value.is_finite() {
                    prop_assert_eq!(with.judge(&sample), without.judge(&sample), "{} at {}", json, index);
                    continue;
                }
                let before = with.snapshot();
                let finite = state_of(with.as_ref(), json, direction, &judged(0.0, index));
                let verdict = with.judge(&sample);
                prop_assert_eq!(with.snapshot(), before, "{} at {}", json, index);
                let side = Side::of(*value);
                let expected = if value.is_nan() {
                    State::InsufficientData
                } else if finite == State::WarmingUp {
                    State::WarmingUp
                } else if watches(json, side, direction) {
                    State::Anomalous
                } else {
                    State::Ok
                };
                prop_assert_eq!(verdict.state, expected, "{} {} at {}: {:?}", json, value, index, verdict);
                prop_assert!(verdict.score.is_none_or(|score| score.is_finite() && score >= 0.0));
                let is_anomalous = expected == State::Anomalous;
                prop_assert_eq!(verdict.side, is_anomalous.then_some(side), "{}", json);
                prop_assert_eq!(verdict.why.contains("Inf"), is_anomalous, "{}: {}", json, verdict.why);
            }
        }
    }
}
