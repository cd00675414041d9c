//! Properties for random series: finite scores, scores that grow with the distance, state that can
//! be stored at any time, and equality with a naive implementation.

use proptest::prelude::*;

use super::{ROWS, at, config};
use crate::judge::{Level, Registry, State, ThresholdStrategy, Verdict};

const ALL: [&str; 8] = [
    "ewma",
    "mad",
    "seasonal",
    "novelty",
    "auto",
    "shift",
    "page_hinkley",
    "adwin",
];

fn strategy(kind: &str, direction: &str) -> Box<dyn ThresholdStrategy> {
    let json = match kind {
        "static" => format!(r#"{{"type":"static","bound":3,"direction":"{direction}"}}"#),
        "mad" => format!(r#"{{"type":"mad","window":40,"warm_up":10,"direction":"{direction}"}}"#),
        "ewma" | "seasonal" => {
            format!(r#"{{"type":"{kind}","warm_up":10,"direction":"{direction}"}}"#)
        }
        _ => format!(r#"{{"type":"{kind}","direction":"{direction}"}}"#),
    };
    Registry::built_in().build(&config(&json), &ROWS).unwrap()
}

/// The verdict on `next` after the values `past`.
fn after(kind: &str, direction: &str, past: &[f64], next: f64) -> Verdict {
    let mut strategy = strategy(kind, direction);
    for (second, value) in (0..).zip(past) {
        strategy.judge(&at(*value, second * 60));
    }
    let end = i64::try_from(past.len()).unwrap() * 60;
    strategy.judge(&at(next, end))
}

fn values(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    let one = prop_oneof![
        8 => -1e3..1e3_f64,
        1 => Just(0.0),
        1 => proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
    ];
    proptest::collection::vec(one, length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn finite_values_get_finite_scores_that_agree_with_the_state(series in values(1..400)) {
        for kind in ALL {
            let mut strategy = strategy(kind, "both");
            for (second, value) in (0..).zip(&series) {
                let verdict = strategy.judge(&at(*value, second * 60));
                let score = verdict.score;
                prop_assert!(score.is_none_or(|score| score.is_finite() && score >= 0.0), "{kind}: {verdict:?}");
                prop_assert_eq!(verdict.state == State::Anomalous, score.is_some_and(|score| score > 1.0), "{}", kind);
                prop_assert_eq!(verdict.state == State::WarmingUp, score.is_none(), "{}", kind);
            }
        }
    }

    #[test]
    fn the_score_grows_with_the_distance_from_the_centre(
        past in proptest::collection::vec(-1e3..1e3_f64, 60..200),
        near in 0.0..1e4_f64,
        more in 0.0..1e4_f64,
    ) {
        for kind in ["static", "ewma", "mad", "seasonal"] {
            for (direction, sign) in [("above", 1.0), ("below", -1.0), ("both", 1.0), ("both", -1.0)] {
                if kind == "static" && direction == "both" {
                    continue;
                }
                let centre = match after(kind, direction, &past, 0.0).expected {
                    band if kind == "static" => band.upper.or(band.lower),
                    band => band.centre,
                }.unwrap();
                let score = |distance: f64| after(kind, direction, &past, centre + sign * distance).score.unwrap();
                let (low, high) = (score(near), score(near + more));
                prop_assert!(high >= low * (1.0 - 1e-12), "{kind} {direction}: {low} at {near}, {high} {more} further");
            }
        }
    }

    #[test]
    fn values_on_the_side_that_is_not_watched_are_never_anomalous(
        past in proptest::collection::vec(-1e3..1e3_f64, 60..200),
        distance in 0.0..1e6_f64,
    ) {
        for kind in ["static", "ewma", "mad", "seasonal", "auto"] {
            for (direction, sign) in [("above", -1.0), ("below", 1.0)] {
                let verdict = after(kind, direction, &past, sign * (1e3 + distance));
                prop_assert!(verdict.state == State::Ok, "{kind} {direction}: {verdict:?}");
            }
        }
    }

    #[test]
    fn a_restored_strategy_returns_the_same_verdicts_as_the_original(
        series in values(2..300),
        cut in 0.0..1.0_f64,
    ) {
        let cut = (series.len() as f64 * cut) as usize;
        for kind in ALL {
            let mut whole = strategy(kind, "both");
            let mut parts = strategy(kind, "both");
            for (index, value) in series.iter().enumerate() {
                if index == cut {
                    let stored = serde_json::to_string(&parts.snapshot()).unwrap();
                    parts = strategy(kind, "both");
                    parts.restore(&serde_json::from_str(&stored).unwrap()).unwrap();
                }
                let sample = at(*value, i64::try_from(index).unwrap() * 60);
                prop_assert_eq!(whole.judge(&sample), parts.judge(&sample), "{} at {}", kind, index);
            }
        }
    }

    #[test]
    fn assessing_teaches_nothing_to_a_strategy_that_learns_a_level(
        past in values(60..200),
        during in values(1..100),
        probe in -1e3..1e3_f64,
    ) {
        for kind in ALL {
            let mut strategy = strategy(kind, "both");
            if strategy.level() != Level::Learned {
                continue;
            }
            for (index, value) in (0..).zip(&past) {
                strategy.judge(&at(*value, index * 60));
            }
            let end = i64::try_from(past.len() + during.len()).unwrap() * 60;
            let expected = strategy.duplicate().judge(&at(probe, end));
            for (index, value) in (i64::try_from(past.len()).unwrap()..).zip(&during) {
                strategy.assess(&at(*value, index * 60));
            }
            prop_assert_eq!(strategy.judge(&at(probe, end)), expected, "{}", kind);
        }
    }

    /// The definition: the median and the scaled median distance of the last 40 values, each sorted
    /// from scratch.
    #[test]
    fn mad_equals_its_definition(series in proptest::collection::vec(-50..50_i32, 11..150)) {
        let median = |values: &[f64]| {
            let mut sorted = values.to_vec();
            sorted.sort_by(f64::total_cmp);
            f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
        };
        let mut strategy = strategy("mad", "both");
        let series: Vec<f64> = series.into_iter().map(f64::from).collect();
        for (index, value) in series.iter().enumerate() {
            let verdict = strategy.judge(&at(*value, i64::try_from(index).unwrap() * 60));
            if index < 10 {
                continue;
            }
            let window = &series[index.saturating_sub(40)..index];
            let centre = median(window);
            let distances: Vec<f64> = window.iter().map(|x| (x - centre).abs()).collect();
            let mad = 1.482_602_218_505_602 * median(&distances);
            // The least deviation and the fallback for a MAD of zero have their own tests.
            if mad > 1.0 {
                let expected = (value - centre).abs() / mad / 6.0;
                let got = verdict.score.unwrap();
                prop_assert!((got - expected).abs() < 1e-9 * expected.max(1.0), "{index}: {got}, not {expected}");
            }
        }
    }
}
