//! Strategies against the figures of other programs: reference implementations in Python, and river
//! 0.26.1.

use std::time::Duration;

use crate::judge::{Registry, StrategyConfig, StrategyContext, ThresholdStrategy};
use crate::metric::{Direction, Labels, Metric, MetricSample, Timestamp};

fn build(json: &str) -> Box<dyn ThresholdStrategy> {
    let config: StrategyConfig = serde_json::from_str(json).unwrap();
    let context = StrategyContext {
        direction: Direction::Both,
        interval: Duration::ZERO,
    };
    Registry::built_in().build(&config, &context).unwrap()
}

fn sample(value: f64, seconds: f64) -> MetricSample {
    MetricSample::new(
        Metric::Custom,
        Labels::empty(),
        value,
        Timestamp::from_secs_f64(seconds),
    )
}

/// `numpy.random.default_rng(0)`: 1000 draws of N(0,1), then 1000 of N(1,1), rounded to four
/// places.
fn detections(json: &str) -> Vec<usize> {
    let mut strategy = build(json);
    let values = include_str!("../testdata/shift.txt").lines();
    let verdicts = values.map(|line| strategy.judge(&sample(line.parse().unwrap(), 0.0)));
    verdicts
        .enumerate()
        .filter(|(_, verdict)| verdict.is_anomalous())
        .map(|(at, _)| at)
        .collect()
}

#[test]
fn adwin_detects_where_river_does() {
    assert_eq!(detections(r#"{"type":"adwin"}"#), [1055]);
}

#[test]
fn page_hinkley_detects_where_river_does() {
    assert_eq!(detections(r#"{"type":"page_hinkley"}"#), [1048, 1922]);
}

/// Rows of a golden file: seconds, value, expected novelty, expected distance from the mean in
/// standard deviations.
///
/// The series are made up. The expected columns come from a Python implementation of the novelty
/// score, and from West's recursion with `alpha` 0.005 and 50 samples of warm-up.
fn golden(csv: &str) -> Vec<[f64; 4]> {
    let rows = csv.lines().skip(1).map(|line| {
        let mut cells = line.split(',').map(|cell| cell.parse::<f64>().unwrap());
        std::array::from_fn(|_| cells.next().unwrap())
    });
    rows.collect()
}

#[test]
fn novelty_and_ewma_equal_their_golden_outputs() {
    for (name, csv) in [
        ("clicks", include_str!("../testdata/golden/clicks.csv")),
        (
            "daily_curve",
            include_str!("../testdata/golden/daily_curve.csv"),
        ),
        ("latency", include_str!("../testdata/golden/latency.csv")),
        ("requests", include_str!("../testdata/golden/requests.csv")),
    ] {
        let mut novelty = build(r#"{"type":"novelty","threshold":1}"#);
        let mut ewma =
            build(r#"{"type":"ewma","k_sigma":1,"clip_sigma":1e12,"relearn_after":1000000}"#);
        for (at, [seconds, value, expected_novelty, expected_z]) in
            golden(csv).into_iter().enumerate()
        {
            let sample = sample(value, seconds);
            let (n, z) = (
                novelty.judge(&sample).score.unwrap_or(0.0),
                ewma.judge(&sample).score.unwrap_or(0.0),
            );
            assert!(
                (n - expected_novelty).abs() <= 1e-6,
                "{name}:{at}: novelty {n}, not {expected_novelty}"
            );
            assert!(
                (z - expected_z).abs() <= 1e-9 * expected_z.max(1.0),
                "{name}:{at}: z {z}, not {expected_z}"
            );
        }
    }
}

#[test]
fn the_mad_is_the_one_of_scipy() {
    let mut sorted = [1.0, 2.0, 4.0, 3.0, 10.0, 2.0, 2.5];
    sorted.sort_by(f64::total_cmp);
    let raw = crate::judge::mad::median_distance(&sorted, 2.5);
    assert!((raw - 0.5).abs() < 1e-12);
    assert!((raw * crate::judge::mad::TO_SIGMA - 0.741_301_109_252_801).abs() < 1e-12);
}

#[test]
fn the_median_distance_equals_sorting_all_distances() {
    let mut seed = 1_u64;
    for n in 1..60_u32 {
        let mut values: Vec<f64> = (0..n)
            .map(|_| {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                f64::from(u32::try_from(seed >> 59).unwrap())
            })
            .collect();
        values.sort_by(f64::total_cmp);
        let centre = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        let mut distances: Vec<f64> = values.iter().map(|x| (x - centre).abs()).collect();
        distances.sort_by(f64::total_cmp);
        let naive = (distances[(distances.len() - 1) / 2] + distances[distances.len() / 2]) / 2.0;
        assert!(
            (crate::judge::mad::median_distance(&values, centre) - naive).abs() < 1e-12,
            "{values:?}"
        );
    }
}
