//! Estimates from buckets beside those of `testdata/rows.py`, which works on the rows behind them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Calibration, EstimateRule, Estimated, Estimator, Evidenced, Truth};
use crate::metric::{Evidence, Labels, Timestamp};
use crate::promql::{Expr, InstantSample};

const ROWS: &str = include_str!("testdata/rows.json");
const MINUTE: Duration = Duration::from_secs(60);

fn expr(text: &str) -> Expr {
    Expr::parse(text).unwrap()
}

fn rule(of: Estimated, threshold: f64) -> EstimateRule {
    EstimateRule {
        of,
        from: Evidenced::Scores {
            buckets: expr("scores_bucket"),
            threshold,
            calibration: Vec::new(),
        },
        labelled: None,
        calibration_file: None,
        truth: None,
        by: vec!["model_name".to_owned()],
        window: MINUTE * 30,
        min_samples: 100,
    }
}

fn at(minute: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + MINUTE * minute
}

fn sample(labels: &[(&str, &str)], value: f64, minute: u32) -> InstantSample {
    let labels = Labels::new(labels.iter().copied());
    InstantSample::new(labels.with("model_name", "m"), value, at(minute))
}

fn cumulative(buckets: &BTreeMap<String, f64>, share: f64, minute: u32) -> Vec<InstantSample> {
    let counted = buckets.iter();
    let counted = counted.map(|(le, count)| sample(&[("le", le)], count * share, minute));
    counted.collect()
}

/// The estimate after all rows were scored within a minute.
fn estimate(rule: &EstimateRule, buckets: &BTreeMap<String, f64>) -> (f64, Evidence) {
    let mut estimator = Estimator::default();
    estimator.observe(rule, &[cumulative(buckets, 0.0, 0)], at(0));
    let measured = estimator.observe(rule, &[cumulative(buckets, 1.0, 1)], at(1));
    let [(labels, value, evidence)] = measured.as_slice() else {
        panic!("{measured:?}");
    };
    assert_eq!(labels.get("estimated"), Some("true"));
    (*value, evidence.as_ref().clone())
}

fn buckets(case: &Value, count: &str) -> BTreeMap<String, f64> {
    serde_json::from_value(case["buckets"][count].clone()).unwrap()
}

#[test]
fn estimates_from_buckets_are_within_a_point_of_those_from_the_rows() {
    let rows: Value = serde_json::from_str(ROWS).unwrap();
    let mut said = Vec::new();
    let mut far = Vec::new();
    for case in rows["cases"].as_array().unwrap() {
        let threshold = case["threshold"].as_f64().unwrap();
        for count in ["5", "10", "20"] {
            let (value, evidence) =
                estimate(&rule(Estimated::Accuracy, threshold), &buckets(case, count));
            let expected = case["figures"]["accuracy"].as_f64().unwrap();
            let difference = value - expected;
            // Five buckets do not tell two groups of scores from one.
            let name = case["name"].as_str().unwrap();
            let is_mixture = ["two_groups", "mostly_sure"].contains(&name);
            let limit = if is_mixture && count == "5" {
                0.015
            } else {
                0.01
            };
            if difference.abs() > limit {
                far.push(format!("{name}, {count} buckets: {difference:+.4}"));
            }
            said.push(format!(
                "{} {count} buckets: {value:.4}, rows {expected:.4}, {difference:+.4}",
                case["name"]
            ));
            // The spread within buckets is unknown, so the error is at most that of the rows.
            let (lower, upper) = evidence.sampling.unwrap().interval.unwrap();
            let error = case["figures"]["accuracy_error"].as_f64().unwrap();
            assert!((upper - lower) / 2.0 < error * 1.25, "{said:?}");
            assert!(
                (upper - lower) / 2.0 > error * 0.4,
                "{lower} to {upper}, {error}: {said:?}"
            );
        }
    }
    assert!(far.is_empty(), "{far:?} of {said:#?}");
}

#[test]
fn precision_and_recall_are_those_of_the_rows_where_class_1_is_not_rare() {
    let rows: Value = serde_json::from_str(ROWS).unwrap();
    let mut said = Vec::new();
    for case in rows["cases"].as_array().unwrap() {
        let threshold = case["threshold"].as_f64().unwrap();
        for count in ["5", "10", "20"] {
            for (of, figure) in [
                (Estimated::Precision, "precision"),
                (Estimated::Recall, "recall"),
            ] {
                let Some(expected) = case["figures"][figure].as_f64() else {
                    continue;
                };
                let (value, _) = estimate(&rule(of, threshold), &buckets(case, count));
                said.push((
                    format!(
                        "{} {figure} {count}: {value:.4}, rows {expected:.4}",
                        case["name"]
                    ),
                    (value - expected).abs(),
                ));
            }
        }
    }
    let far: Vec<_> = said
        .iter()
        .filter(|(_, difference)| *difference > 0.03)
        .collect();
    assert!(far.is_empty(), "{far:#?}");
}

#[test]
fn a_measured_calibration_replaces_the_meaning_of_the_scores() {
    // Scores are too sure: 0.9 means 0.7, and 0.1 means 0.3.
    let buckets: BTreeMap<String, f64> = [("0.2", 500.0), ("0.8", 500.0), ("+Inf", 1000.0)]
        .map(|(le, count)| (le.to_owned(), count))
        .into();
    let plain = rule(Estimated::Accuracy, 0.5);
    let calibrated = EstimateRule {
        from: Evidenced::Scores {
            buckets: expr("scores_bucket"),
            threshold: 0.5,
            calibration: vec![Calibration {
                labels: Labels::new([("model_name", "m")]),
                shares: vec![(0.2, 0.3), (f64::INFINITY, 0.7)],
            }],
        },
        ..plain.clone()
    };
    assert!(estimate(&plain, &buckets).0 > 0.85);
    assert!((estimate(&calibrated, &buckets).0 - 0.7).abs() < 1e-9);
}

#[test]
fn a_mean_confidence_is_an_estimate_and_few_predictions_are_none() {
    let rule = EstimateRule {
        from: Evidenced::Confidence {
            count: expr("confidence_count"),
            sum: expr("confidence_sum"),
        },
        ..rule(Estimated::Accuracy, 0.5)
    };
    let mut estimator = Estimator::default();
    let mut observe = |count: f64, sum: f64, minute: u32| {
        let values = [("c", count), ("s", sum)]
            .map(|(part, value)| vec![sample(&[("part", part)], value, minute)]);
        let measured = estimator.observe(&rule, &values, at(minute));
        (measured[0].1, measured[0].2.insufficient.clone())
    };
    observe(0.0, 0.0, 0);
    let (value, why) = observe(99.0, 80.0, 1);
    assert!(value.is_nan());
    assert_eq!(
        why.as_deref(),
        Some("99 predictions in the window, 100 are needed")
    );
    let (value, why) = observe(1000.0, 850.0, 2);
    assert!((value - 0.85).abs() < 1e-9, "{value}");
    assert_eq!(why, None);
}

/// The buckets of 5,000 predictions, most of them sure.
fn sure() -> BTreeMap<String, f64> {
    [
        ("0.1", 2250.0),
        ("0.5", 2500.0),
        ("0.9", 2750.0),
        ("+Inf", 5000.0),
    ]
    .map(|(le, count)| (le.to_owned(), count))
    .into()
}

/// The accuracy estimate and the gap, when this share of 2,000 labels is right.
fn with_labels(right: f64) -> [(f64, Evidence); 2] {
    let buckets = sure();
    [Estimated::Accuracy, Estimated::Gap].map(|of| {
        let rule = EstimateRule {
            truth: Some(Truth {
                good: vec![expr("good")],
                total: vec![expr("total")],
            }),
            ..rule(of, 0.5)
        };
        let mut estimator = Estimator::default();
        let mut observe = |share: f64, minute: u32| {
            let values = [
                cumulative(&buckets, share, minute),
                vec![sample(&[("of", "good")], 2000.0 * right * share, minute)],
                vec![sample(&[("of", "total")], 2000.0 * share, minute)],
            ];
            estimator.observe(&rule, &values, at(minute))
        };
        observe(0.0, 0);
        let measured = observe(1.0, 1);
        (measured[0].1, measured[0].2.as_ref().clone())
    })
}

#[test]
fn labels_that_contradict_the_estimate_make_it_unusable() {
    let (expected, _) = estimate(&rule(Estimated::Accuracy, 0.5), &sure());
    assert!(expected > 0.9 && expected < 0.99, "{expected}");
    let [(value, _), (gap, evidence)] = with_labels(expected - 0.005);
    assert!(!value.is_nan());
    assert_eq!(
        (gap.to_bits(), evidence.samples),
        (0_f64.to_bits(), 2000),
        "chance"
    );
    let [(value, evidence), (gap, _)] = with_labels(expected - 0.15);
    assert!(value.is_nan());
    let why = evidence.insufficient.unwrap();
    assert!(
        why.starts_with("labels contradict the estimate: 9"),
        "{why}"
    );
    assert!((gap - 0.15).abs() < 1e-3, "{gap}");
}

#[test]
fn counts_survive_a_restart_and_scores_that_are_no_probabilities_are_refused() {
    let rule = rule(Estimated::Accuracy, 0.5);
    let halves: BTreeMap<String, f64> = [("0.5", 400.0), ("+Inf", 1000.0)]
        .map(|(le, count)| (le.to_owned(), count))
        .into();
    let mut estimator = Estimator::default();
    estimator.observe(&rule, &[cumulative(&halves, 0.0, 0)], at(0));
    estimator.observe(&rule, &[cumulative(&halves, 1.0, 1)], at(1));
    let stored = serde_json::to_string(&estimator.memory(&rule)).unwrap();
    let mut next = Estimator::default();
    next.restore(&rule, serde_json::from_str(&stored).unwrap())
        .unwrap();
    let before = estimator.observe(&rule, &[cumulative(&halves, 1.5, 2)], at(2));
    let after = next.observe(&rule, &[cumulative(&halves, 1.5, 2)], at(2));
    assert_eq!(before[0].1.to_bits(), after[0].1.to_bits());
    let seconds: BTreeMap<String, f64> = [("5", 400.0), ("+Inf", 1000.0)]
        .map(|(le, count)| (le.to_owned(), count))
        .into();
    let (value, evidence) = estimate(&rule, &seconds);
    assert!(value.is_nan());
    let why = evidence.insufficient.unwrap();
    assert_eq!(
        why,
        "a bucket bound of 5 is no probability: scores must be 0 to 1"
    );
}
