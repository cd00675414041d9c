//! False alarms without a change, and how fast changes of a share are found and over.

use std::sync::Arc;
use std::time::Duration;

use super::config;
use crate::judge::{Level, Registry, State, StrategyContext, ThresholdStrategy, Verdict};
use crate::metric::{
    Counts, Direction, Evidence, Labels, Metric, MetricSample, Quotient, SplitMix64, Timestamp,
};

/// Seconds between evaluations.
const STEP: i64 = 15;
const HOUR: usize = 240;
const DAY: usize = 24 * HOUR;
const WEEK: usize = 7 * DAY;

fn strategy(json: &str) -> Box<dyn ThresholdStrategy> {
    let context = StrategyContext {
        direction: Direction::Above,
        interval: Duration::from_secs(15),
    };
    Registry::built_in().build(&config(json), &context).unwrap()
}

/// A stream of observations with the counts that a record would give.
struct Stream {
    random: SplitMix64,
    /// Observations a minute.
    rate: f64,
    /// Bad observations come in groups of so many.
    burst: f64,
    is_good: bool,
    step: i64,
    total: Quotient,
}

impl Stream {
    fn new(seed: u64, rate: f64) -> Self {
        Self {
            random: SplitMix64::new(seed),
            rate,
            burst: 1.0,
            is_good: false,
            step: 0,
            total: Quotient::default(),
        }
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 50.0 {
            let sum: f64 = (0..12).map(|_| self.random.next_unit()).sum();
            return (mean + mean.sqrt() * (sum - 6.0)).round().max(0.0);
        }
        let (least, mut product, mut count) = ((-mean).exp(), self.random.next_unit(), 0.0);
        while product > least {
            product *= self.random.next_unit();
            count += 1.0;
        }
        count
    }

    /// The counts of the next evaluation when this share is bad.
    fn next(&mut self, share: f64) -> MetricSample {
        let of = self.poisson(self.rate / 4.0);
        let bad = self.poisson(of * share / self.burst) * self.burst;
        self.add(bad.min(of), of)
    }

    fn add(&mut self, bad: f64, of: f64) -> MetricSample {
        self.step += 1;
        let added = Quotient {
            numerator: if self.is_good { of - bad } else { bad },
            denominator: of,
        };
        self.total.add(added);
        let counts = Counts {
            is_good: self.is_good,
            window: Quotient {
                numerator: self.rate * 10.0 * 0.01,
                denominator: self.rate * 10.0,
            },
            total: self.total,
            what: Arc::from("requests failed"),
            delay: None,
        };
        let at = Timestamp::from_millis(self.step * STEP * 1000);
        let mut sample = MetricSample::new(Metric::Custom, Labels::empty(), 0.01, at);
        sample.evidence = Some(Arc::new(Evidence {
            counts: Some(counts),
            ..Evidence::default()
        }));
        sample
    }
}

/// The times at which alarms began and ended.
fn alarms(
    judge: &mut dyn ThresholdStrategy,
    stream: &mut Stream,
    shares: &[(usize, f64)],
) -> Vec<(usize, usize)> {
    let (mut found, mut since, mut step) = (Vec::new(), None, 0);
    for (steps, share) in shares {
        for _ in 0..*steps {
            let verdict = judge.judge(&stream.next(*share));
            match (verdict.state == State::Anomalous, since) {
                (true, None) => since = Some(step),
                (false, Some(start)) => {
                    found.push((start, step));
                    since = None;
                }
                _ => {}
            }
            step += 1;
        }
    }
    found.extend(since.map(|start| (start, step)));
    found
}

/// False alarms in so many weeks.
fn false_alarms(share: f64, rate: f64, burst: f64, weeks: u64) -> usize {
    let week = |seed: u64| {
        let mut stream = Stream {
            burst,
            ..Stream::new(seed * 7919 + 17, rate)
        };
        alarms(
            &mut *strategy(r#"{"type":"ratio"}"#),
            &mut stream,
            &[(WEEK, share)],
        )
        .len()
    };
    (0..weeks).map(week).sum()
}

#[test]
fn a_healthy_share_raises_less_than_a_quarter_of_an_alarm_a_week() {
    for share in [0.002, 0.01, 0.05] {
        for rate in [2.0, 20.0, 300.0] {
            let found = false_alarms(share, rate, 1.0, 8);
            assert!(found <= 2, "{share} at {rate} a minute: {found} in 8 weeks");
        }
    }
}

#[test]
fn errors_in_bursts_of_five_raise_few_false_alarms() {
    let rates = [20.0, 60.0, 300.0];
    let found: usize = rates
        .iter()
        .map(|rate| false_alarms(0.01, *rate, 5.0, 8))
        .sum();
    assert!(found <= 7, "{found} in 24 weeks");
}

/// The median delay and the mean coverage of four hours with another share, after a day, and the
/// median time from their end to that of the alarm; in minutes.
fn found(json: &str, usual: f64, changed: f64, rate: f64, seeds: u64) -> (f64, f64, f64) {
    let (start, end) = (DAY, DAY + 4 * HOUR);
    let minutes = |steps: usize| steps as f64 / 4.0;
    let (mut delays, mut covered, mut ends) = (Vec::new(), 0, Vec::new());
    for seed in 0..seeds {
        let mut stream = Stream {
            is_good: json.contains("good"),
            ..Stream::new(seed * 104_729 + 5, rate)
        };
        let json = json.replace("good", "ratio");
        let shares = [(DAY, usual), (4 * HOUR, changed), (12 * HOUR, usual)];
        let all = alarms(&mut *strategy(&json), &mut stream, &shares);
        let hits = all.iter().filter(|(from, to)| *to > start && *from < end);
        let hits: Vec<_> = hits.collect();
        let Some((first, _)) = hits.first() else {
            delays.push(f64::INFINITY);
            continue;
        };
        delays.push(minutes(first.max(&start) - start));
        covered += hits
            .iter()
            .map(|(from, to)| to.min(&end) - from.max(&start))
            .sum::<usize>();
        ends.extend(hits.last().map(|(_, to)| minutes(*to) - minutes(end)));
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let coverage = covered as f64 / (4.0 * HOUR as f64 * seeds as f64);
    (median(delays), coverage, median(ends))
}

const LEARNED: &str = r#"{"type":"ratio"}"#;

#[test]
fn ten_percent_of_errors_are_found_in_minutes_also_with_little_traffic() {
    let (delay, coverage, end) = found(LEARNED, 0.01, 0.10, 8.0, 24);
    assert!(
        delay <= 12.0 && coverage >= 0.93 && end < 25.0,
        "{delay} {coverage} {end}"
    );
    let (delay, coverage, end) = found(LEARNED, 0.01, 0.10, 60.0, 24);
    assert!(
        delay <= 2.0 && coverage >= 0.98 && end < 5.0,
        "{delay} {coverage} {end}"
    );
    let (delay, coverage, end) = found(LEARNED, 0.01, 0.50, 60.0, 12);
    assert!(
        delay <= 0.5 && coverage >= 0.99 && end < 2.0,
        "{delay} {coverage} {end}"
    );
}

#[test]
fn small_changes_of_a_good_share_are_found() {
    let good = r#"{"type":"good"}"#;
    for (usual, changed) in [(0.01, 0.08), (0.05, 0.12), (0.20, 0.24)] {
        let (delay, coverage, _) = found(good, usual, changed, 1000.0, 6);
        assert!(
            delay <= 5.0 && coverage >= 0.95,
            "{usual} to {changed}: {delay} {coverage}"
        );
    }
    let (delay, ..) = found(good, 0.06, 0.09, 50.0, 24);
    assert!(delay <= 35.0, "{delay}");
    let (delay, coverage, _) = found(LEARNED, 0.01, 0.03, 300.0, 8);
    assert!(delay <= 5.0 && coverage >= 0.95, "{delay} {coverage}");
}

#[test]
fn a_broken_promise_is_found_from_the_start() {
    let mut judge = strategy(r#"{"type":"ratio","bound":0.92}"#);
    assert_eq!(judge.level(), Level::Fixed);
    let mut stream = Stream {
        is_good: true,
        ..Stream::new(3, 600.0)
    };
    let all = alarms(
        &mut *judge,
        &mut stream,
        &[(DAY, 0.07), (HOUR, 0.10), (HOUR, 0.07)],
    );
    let [(start, end)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert!(*start > DAY && *start < DAY + HOUR / 2, "{all:?}");
    assert!(*end > DAY + HOUR && *end < DAY + HOUR + HOUR / 2, "{all:?}");
    let mut stream = Stream::new(4, 600.0);
    let bad = r#"{"type":"ratio","bound":0.05}"#;
    let all = alarms(&mut *strategy(bad), &mut stream, &[(HOUR, 0.20)]);
    assert!(all.first().is_some_and(|(start, _)| *start < 8), "{all:?}");
}

#[test]
fn a_bad_start_does_not_hide_the_next_incident() {
    let mut stream = Stream::new(11, 60.0);
    let shares = [(20, 1.0), (2 * HOUR, 0.01), (HOUR, 0.10)];
    let all = alarms(&mut *strategy(LEARNED), &mut stream, &shares);
    assert_eq!(all.len(), 1, "{all:?}");
    let began = 20 + 2 * HOUR;
    assert!(all[0].0 >= began && all[0].0 < began + 16, "{all:?}");
}

/// A judge that knows a day of 1 % at 60 a minute, and its stream.
fn trained() -> (Box<dyn ThresholdStrategy>, Stream) {
    let (mut judge, mut stream) = (strategy(LEARNED), Stream::new(7, 60.0));
    let all = alarms(&mut *judge, &mut stream, &[(DAY, 0.01)]);
    assert_eq!(all, []);
    (judge, stream)
}

fn until(
    judge: &mut dyn ThresholdStrategy,
    stream: &mut Stream,
    share: f64,
    state: State,
) -> Verdict {
    for _ in 0..HOUR {
        let verdict = judge.assess(&stream.next(share));
        if verdict.state == state {
            return verdict;
        }
    }
    panic!("never {state}");
}

#[test]
fn the_reason_counts_since_the_change_began() {
    let (mut judge, mut stream) = trained();
    let before = judge.judge(&stream.add(0.0, 15.0));
    assert_eq!(before.state, State::Ok);
    assert!(
        before
            .expected
            .centre
            .is_some_and(|share| (share - 0.01).abs() < 0.005)
    );
    assert!(before.expected.upper.is_some_and(|share| share > 0.02));
    for _ in 0..20 {
        judge.judge(&stream.add(0.0, 15.0));
    }
    judge.judge(&stream.add(8.0, 15.0));
    let verdict = judge.judge(&stream.add(8.0, 15.0));
    assert!(verdict.is_anomalous(), "{verdict:?}");
    assert!((verdict.recovery - 1.0).abs() < f64::EPSILON);
    assert!(
        verdict
            .why
            .starts_with("16 of 30 requests failed in 30s (usual 1"),
        "{}",
        verdict.why
    );
}

#[test]
fn one_evaluation_alone_is_no_incident() {
    let (mut judge, mut stream) = trained();
    assert_eq!(judge.judge(&stream.add(15.0, 15.0)).state, State::Ok);
}

#[test]
fn an_incident_teaches_nothing_and_its_end_is_judged_by_what_was_known_before() {
    let (mut judge, mut stream) = trained();
    until(&mut *judge, &mut stream, 0.3, State::Anomalous);
    let mut copy = judge.duplicate();
    copy.renew();
    for _ in 0..DAY {
        let sample = stream.next(0.3);
        assert_eq!(judge.assess(&sample).state, State::Anomalous);
        copy.judge(&sample);
    }
    let accepted = copy.judge(&stream.next(0.3));
    assert_eq!(accepted.state, State::Ok, "30 % are usual now");
    assert!(
        accepted
            .expected
            .centre
            .is_some_and(|share| (share - 0.3).abs() < 0.05)
    );
    let over = until(&mut *judge, &mut stream, 0.01, State::Ok);
    assert!(
        over.expected.centre.is_some_and(|share| share < 0.02),
        "{over:?}"
    );
}

#[test]
fn a_partial_recovery_is_no_recovery() {
    let (mut judge, mut stream) = trained();
    until(&mut *judge, &mut stream, 0.5, State::Anomalous);
    let states: Vec<State> = (0..HOUR)
        .map(|_| judge.judge(&stream.next(0.08)).state)
        .collect();
    let quiet = states
        .iter()
        .filter(|state| **state != State::Anomalous)
        .count();
    assert!(quiet < HOUR / 10, "{quiet} of {HOUR}");
}

#[test]
fn evaluations_that_were_missed_lose_nothing_and_a_record_that_begins_anew_counts_from_0() {
    let (mut judge, mut stream) = trained();
    let before = judge.snapshot();
    for _ in 0..4 {
        stream.add(9.0, 15.0);
    }
    judge.judge(&stream.add(9.0, 15.0));
    assert!(judge.judge(&stream.add(9.0, 15.0)).is_anomalous());
    judge.restore(&before).unwrap();
    stream.total = Quotient::default();
    assert_eq!(judge.judge(&stream.add(0.0, 15.0)).state, State::Ok);
}

#[test]
fn what_has_no_counts_is_not_judged() {
    let (mut judge, mut stream) = trained();
    let mut sample = stream.next(0.01);
    sample.evidence = None;
    let verdict = judge.judge(&sample);
    assert_eq!(verdict.state, State::InsufficientData);
    assert!(
        verdict
            .why
            .contains("judge the name of a record with ratio")
    );
    let mut empty = stream.add(0.0, 0.0);
    empty.value = f64::NAN;
    assert_eq!(judge.judge(&empty).state, State::InsufficientData);
}

#[test]
fn parameters_are_written_as_factors_points_and_budgets() {
    let context = StrategyContext {
        direction: Direction::Above,
        interval: Duration::from_secs(15),
    };
    let problems = |json: &str| -> Vec<String> {
        let problems = Registry::built_in().check(&config(json), &context);
        problems
            .iter()
            .map(|one| format!("{}: {}", one.path, one.message))
            .collect()
    };
    let fine = r#"{"type":"ratio","at_least":"2x","points":3,"false_alarms":"2/1w","bound":0.9}"#;
    assert_eq!(problems(fine), [""; 0]);
    assert_eq!(
        problems(r#"{"type":"ratio","at_least":"1x","points":0,"false_alarms":"30d","bound":92}"#),
        [
            "bound: must be between 0 and 1, got 92",
            "at_least: must be a factor above 1, such as 2x, got 1x",
            "points: must be between 0 and 100, got 0",
            "false_alarms: not a budget: \"30d\"; write it as 1/d, 2/w or 1/30d",
        ]
    );
}
