//! False alarms without a change, alarms with one, and the reasons for no value.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    BaselineSeries, Detector, Drift, DriftParams, DriftRule, Drifted, Histogram, Learn,
    LearntReference, Reference, Refused, Spread, Statistic, Tally,
};
use crate::metric::{Evidence, Labels, Timestamp};
use crate::promql::{Expr, InstantSample};

mod references; // how references are learned, moved and accepted

/// PCG-XSH-RR (O'Neill 2014): another generator than that of the null distribution, so that their
/// draws are independent.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        let state = self.0;
        self.0 = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mixed = ((((state >> 18) ^ state) >> 27) & 0xffff_ffff) as u32;
        f64::from(mixed.rotate_right((state >> 59) as u32)) / 4_294_967_296.0
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

fn baseline(counts: &[f64]) -> LearntReference {
    let counts: BTreeMap<String, f64> = names(counts.len())
        .into_iter()
        .zip(counts.iter().copied())
        .collect();
    LearntReference::new(&counts).unwrap()
}

/// The spread of independent observations.
const INDEPENDENT: Spread = Spread {
    overdispersion: 1.0,
    ..Spread::ASSUMED
};

/// The value of one window, judged alone.
fn observe(
    drift: &mut Drift,
    current: &Histogram,
    reference: Option<&LearntReference>,
) -> (Option<f64>, Evidence) {
    match drift.measure(current, reference, MINUTE) {
        Ok(measured) => {
            let (value, evidence) = measured.at_level(0.01, 0.0);
            (Some(value), evidence)
        }
        Err(evidence) => (None, *evidence),
    }
}

/// Shares of windows that alarm at 5 % and at 1 % when nothing changes. As in practice, several
/// windows have the same reference.
fn false_rates(
    statistic: Statistic,
    (n, m): (u32, u32),
    shares: &[f64],
    windows: u32,
) -> [(f64, f64); 2] {
    const WINDOWS_PER_REFERENCE: u32 = 4;
    let mut random = Random(0x1234_5678_9abc_def1 ^ u64::from(n) ^ u64::from(m) << 20);
    let mut alarms = [0_u32; 2];
    let mut reference = baseline(&random.draw(shares, m)).with_spread(Some(INDEPENDENT));
    let params = DriftParams {
        statistic,
        alpha: 0.01,
        min_samples: 1,
        ..DriftParams::default()
    };
    let mut drift = Drift::new(params, "le");
    for window in 0..windows {
        if window % WINDOWS_PER_REFERENCE == 0 {
            reference = baseline(&random.draw(shares, m)).with_spread(Some(INDEPENDENT));
        }
        let current = histogram(random.draw(shares, n));
        let (value, evidence) = observe(&mut drift, &current, Some(&reference));
        let p = evidence.p_value.unwrap();
        let is_critical = value.unwrap() > evidence.critical_value.unwrap();
        // With few observations ties are possible. The p-value counts them, so it never alarms more
        // often.
        assert!(is_critical || p > 0.01, "{p}");
        alarms[0] += u32::from(p <= 0.05);
        alarms[1] += u32::from(is_critical);
    }
    let rate = |alarms: u32| f64::from(alarms) / f64::from(windows);
    [(0.05, rate(alarms[0])), (0.01, rate(alarms[1]))]
}

/// Simulates `SIDEWATCH_WINDOWS` windows per cell; with at least 1000 (`scripts/deep drift`) it
/// prints the table of docs/DETECTION.md.
#[test]
fn false_alarms_without_a_change_stay_near_the_nominal_rate() {
    let windows: u32 = std::env::var("SIDEWATCH_WINDOWS").map_or(60, |text| text.parse().unwrap());
    let deep = windows >= 1000;
    let geometric: Vec<f64> = (0..15).map(|i| 0.6_f64.powi(i)).collect();
    let shapes = [vec![1.0; 3], vec![1.0; 10], geometric, vec![1.0; 30]];
    let sizes = [
        (50, 10_000),
        (50, 1000),
        (200, 2000),
        (500, 2000),
        (2000, 2000),
    ];
    let sizes: &[(u32, u32)] = if deep { &sizes } else { &sizes[..1] };
    for statistic in Statistic::ALL {
        let mut worst = [0.0_f64; 2];
        for (n, m) in sizes {
            for shape in &shapes {
                let rates = false_rates(statistic, (*n, *m), shape, windows);
                for ((alpha, rate), worst) in rates.into_iter().zip(&mut worst) {
                    *worst = worst.max(rate);
                    // 1.5 times the nominal rate, plus three standard errors for this number of
                    // windows.
                    let limit = 1.5 * alpha;
                    let error = 3.0 * (limit * (1.0 - limit) / f64::from(windows)).sqrt();
                    assert!(
                        rate <= limit + error,
                        "{}, n {n}, m {m}, {} buckets, alpha {alpha}: {rate}",
                        statistic.as_str(),
                        shape.len()
                    );
                }
            }
        }
        if deep {
            println!("{}: at most {worst:?} at 5 % and 1 %", statistic.as_str());
        }
    }
}

#[test]
fn a_change_is_detected_and_explained_by_its_buckets() {
    let mut random = Random(7);
    let reference = baseline(&random.draw(&[5.0, 3.0, 1.0, 1.0], 5000));
    let current = histogram(random.draw(&[2.0, 3.0, 1.0, 4.0], 1000));
    for statistic in Statistic::ALL {
        let params = DriftParams {
            statistic,
            ..DriftParams::default()
        };
        let (value, evidence) = observe(&mut Drift::new(params, "le"), &current, Some(&reference));
        assert!(
            value.unwrap() > evidence.critical_value.unwrap(),
            "{}",
            statistic.as_str()
        );
        assert!(evidence.p_value.unwrap() <= 0.001);
        let first = &evidence.contributions[0];
        assert!(
            first.starts_with("le +Inf ") || first.starts_with("le 1 "),
            "{first}"
        );
    }
}

#[test]
fn too_few_samples_and_different_buckets_give_no_value() {
    let mut drift = Drift::new(DriftParams::default(), "le");
    let reference = baseline(&[100.0, 100.0, 100.0]);
    let why = |(value, evidence): (Option<f64>, Evidence)| {
        assert_eq!(value, None);
        evidence.insufficient.unwrap()
    };
    assert_eq!(
        why(observe(&mut drift, &histogram(vec![500.0; 3]), None)),
        "there is no reference yet"
    );
    assert_eq!(
        why(observe(
            &mut drift,
            &histogram(vec![1.0; 3]),
            Some(&reference)
        )),
        "3 observations in the window, fewer than min_samples 500"
    );
    assert_eq!(
        why(observe(
            &mut drift,
            &histogram(vec![500.0; 4]),
            Some(&reference)
        )),
        "the buckets are not those of the reference (new: 3; gone: none); record a new reference"
    );
}

#[test]
fn differently_written_bounds_are_the_same_buckets() {
    let written: BTreeMap<String, f64> =
        [("0.50".to_owned(), 400.0), ("+Inf".to_owned(), 600.0)].into();
    let current = Histogram {
        names: vec!["0.5".to_owned(), "+Inf".to_owned()],
        counts: vec![400.0, 600.0],
    };
    let (value, _) = observe(
        &mut Drift::new(DriftParams::default(), "le"),
        &current,
        Some(&LearntReference::new(&written).unwrap()),
    );
    assert_eq!(value, Some(0.0));
}

#[test]
fn a_reference_is_read_back_and_its_mistakes_are_reported() {
    let series = BaselineSeries::new(Labels::new([("model_name", "a")]), &baseline(&[120.0, 4.0]));
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

const MINUTE: Duration = Duration::from_secs(60);

fn rule(reference: Reference, ordered: bool) -> DriftRule {
    DriftRule {
        counters: Expr::parse("scores_bucket").unwrap(),
        bucket: if ordered { "le" } else { "class" }.to_owned(),
        by: vec!["model".to_owned()],
        window: 10 * MINUTE,
        at_least: None,
        reference,
        params: DriftParams {
            min_samples: 100,
            ordered,
            ..DriftParams::default()
        },
    }
}

/// A server's `pod` and one value per bucket.
type Pod<'a> = (&'a str, &'a [(&'a str, f64)]);

fn counters(bucket: &str, pods: &[Pod<'_>]) -> Vec<InstantSample> {
    let mut samples = Vec::new();
    for (pod, values) in pods {
        for (name, value) in *values {
            let pairs = [("model", "a"), ("pod", pod), (bucket, name)];
            samples.push(InstantSample {
                labels: Labels::named("scores_bucket", pairs),
                value: *value,
                at: Timestamp::default(),
                sampling: None,
            });
        }
    }
    samples
}

fn minute(n: u32) -> Timestamp {
    Timestamp::default() + MINUTE * n
}

fn one(drifted: Result<Vec<Drifted>, String>) -> Drifted {
    let [one] = <[Drifted; 1]>::try_from(drifted.unwrap()).unwrap();
    one
}

fn learning(time: Duration) -> Reference {
    Reference::Learn(Learn {
        time,
        ..Learn::default()
    })
}

fn even() -> Reference {
    Reference::Inline(baseline(&[1000.0, 1000.0]))
}

#[test]
fn after_a_reset_the_value_of_a_counter_is_its_increase() {
    let rule = rule(even(), true);
    let mut detector = Detector::new(&rule);
    let mut at = |n, low, all| {
        let values = counters("le", &[("p", &[("1", low), ("+Inf", all)])]);
        one(detector.observe(&rule, &values, minute(n)))
    };
    assert_eq!(at(0, 500.0, 1000.0).evidence.samples, 0);
    assert_eq!(at(1, 560.0, 1120.0).evidence.samples, 120);
    // The server has restarted and answered 40 requests since.
    let after = at(2, 20.0, 40.0);
    assert_eq!(after.evidence.samples, 160);
    assert_eq!(after.value, Some(0.0));
}

#[test]
fn counts_leave_the_window_and_the_value_becomes_unknown() {
    let rule = rule(even(), true);
    let mut detector = Detector::new(&rule);
    let values = |all| counters("le", &[("p", &[("1", all / 2.0), ("+Inf", all)])]);
    one(detector.observe(&rule, &values(0.0), minute(0)));
    assert!(
        one(detector.observe(&rule, &values(200.0), minute(1)))
            .value
            .is_some()
    );
    let later = one(detector.observe(&rule, &values(200.0), minute(11)));
    assert_eq!(later.value, None);
    assert_eq!(
        later.evidence.insufficient.as_deref(),
        Some("0 observations in the window, fewer than min_samples 100")
    );
}

#[test]
fn counts_of_replicas_add_up_without_the_past_of_a_new_replica() {
    let rule = rule(even(), true);
    let mut detector = Detector::new(&rule);
    let replica = |all: f64| [("1", all / 2.0), ("+Inf", all)];
    let first = counters("le", &[("p", &replica(1000.0))]);
    one(detector.observe(&rule, &first, minute(0)));
    let both = counters("le", &[("p", &replica(1100.0)), ("q", &replica(9000.0))]);
    assert_eq!(
        one(detector.observe(&rule, &both, minute(1)))
            .evidence
            .samples,
        100
    );
    let both = counters("le", &[("p", &replica(1200.0)), ("q", &replica(9100.0))]);
    assert_eq!(
        one(detector.observe(&rule, &both, minute(2)))
            .evidence
            .samples,
        300
    );
}

#[test]
fn a_category_that_appears_at_a_known_server_has_started_at_0() {
    let rule = rule(even(), false);
    let mut detector = Detector::new(&rule);
    let start = counters("class", &[("p", &[("cat", 10.0), ("dog", 10.0)])]);
    one(detector.observe(&rule, &start, minute(0)));
    let later = counters(
        "class",
        &[("p", &[("cat", 60.0), ("dog", 60.0), ("fish", 80.0)])],
    );
    let drifted = one(detector.observe(&rule, &later, minute(1)));
    assert_eq!(drifted.evidence.samples, 180);
    // The reference has none of these categories: its buckets are 1 and +Inf.
    assert!(drifted.value.unwrap() > drifted.evidence.critical_value.unwrap());
}

#[test]
fn changed_buckets_restart_the_window_with_a_reason() {
    let learn = rule(learning(2 * MINUTE), true);
    let mut detector = Detector::new(&learn);
    let old = |all: f64| counters("le", &[("p", &[("1", all / 2.0), ("+Inf", all)])]);
    for n in 0..4 {
        one(detector.observe(&learn, &old(f64::from(n) * 100.0), minute(n)));
    }
    assert!(
        one(detector.observe(&learn, &old(400.0), minute(4)))
            .value
            .is_some()
    );
    let new = |all: f64| counters("le", &[("p", &[("2", all / 2.0), ("+Inf", all)])]);
    let changed = one(detector.observe(&learn, &new(500.0), minute(5)));
    assert_eq!(changed.value, None);
    assert!(changed.evidence.learning);
    assert_eq!(
        changed.evidence.insufficient.as_deref(),
        Some(
            "learning the reference for 0s of 2m, 0 observations of at least 100; \
             the buckets changed at 1970-01-01T00:05:00.000Z; counting anew"
        )
    );
    let mixed = counters(
        "le",
        &[
            ("p", &[("2", 1.0), ("+Inf", 1.0)]),
            ("q", &[("1", 1.0), ("+Inf", 1.0)]),
        ],
    );
    let mixed = one(detector.observe(&learn, &mixed, minute(6)));
    let why = mixed.evidence.insufficient.as_deref().unwrap();
    assert!(
        why.contains("the servers expose different buckets"),
        "{why}"
    );
}

#[test]
fn a_reference_is_learned_from_every_observation_and_survives_a_restart() {
    let learn = rule(learning(3 * MINUTE), true);
    let mut detector = Detector::new(&learn);
    let values = |low: f64, all: f64| counters("le", &[("p", &[("1", low), ("+Inf", all)])]);
    let mut progress = Vec::new();
    for n in 0..3 {
        let all = f64::from(n) * 200.0;
        let drifted = one(detector.observe(&learn, &values(all / 2.0, all), minute(n)));
        assert!(drifted.evidence.learning);
        progress.push(drifted.evidence.insufficient.clone().unwrap());
    }
    assert_eq!(
        progress[2],
        "learning the reference for 2m of 3m, 400 observations of at least 100"
    );
    let stored = serde_json::to_string(&detector.memory(&learn)).unwrap();
    let mut restored = Detector::new(&learn);
    restored
        .restore(&learn, serde_json::from_str(&stored).unwrap())
        .unwrap();
    for detector in [&mut detector, &mut restored] {
        let learned = one(detector.observe(&learn, &values(300.0, 600.0), minute(3)));
        assert_eq!(
            (learned.value, learned.evidence.reference_samples),
            (Some(0.0), 600)
        );
        // From now on all observations are in the lower bucket.
        let drifted = one(detector.observe(&learn, &values(1300.0, 1600.0), minute(12)));
        assert!(drifted.value.unwrap() > drifted.evidence.critical_value.unwrap());
        assert_eq!(drifted.evidence.samples, 1200);
    }
    let other = DriftRule {
        by: Vec::new(),
        ..learn.clone()
    };
    let memory = serde_json::from_str(&stored).unwrap();
    assert_eq!(
        Detector::new(&other).restore(&other, memory),
        Err("the rule counts something else now")
    );
}

#[test]
fn a_tally_counts_from_its_own_start_or_that_of_the_server() {
    let rule = rule(even(), true);
    let values = |all: f64| counters("le", &[("p", &[("1", all / 2.0), ("+Inf", all)])]);
    for (mut tally, expected) in [(Tally::new(), 50.0), (Tally::from_start(), 150.0)] {
        tally.add(&rule, &values(100.0), minute(0)).unwrap();
        tally.add(&rule, &values(150.0), minute(1)).unwrap();
        let references = tally.references(&rule);
        assert_eq!(references[0].labels, Labels::new([("model", "a")]));
        assert!((references[0].total - expected).abs() < 1e-9);
    }
}

#[test]
fn a_counter_that_is_not_a_bucket_is_an_error_with_a_remedy() {
    let rule = rule(even(), true);
    let values = counters("quantile", &[("p", &[("0.5", 1.0)])]);
    let error = Detector::new(&rule)
        .observe(&rule, &values, minute(0))
        .unwrap_err();
    assert!(
        error.ends_with("has no label le; drift.histogram must select cumulative buckets, whose names end in _bucket"),
        "{error}"
    );
}

/// Counters of `model`, one per class.
fn classes(model: &str, values: &[(String, f64)]) -> Vec<InstantSample> {
    let samples = values.iter().map(|(class, value)| InstantSample {
        labels: Labels::named(
            "scores",
            [("model", model), ("pod", "p"), ("class", class.as_str())],
        ),
        value: *value,
        at: Timestamp::default(),
        sampling: None,
    });
    samples.collect()
}

fn many_classes(from: usize, count: usize) -> Vec<(String, f64)> {
    (from..from + count)
        .map(|n| (format!("c{n}"), 100.0))
        .collect()
}

#[test]
fn a_distribution_with_too_many_categories_does_not_blind_the_rule_for_the_others() {
    let rule = rule(learning(MINUTE), false);
    let mut detector = Detector::new(&rule);
    let honest = |n: u32, a: f64| {
        let n = f64::from(n);
        classes(
            "honest",
            &[("a".to_owned(), n * a), ("b".to_owned(), n * 100.0)],
        )
    };
    let value_of = |drifted: Vec<Drifted>, model: &str| {
        let of = |one: &Drifted| one.labels.get("model") == Some(model);
        drifted.into_iter().find(of).unwrap()
    };
    for n in 0..4 {
        let all = [honest(n, 100.0), classes("evil", &many_classes(0, 301))].concat();
        let drifted = detector.observe(&rule, &all, minute(n)).unwrap();
        let evil = value_of(drifted.clone(), "evil");
        let why = evil.evidence.insufficient.clone().unwrap();
        assert_eq!(
            (evil.value, why.as_str()),
            (None, "{model=\"evil\"} has 301 buckets, more than 300")
        );
        let honest = value_of(drifted, "honest");
        assert!(honest.value.is_some() || n < 3, "{honest:?}");
    }
    assert_eq!(detector.refused(), Refused { now: 1, total: 4 });
    let alone = detector.observe(&rule, &classes("evil", &many_classes(0, 301)), minute(5));
    assert_eq!(
        alone.unwrap_err(),
        "{model=\"evil\"} has 301 buckets, more than 300"
    );
}

#[test]
fn a_distribution_of_ever_new_categories_keeps_little() {
    let rule = rule(learning(MINUTE), false);
    let mut detector = Detector::new(&rule);
    for n in 0..20 {
        let values = many_classes(n as usize * 300, 300);
        // Refused whenever more than 300 are known.
        drop(detector.observe(&rule, &classes("evil", &values), minute(n)));
    }
    let kept = serde_json::to_string(&detector.memory(&rule)).unwrap();
    let count = kept.matches("\"c").count();
    assert!(count <= 3 * 300, "{count} in {} bytes", kept.len());
}

#[test]
fn a_histogram_that_cannot_be_read_does_not_blind_the_rule_for_the_others() {
    let rule = rule(even(), true);
    let mut detector = Detector::new(&rule);
    let buckets = |model: &str, pairs: &[(&str, f64)]| {
        let samples = pairs.iter().map(|(le, value)| InstantSample {
            labels: Labels::named("scores_bucket", [("model", model), ("le", *le)]),
            value: *value,
            at: Timestamp::default(),
            sampling: None,
        });
        samples.collect::<Vec<_>>()
    };
    let without = InstantSample {
        labels: Labels::named("scores_bucket", [("model", "none")]),
        value: 1.0,
        at: Timestamp::default(),
        sampling: None,
    };
    let all = [
        buckets("good", &[("1", 1.0), ("+Inf", 2.0)]),
        buckets("odd", &[("x", 1.0), ("+Inf", 2.0)]),
        vec![without],
    ]
    .concat();
    let drifted = detector.observe(&rule, &all, minute(0)).unwrap();
    let why = |at: usize| drifted[at].evidence.insufficient.clone().unwrap();
    assert!(
        why(0).contains("0 observations in the window"),
        "{}",
        why(0)
    );
    assert!(why(1).contains("has no label le"), "{}", why(1));
    assert!(why(2).contains("le=\"x\" is not a number"), "{}", why(2));
    assert_eq!(detector.refused().now, 2);
}

#[test]
fn of_too_many_distributions_those_that_were_counted_before_stay() {
    let rule = rule(learning(MINUTE), false);
    let mut detector = Detector::new(&rule);
    let one = |model: &str| classes(model, &[("a".to_owned(), 1.0)]);
    detector.observe(&rule, &one("zebra"), minute(0)).unwrap();
    let mut all: Vec<InstantSample> = (0..1500).flat_map(|n| one(&format!("m{n}"))).collect();
    all.extend(one("zebra"));
    let drifted = detector.observe(&rule, &all, minute(1)).unwrap();
    assert_eq!(drifted.len(), 1000);
    assert!(
        drifted
            .iter()
            .any(|one| one.labels.get("model") == Some("zebra"))
    );
    assert_eq!(detector.refused().now, 501);
}
