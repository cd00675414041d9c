//! Figures by hand, and where river 0.26.1 sees a first change.

use super::{ROWS, StrategyContext, at, built, config, noise, sample, states_around_a_shift};
use crate::judge::novelty::Novelty;
use crate::judge::streaming::Streaming;
use crate::judge::{EwmaParams, EwmaStrategy, Registry, State, Table, ThresholdStrategy};
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
    // A deviation of 4 is learnt as 2: m = 1 + ½·2, v = ½(1 + ½·2²).
    let usual = ewma.judge(&sample(2.0));
    assert_eq!(usual.score, Some(0.0));
    assert!(near(usual.expected.upper, 2.0 + 2.0 * 1.5_f64.sqrt()));
    // v = ½·1.5; of a deviation of 98 is learnt 2·√0.75.
    ewma.judge(&sample(100.0));
    let centre = ewma.judge(&sample(2.0)).expected.centre;
    assert!(near(centre, 2.0 + 0.75_f64.sqrt()), "{centre:?}");
}

#[test]
fn a_value_at_the_limit_of_ewma_is_no_step_towards_learning_anew() {
    let mut ewma = ewma_at_one(1);
    let limit = ewma.judge(&sample(3.0));
    assert_eq!((limit.state, limit.score), (State::Ok, Some(1.0)));
    assert_eq!(ewma.judge(&sample(2.0)).state, State::Ok);
}

#[test]
fn a_level_that_falls_becomes_the_new_normal_too() {
    let states = states_around_a_shift(-1000.0);
    assert_eq!(states[200..250], [State::Anomalous; 50]);
    assert_eq!(states[250..300], [State::WarmingUp; 50]);
    assert_eq!(states[300..400], [State::Ok; 100]);
}

#[test]
fn the_least_deviation_is_the_fixed_one_and_a_share_of_the_usual_value() {
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
fn where_most_values_are_equal_the_band_of_mad_is_that_of_the_mean_square() {
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
fn series_that_are_known_to_be_gone_are_counted_as_they_leave() {
    let mut table = Table::new(&Registry::built_in(), &config(r#"{"type":"ewma"}"#), &ROWS);
    for name in ["a", "b", "c"] {
        let mut one = sample(1.0);
        one.labels = Labels::new([("model", name)]);
        table.judge(&one);
    }
    table.forget(|labels| labels.get("model") == Some("b"));
    assert_eq!((table.counts().series, table.counts().evicted), (2, 1));
}

#[test]
fn adwin_cuts_first_where_river_does_in_any_unit_and_for_any_parameters() {
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
    // Cuts whose old half is exactly as long as the shortest that counts.
    let step = |low: usize, high: usize| [vec![0.0; low], vec![100.0; high]].concat();
    let short = r#"{"type":"adwin","clock":1,"grace_period":3,"min_window":1,"delta":0.3}"#;
    assert_eq!(first(&step(1, 9), short), Some(4));
    let short = r#"{"type":"adwin","clock":1,"grace_period":3,"min_window":2,"delta":0.9}"#;
    assert_eq!(first(&step(2, 12), short), Some(4));
    // A recent half that is shorter does not count.
    let long = r#"{"type":"adwin","clock":1,"grace_period":3,"min_window":20,"delta":0.9}"#;
    assert_eq!(first(&step(20, 40), long), Some(45));
}

#[test]
fn shift_keeps_63_edges_and_64_counts_of_8_bytes_once_it_is_warm() {
    let mut shift = built(r#"{"type":"shift"}"#);
    let before = shift.memory();
    for i in 0..200 {
        shift.judge(&sample(noise(i)));
    }
    assert_eq!(shift.memory() - before, (63 + 64) * 8);
}

#[test]
fn a_young_novelty_keeps_two_seasons_and_eleven_rows_of_8_bytes() {
    let inline = size_of::<Streaming<Novelty>>();
    let novelty = built(r#"{"type":"novelty"}"#);
    // A level and a count for each hour of a day and of a week; the last 3, 3 and 5 rows.
    assert_eq!(novelty.memory() - inline, (2 * (24 + 168) + 11) * 8);
}

#[test]
fn what_was_learnt_with_other_lengths_is_not_restored() {
    for (learnt, restored, parameter) in [
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
        let mut long = built(learnt);
        for i in 0..60 {
            long.judge(&at(noise(i), i64::from(i)));
        }
        let error = Registry::built_in()
            .build(&config(restored), &ROWS)
            .unwrap()
            .restore(&long.snapshot())
            .unwrap_err();
        let wanted = format!("was learnt with another {parameter}; it is learnt anew");
        assert!(error.to_string().ends_with(&wanted), "{error}");
    }
}

#[test]
fn the_first_change_after_a_flat_course_is_learnt() {
    let mut seasonal = built(r#"{"type":"seasonal"}"#);
    for hour in 0..300 {
        seasonal.judge(&at(100.0, hour * 3600));
    }
    assert!(seasonal.judge(&at(110.0, 300 * 3600)).is_anomalous());
    for hour in 301..324 {
        seasonal.judge(&at(100.0, hour * 3600));
    }
    // A tenth of the difference belongs to that hour of the day.
    let centre = seasonal.judge(&at(100.0, 324 * 3600)).expected.centre;
    assert!(centre.is_some_and(|centre| centre > 100.5), "{centre:?}");
}

#[test]
fn a_level_that_stays_elsewhere_is_the_new_usual_of_seasonal() {
    let mut seasonal = built(r#"{"type":"seasonal","relearn_after":3}"#);
    for hour in 0..300 {
        seasonal.judge(&at(
            100.0 + noise(u32::try_from(hour).unwrap()),
            hour * 3600,
        ));
    }
    for hour in 300..303 {
        assert!(seasonal.judge(&at(1000.0, hour * 3600)).is_anomalous());
    }
    let centre = seasonal.judge(&at(1000.0, 303 * 3600)).expected.centre;
    assert!(
        centre.is_some_and(|centre| (centre - 1000.0).abs() < 3.0),
        "{centre:?}"
    );
}

#[test]
fn shift_sees_only_the_side_that_is_watched() {
    let alarms = |direction, jump: f64| {
        let context = StrategyContext { direction, ..ROWS };
        let shift = Registry::built_in().build(&config(r#"{"type":"shift"}"#), &context);
        let mut shift = shift.unwrap();
        let values = (0..400).map(|i| noise(i) + if i < 250 { 0.0 } else { jump });
        values
            .filter(|x| shift.judge(&sample(*x)).is_anomalous())
            .count()
            > 0
    };
    assert!(alarms(Direction::Above, 3.0) && alarms(Direction::Below, -3.0));
    assert!(!alarms(Direction::Above, -3.0) && !alarms(Direction::Below, 3.0));
}
