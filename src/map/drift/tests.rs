//! False alarms without a change, alarms with one, and every reason for no value.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Baseline, BaselineSeries, Drift, DriftParams, Histogram, Learning, Statistic};
use crate::metric::{Labels, Timestamp};

/// A generator of its own, so that the test does not share the null's draws.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / 4_294_967_296.0
    }

    fn draw(&mut self, shares: &[f64], n: u32) -> Vec<f64> {
        let mut counts = vec![0.0; shares.len()];
        for _ in 0..n {
            let mut left = self.uniform() * shares.iter().sum::<f64>();
            let bin = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            counts[bin.unwrap_or(shares.len() - 1)] += 1.0;
        }
        counts
    }
}

fn names(n: usize) -> Vec<String> {
    (1..n)
        .map(|i| i.to_string())
        .chain(["+Inf".to_owned()])
        .collect()
}

fn histogram(counts: Vec<f64>) -> Histogram {
    Histogram {
        names: names(counts.len()),
        counts,
    }
}

fn baseline(counts: &[f64]) -> Baseline {
    let counts: BTreeMap<String, f64> = names(counts.len())
        .into_iter()
        .zip(counts.iter().copied())
        .collect();
    Baseline::new(&counts).unwrap()
}

/// Share of windows above the critical value when nothing changes.
fn false_rate(
    statistic: Statistic,
    (n, reference): (u32, u32),
    shares: &[f64],
    windows: u32,
    alpha: f64,
) -> f64 {
    let mut random = Random(0x1234_5678_9abc_def1 ^ u64::from(n));
    let mut alarms = 0;
    for _ in 0..windows {
        let reference = baseline(&random.draw(shares, reference));
        let params = DriftParams {
            statistic,
            alpha,
            min_samples: 1,
            ordered: true,
        };
        let (value, evidence) =
            Drift::new(params).observe(&histogram(random.draw(shares, n)), Some(&reference));
        alarms += u32::from(value.unwrap() > evidence.critical_value.unwrap());
    }
    f64::from(alarms) / f64::from(windows)
}

#[test]
fn false_alarms_without_a_change_stay_near_the_nominal_rate() {
    let geometric: Vec<f64> = (0..15).map(|i| 0.6_f64.powi(i)).collect();
    let shapes = [vec![1.0; 3], vec![1.0; 10], geometric, vec![1.0; 30]];
    for (n, reference) in [(50, 1000), (500, 2000)] {
        for shape in &shapes {
            let rate = false_rate(Statistic::JensenShannon, (n, reference), shape, 100, 0.05);
            // 1.5 times 5 %, and two standard errors of 100 windows.
            assert!(
                rate <= 0.075 + 0.05,
                "n {n}, {} buckets: {rate}",
                shape.len()
            );
        }
    }
}

#[test]
fn a_change_is_seen_and_explained_by_its_buckets() {
    let mut random = Random(7);
    let reference = baseline(&random.draw(&[5.0, 3.0, 1.0, 1.0], 5000));
    let current = histogram(random.draw(&[2.0, 3.0, 1.0, 4.0], 1000));
    for statistic in Statistic::ALL {
        let params = DriftParams {
            statistic,
            ..DriftParams::default()
        };
        let (value, evidence) = Drift::new(params).observe(&current, Some(&reference));
        assert!(
            value.unwrap() > evidence.critical_value.unwrap(),
            "{}",
            statistic.as_str()
        );
        assert!(evidence.p_value.unwrap() <= 0.001);
        let first = &evidence.contributions[0];
        assert!(
            first.starts_with("+Inf: ") || first.starts_with("1: "),
            "{first}"
        );
    }
}

#[test]
fn too_few_samples_and_other_buckets_are_unknown_and_not_normal() {
    let mut drift = Drift::new(DriftParams::default());
    let reference = baseline(&[100.0, 100.0, 100.0]);
    let why = |(value, evidence): (Option<f64>, crate::metric::Evidence)| {
        assert_eq!(value, None);
        evidence.insufficient.unwrap()
    };
    assert_eq!(
        why(drift.observe(&histogram(vec![500.0; 3]), None)),
        "there is no reference yet"
    );
    assert_eq!(
        why(drift.observe(&histogram(vec![1.0; 3]), Some(&reference))),
        "3 observations in the window, fewer than min_samples 500"
    );
    assert_eq!(
        why(drift.observe(&histogram(vec![500.0; 4]), Some(&reference))),
        "the buckets are not those of the reference (new: 3; gone: none); record a new reference"
    );
}

#[test]
fn bounds_that_are_written_differently_are_the_same_buckets() {
    let written: BTreeMap<String, f64> =
        [("0.50".to_owned(), 400.0), ("+Inf".to_owned(), 600.0)].into();
    let current = Histogram {
        names: vec!["0.5".to_owned(), "+Inf".to_owned()],
        counts: vec![400.0, 600.0],
    };
    let (value, _) = Drift::new(DriftParams::default())
        .observe(&current, Some(&Baseline::new(&written).unwrap()));
    assert_eq!(value, Some(0.0));
}

#[test]
fn a_learnt_reference_counts_every_window_once() {
    let mut learning = Learning::default();
    let minute = Duration::from_secs(60);
    let mut learnt = None;
    for tick in 0..=40 {
        let at = Timestamp::from_millis(tick * 15_000);
        learnt = learning.add(at, minute, &histogram(vec![10.0, 5.0]), (10 * minute, 100));
        assert_eq!(learnt.is_some(), tick == 40, "{tick}");
    }
    // Windows at minutes 0 to 10.
    assert_eq!(learnt, Some(baseline(&[110.0, 55.0])));
}

#[test]
fn a_reference_file_is_read_back_and_its_mistakes_are_named() {
    let series = BaselineSeries::new(
        Labels::new([("model_name", "a")]),
        &histogram(vec![120.0, 4.0]),
    );
    let yaml = serde_yaml::to_string(&series).unwrap();
    let mut read: BaselineSeries = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(read.baseline(), Ok(baseline(&[120.0, 4.0])));
    read.total = 100.0;
    assert_eq!(
        read.baseline(),
        Err("total: must be the sum of the buckets, 124, got 100".to_owned())
    );
    read.buckets.insert("1".to_owned(), -1.0);
    assert_eq!(
        read.baseline(),
        Err("buckets.1: must be 0 or more observations, got -1".to_owned())
    );
}
