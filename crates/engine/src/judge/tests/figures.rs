//! Values computed by hand, and the first detections of river 0.26.1.

use super::{ROWS, StrategyContext, at, built, config, noise, sample, states_around_a_shift};

use std::time::Duration;

use crate::incident::Table;
use crate::judge::{EwmaParams, EwmaStrategy, Registry, State, ThresholdStrategy};
use crate::metric::{Direction, Labels};

fn near(value: Option<f64>, expected: f64) -> bool {
    value.is_some_and(|value| (value - expected).abs() < 1e-12)
}

/// Mean 1 and variance 1 after the values 0 and 2: `α = 1/2`, `v = ½(0 + ½·2²)`.
fn ewma_at_one(relearn_after: u32) -> EwmaStrategy {
    let mut ewma = EwmaStrategy::new(EwmaParams {
        alpha: 0.5,
        k_sigma: 2.0,
        warm_up: 2,
        clip_sigma: 2.0,
        relearn_after,
        ..EwmaParams::default()
    });
    ewma.judge(&sample(0.0));
    ewma.judge(&sample(2.0));
    ewma
}

#[test]
fn the_band_of_ewma_is_k_deviations_wide_and_learns_clipped_deviations() {
    let mut ewma = ewma_at_one(50);
    let far = ewma.judge(&sample(5.0));
    assert_eq!(far.score, Some(2.0));
    let band = far.expected;
    assert_eq!(
        (band.lower, band.centre, band.upper),
        (Some(-1.0), Some(1.0), Some(3.0))
    );
    // A deviation of 4 is clipped at 2: m = 1 + ½·2, v = ½(1 + ½·2²).
    let usual = ewma.judge(&sample(2.0));
    assert_eq!(usual.score, Some(0.0));
    assert!(near(usual.expected.upper, 2.0 + 2.0 * 1.5_f64.sqrt()));
    // v = ½·1.5; a deviation of 98 is clipped at 2·√0.75.
    ewma.judge(&sample(100.0));
    let centre = ewma.judge(&sample(2.0)).expected.centre;
    assert!(near(centre, 2.0 + 0.75_f64.sqrt()), "{centre:?}");
}

#[test]
fn a_value_at_the_limit_of_ewma_does_not_count_towards_relearning() {
    let mut ewma = ewma_at_one(1);
    let limit = ewma.judge(&sample(3.0));
    assert_eq!((limit.state, limit.score), (State::Ok, Some(1.0)));
    assert_eq!(ewma.judge(&sample(2.0)).state, State::Ok);
}

#[test]
fn a_lower_level_is_anomalous_and_then_becomes_normal() {
    let states = states_around_a_shift(-1000.0);
    assert_eq!(states[200..250], [State::Anomalous; 50]);
    assert_eq!(states[250..300], [State::WarmingUp; 50]);
    assert_eq!(states[300..400], [State::Ok; 100]);
}

#[test]
fn the_least_deviation_is_the_sum_of_the_fixed_and_the_relative_one() {
    for kind in ["ewma", "mad", "seasonal"] {
        let json = format!(
            r#"{{"type":"{kind}","k_sigma":4,"min_deviation":0.5,"min_relative_deviation":0.01}}"#
        );
        let mut flat = built(&json);
        for hour in 0..1000 {
            flat.judge(&at(100.0, hour * 3600));
        }
        // 100 ± 4 (0.5 + 0.01·100)
        let band = flat.judge(&at(100.0, 1000 * 3600)).expected;
        assert!(
            near(band.lower, 94.0) && near(band.upper, 106.0),
            "{kind}: {band:?}"
        );
    }
}

#[test]
fn with_mostly_equal_values_mad_uses_the_mean_square() {
    let mut mad = built(r#"{"type":"mad","window":10,"warm_up":10,"k_sigma":2}"#);
    for value in [10.0, 10.0, 10.0, 12.0, 10.0, 10.0, 14.0, 10.0, 10.0, 10.0] {
        mad.judge(&sample(value));
    }
    // σ² = (2² + 4²) / 10
    let band = mad.judge(&sample(10.0)).expected;
    assert!(near(band.upper, 10.0 + 2.0 * 2.0_f64.sqrt()), "{band:?}");
    assert!(near(band.lower, 10.0 - 2.0 * 2.0_f64.sqrt()), "{band:?}");
}

#[test]
fn series_that_are_gone_are_dropped_and_counted() {
    let mut table = Table::new(
        &Registry::built_in(),
        &config(r#"{"type":"ewma"}"#),
        &ROWS,
        Duration::ZERO,
    );
    for name in ["a", "b", "c"] {
        let mut one = sample(1.0);
        one.labels = Labels::new([("model", name)]);
        table.judge(&one);
    }
    table.forget(|labels| labels.get("model") == Some("b"));
    assert_eq!((table.counts().series, table.counts().evicted), (2, 1));
}

#[test]
fn adwin_cuts_first_where_river_does_for_several_units_and_parameters() {
    let first = |values: &[f64], json: &str| {
        let mut adwin = built(json);
        values
            .iter()
            .position(|x| adwin.judge(&sample(*x)).is_anomalous())
    };
    let shift: Vec<f64> = include_str!("../testdata/shift.txt")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    for (unit, json, expected) in [
        (1.0, r#"{"type":"adwin","clock":1}"#, 1033),
        (1.0, r#"{"type":"adwin","clock":7}"#, 1035),
        (1.0, r#"{"type":"adwin","clock":1,"min_window":20}"#, 1047),
        (1.0, r#"{"type":"adwin","clock":1,"delta":0.1}"#, 1019),
        (100.0, r#"{"type":"adwin"}"#, 1023),
        (100.0, r#"{"type":"adwin","clock":1}"#, 1021),
        (100.0, r#"{"type":"adwin","clock":1,"min_window":20}"#, 1036),
        (0.1, r#"{"type":"adwin"}"#, 1119),
        (0.1, r#"{"type":"adwin","clock":1}"#, 1107),
    ] {
        let values: Vec<f64> = shift.iter().map(|x| unit * x).collect();
        assert_eq!(first(&values, json), Some(expected), "{unit} {json}");
    }
    for level in [50.0, -50.0] {
        let values: Vec<f64> = shift.iter().map(|x| x + level).collect();
        assert_eq!(first(&values, r#"{"type":"adwin"}"#), Some(1055), "{level}");
    }
    // Cuts whose old part has exactly the least length.
    let step = |low: usize, high: usize| [vec![0.0; low], vec![100.0; high]].concat();
    let short = r#"{"type":"adwin","clock":1,"grace_period":3,"min_window":1,"delta":0.3}"#;
    assert_eq!(first(&step(1, 9), short), Some(4));
    let short = r#"{"type":"adwin","clock":1,"grace_period":3,"min_window":2,"delta":0.9}"#;
    assert_eq!(first(&step(2, 12), short), Some(4));
    // A recent part that is shorter is not cut.
    let long = r#"{"type":"adwin","clock":1,"grace_period":3,"min_window":20,"delta":0.9}"#;
    assert_eq!(first(&step(20, 40), long), Some(45));
}

#[test]
fn a_state_that_was_learned_with_other_parameters_is_not_restored() {
    for (learned, restored, parameter) in [
        (
            r#"{"type":"mad","window":300}"#,
            r#"{"type":"mad","window":10}"#,
            "window",
        ),
        (
            r#"{"type":"shift","warm_up":200}"#,
            r#"{"type":"shift","warm_up":20}"#,
            "warm_up",
        ),
    ] {
        let mut long = built(learned);
        for i in 0..60 {
            long.judge(&at(noise(i), i64::from(i)));
        }
        let error = Registry::built_in()
            .build(&config(restored), &ROWS)
            .unwrap()
            .restore(&long.snapshot())
            .unwrap_err();
        let wanted = format!("was learned with another {parameter}; learning starts over");
        assert!(error.to_string().ends_with(&wanted), "{error}");
    }
}

#[test]
fn shift_detects_changes_only_on_the_watched_side() {
    let alarms = |direction, jump: f64| {
        let context = StrategyContext { direction, ..ROWS };
        let shift = Registry::built_in().build(&config(r#"{"type":"shift"}"#), &context);
        let mut shift = shift.unwrap();
        (0..400)
            .map(|i| noise(i) + if i < 250 { 0.0 } else { jump })
            .filter(|x| shift.judge(&sample(*x)).is_anomalous())
            .count()
            > 0
    };
    assert!(alarms(Direction::Above, 3.0) && alarms(Direction::Below, -3.0));
    assert!(!alarms(Direction::Above, -3.0) && !alarms(Direction::Below, 3.0));
}
