//! Counts in, ratios out.

use std::time::Duration;

use super::{Above, Counter, Parts, RatioRule};
use crate::metric::{Evidence, Labels, Timestamp};
use crate::promql::{Expr, InstantSample};

fn exprs(texts: &[&str]) -> Vec<Expr> {
    texts
        .iter()
        .map(|text| Expr::parse(text).unwrap())
        .collect()
}

fn rule(is_good: bool) -> RatioRule {
    RatioRule {
        parts: Parts::Counters {
            is_good,
            numerator: exprs(&["part_total"]),
            total: exprs(&["requests_total"]),
        },
        by: vec!["model".to_owned()],
        window: Duration::from_secs(600),
        delay: None,
        requires: Vec::new(),
    }
}

fn latency(above: Above) -> RatioRule {
    RatioRule {
        parts: Parts::Histogram {
            buckets: Expr::parse("latency_seconds_bucket").unwrap(),
            above,
        },
        ..rule(false)
    }
}

fn series(name: &str, labels: &[(&str, &str)], value: f64) -> InstantSample {
    let labels = Labels::named(name, labels.iter().copied());
    InstantSample::new(labels, value, Timestamp::default())
}

/// A counter of a model at a server.
fn of(name: &str, server: &str, value: f64) -> InstantSample {
    series(name, &[("model", "a"), ("instance", server)], value)
}

/// The value and evidence of the only ratio after another minute.
struct Feed {
    rule: RatioRule,
    counter: Counter,
    minute: i64,
}

impl Feed {
    fn new(rule: RatioRule) -> Self {
        Self {
            rule,
            counter: Counter::default(),
            minute: 0,
        }
    }

    fn observe(&mut self, values: &[Vec<InstantSample>]) -> Result<(f64, Evidence), String> {
        self.minute += 1;
        let at = Timestamp::from_millis(self.minute * 60_000);
        let mut all = self.counter.observe(&self.rule, values, at)?;
        assert_eq!(all.len(), 1, "one ratio");
        let (_, value, evidence) = all.remove(0);
        Ok((value, Evidence::clone(&evidence)))
    }

    /// The totals after counters of both parts were read.
    fn totals(&mut self, total: Vec<InstantSample>, part: Vec<InstantSample>) -> (f64, f64) {
        let (_, evidence) = self.observe(&[total, part]).unwrap();
        let total = evidence.counts.unwrap().total;
        (total.numerator, total.denominator)
    }
}

#[test]
fn counts_of_replicas_add_up_and_a_new_replica_brings_no_past() {
    let mut feed = Feed::new(rule(false));
    let read = |a: f64, b: Option<f64>, name: &str| {
        let mut all = vec![of(name, "a", a)];
        all.extend(b.map(|b| of(name, "b", b)));
        all
    };
    let none = Vec::new();
    assert_eq!(
        feed.totals(read(1000.0, None, "requests_total"), none.clone()),
        (0.0, 0.0)
    );
    let first = feed.totals(read(1010.0, Some(5000.0), "requests_total"), none);
    assert_eq!(first, (0.0, 10.0), "the past of b does not count");
    let total = read(1020.0, Some(5030.0), "requests_total");
    let part = read(3.0, Some(4.0), "part_total");
    assert_eq!(
        feed.totals(total, part),
        (7.0, 50.0),
        "late counters started at 0"
    );
    let total = read(5.0, Some(5031.0), "requests_total");
    let part = read(1.0, Some(4.0), "part_total");
    assert_eq!(feed.totals(total, part), (8.0, 56.0), "a restarted from 0");
}

#[test]
fn a_counter_that_several_selectors_find_counts_once_on_each_side() {
    let parts = Parts::Counters {
        is_good: true,
        numerator: exprs(&["ok_total"]),
        total: exprs(&["{__name__=~\"ok_total|bad_total\"}", "ok_total"]),
    };
    let mut feed = Feed::new(RatioRule {
        parts,
        ..rule(true)
    });
    let mut read = |ok: f64, bad: f64| {
        let ok = of("ok_total", "a", ok);
        let both = vec![ok.clone(), of("bad_total", "a", bad)];
        feed.observe(&[both, vec![ok.clone()], vec![ok]]).unwrap()
    };
    read(0.0, 0.0);
    let (value, evidence) = read(9.0, 1.0);
    assert!((value - 0.9).abs() < 1e-12);
    assert_eq!(evidence.samples, 10);
}

#[test]
fn without_observations_there_is_no_value_and_more_good_than_all_is_impossible() {
    let mut feed = Feed::new(rule(true));
    let mut read = |good: f64, all: f64| {
        let good = vec![of("part_total", "a", good)];
        feed.observe(&[vec![of("requests_total", "a", all)], good])
            .unwrap()
    };
    let (value, evidence) = read(0.0, 0.0);
    assert!(value.is_nan() && evidence.insufficient.is_none());
    let (value, evidence) = read(12.0, 11.0);
    assert!(
        (value - 1.0).abs() < 1e-12 && evidence.insufficient.is_none(),
        "a torn read"
    );
    let (value, evidence) = read(60.0, 20.0);
    assert!(value.is_nan());
    assert_eq!(
        evidence.insufficient.unwrap(),
        "more right answers than answers: do labels and predictions come from the same window?"
    );
}

/// Cumulative buckets with bounds 1, 5 and infinity.
fn buckets(upto_1: f64, upto_5: f64, all: f64) -> Vec<Vec<InstantSample>> {
    let bucket = |bound: &str, value: f64| {
        let labels = [("le", bound), ("model", "a"), ("instance", "s")];
        series("latency_seconds_bucket", &labels, value)
    };
    vec![vec![
        bucket("1", upto_1),
        bucket("5.0", upto_5),
        bucket("+Inf", all),
    ]]
}

#[test]
fn a_bound_moves_up_to_the_next_bucket_bound() {
    let mut feed = Feed::new(latency(Above::Value(2.0)));
    feed.observe(&buckets(0.0, 0.0, 0.0)).unwrap();
    let (value, evidence) = feed.observe(&buckets(50.0, 90.0, 100.0)).unwrap();
    assert!((value - 0.1).abs() < 1e-12);
    assert_eq!(&*evidence.counts.unwrap().what, "observations above 5 s");
    let mut feed = Feed::new(latency(Above::Value(6.0)));
    assert_eq!(
        feed.observe(&buckets(0.0, 0.0, 0.0)).unwrap_err(),
        "no bucket bound is 6 or more; ratio.above must be at most the greatest finite bound"
    );
}

#[test]
fn the_usual_bound_is_learned_in_an_hour_and_then_fixed_also_over_a_restart() {
    let mut feed = Feed::new(latency(Above::Usual(0.9)));
    for minute in 0..60 {
        let all = f64::from(minute) * 10.0;
        let (value, evidence) = feed.observe(&buckets(all * 0.5, all * 0.88, all)).unwrap();
        assert!(value.is_nan() && evidence.learning, "{minute}");
    }
    let memory = feed.counter.memory(&feed.rule);
    let stored = serde_json::to_string(&memory).unwrap();
    feed.counter = Counter::default();
    feed.counter
        .restore(&feed.rule, serde_json::from_str(&stored).unwrap())
        .unwrap();
    feed.observe(&buckets(300.0, 528.0, 600.0)).unwrap();
    let (value, evidence) = feed.observe(&buckets(300.0, 530.0, 610.0)).unwrap();
    assert!(!evidence.learning);
    assert!(value > 0.1, "{value}");
    let other = latency(Above::Usual(0.5));
    assert!(feed.counter.restore(&other, memory).is_err());
}

#[test]
fn the_words_say_what_is_counted() {
    let what = |numerator: &str, total: &str, is_good: bool| {
        let parts = Parts::Counters {
            is_good,
            numerator: exprs(&[numerator]),
            total: exprs(&[total]),
        };
        RatioRule {
            parts,
            ..rule(is_good)
        }
        .what()
    };
    assert_eq!(
        what("errors_total", "requests_total", false),
        "requests failed"
    );
    assert_eq!(
        what("right_total", "predictions_labeled_total", true),
        "predictions wrong"
    );
    assert_eq!(what("right_total", "labeled_total", true), "wrong");
    assert_eq!(what("empty_total", "answers_total", false), "bad");
}

#[test]
fn a_ratio_is_unknown_until_what_it_requires_is_there_and_counting_goes_on() {
    let mut feed = Feed::new(RatioRule {
        requires: exprs(&["shown_total"]),
        ..rule(false)
    });
    let mut observe = |total: f64, shown: Option<f64>| {
        let total = vec![of("requests_total", "a", total)];
        let shown = shown.map(|value| of("shown_total", "b", value));
        feed.observe(&[total, Vec::new(), shown.into_iter().collect()])
            .unwrap()
    };
    observe(100.0, None);
    let (value, evidence) = observe(110.0, None);
    assert!(value.is_nan());
    assert_eq!(
        evidence.unproven.as_deref(),
        Some("no series of shown_total: the target may not count them")
    );
    let (value, evidence) = observe(120.0, Some(0.0));
    assert_eq!((value, evidence.unproven), (0.0, None));
    let total = evidence.counts.unwrap().total;
    assert_eq!((total.numerator, total.denominator), (0.0, 20.0));
    let (_, evidence) = observe(130.0, None);
    assert_eq!(evidence.unproven, None, "it was there");
    let stored = serde_json::to_string(&feed.counter.memory(&feed.rule)).unwrap();
    feed.counter = Counter::default();
    feed.counter
        .restore(&feed.rule, serde_json::from_str(&stored).unwrap())
        .unwrap();
    let (_, evidence) = feed
        .observe(&[vec![of("requests_total", "a", 140.0)], vec![], vec![]])
        .unwrap();
    assert_eq!(evidence.unproven, None, "also over a restart");
}
