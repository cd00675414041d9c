//! References: what they are made of, how they move, and what becomes of the one that is accepted.

use std::time::Duration;

use super::{MINUTE, Random, counters, minute, one, rule};
use crate::map::drift::{
    BaselineSeries, Detector, DriftRule, Drifted, Learn, LearntReference, Reference, Season,
    Spread, Tally,
};
use crate::metric::Timestamp;

const HOUR: Duration = Duration::from_secs(3600);

/// A rule that learns, with windows of ten minutes.
fn learning(learn: Learn) -> DriftRule {
    rule(Reference::Learn(learn), false)
}

/// A server with two classes, and the detector that watches it once a minute.
struct World {
    rule: DriftRule,
    detector: Detector,
    random: Random,
    counts: [f64; 2],
    minute: u32,
}

impl World {
    fn new(rule: DriftRule) -> Self {
        Self {
            detector: Detector::new(&rule),
            rule,
            random: Random(11),
            counts: [0.0; 2],
            minute: 0,
        }
    }

    /// One minute with so many observations, of which a share is of the first class.
    fn pass(&mut self, observations: u32, share: f64) -> Drifted {
        let drawn = self.random.draw(&[share, 1.0 - share], observations);
        for (count, drawn) in self.counts.iter_mut().zip(drawn) {
            *count += drawn;
        }
        let [a, b] = self.counts;
        let values = counters("class", &[("p", &[("a", a), ("b", b)])]);
        self.minute += 1;
        one(self
            .detector
            .observe(&self.rule, &values, minute(self.minute)))
    }

    fn pass_many(&mut self, minutes: u32, share: impl Fn(u32) -> f64) -> Vec<f64> {
        let pass = |_| {
            let share = share(self.minute);
            score(&self.pass(100, share))
        };
        (0..minutes).map(pass).collect()
    }
}

fn score(drifted: &Drifted) -> f64 {
    let score = drifted
        .value
        .and_then(|value| drifted.evidence.drift_score(value));
    score.unwrap_or(0.0)
}

fn beyond(scores: &[f64]) -> usize {
    scores.iter().filter(|score| **score > 1.0).count()
}

fn hours(hours: u32) -> Learn {
    Learn {
        time: HOUR * hours,
        ..Learn::default()
    }
}

/// 10 points to each side, in a period of four hours.
fn swing(minute: u32) -> f64 {
    let phase = f64::from(minute % 240) / 240.0;
    0.5 + 0.1 * (std::f64::consts::TAU * phase).sin()
}

#[test]
fn what_the_reference_does_itself_is_not_drift_and_what_it_never_did_is() {
    let mut world = World::new(learning(hours(8)));
    let scores = world.pass_many(480 + 960, swing);
    assert_eq!(beyond(&scores), 0);
    let scores = world.pass_many(60, |_| 0.8);
    assert!(beyond(&scores) > 40, "{}", beyond(&scores));
}

#[test]
fn a_fault_while_the_reference_is_learned_is_left_out_and_counted() {
    let mut world = World::new(learning(hours(20)));
    world.pass_many(120, |_| 0.9);
    world.pass_many(20 * 60 - 120, |_| 0.5);
    let scores = world.pass_many(600, |_| 0.5);
    assert!(beyond(&scores) < 10, "{}", beyond(&scores));
    let healthy = world.pass(100, 0.5);
    let reference = healthy.evidence.reference_samples;
    assert!((107_000..=109_000).contains(&reference), "{reference}");
    let scores = world.pass_many(60, |_| 0.9);
    assert!(beyond(&scores) > 45, "{}", beyond(&scores));
}

#[test]
fn a_recorded_reference_keeps_how_much_its_windows_differ() {
    let rule = learning(hours(1));
    let mut tally = Tally::new();
    let mut random = Random(3);
    let mut counts = [0.0, 0.0];
    for n in 0..240 {
        let drawn = random.draw(&[swing(n), 1.0 - swing(n)], 100);
        counts = [counts[0] + drawn[0], counts[1] + drawn[1]];
        let values = counters("class", &[("p", &[("a", counts[0]), ("b", counts[1])])]);
        tally.add(&rule, &values, minute(n)).unwrap();
    }
    let recorded = tally.references(&rule).remove(0);
    let spread = recorded.spread.unwrap();
    assert!(spread.pieces >= 20 && spread.left_out == 0, "{spread:?}");
    // The greatest swing of a piece of ten minutes is 9.97 points, and less in the mean of both
    // sides of the counting noise.
    assert!((0.06..0.14).contains(&spread.range), "{spread:?}");
    let text = serde_yaml::to_string(&recorded).unwrap();
    assert_eq!(
        serde_yaml::from_str::<BaselineSeries>(&text).unwrap(),
        recorded
    );
    let impossible = BaselineSeries {
        spread: Some(Spread {
            range: 1.5,
            ..spread
        }),
        ..recorded
    };
    assert_eq!(
        impossible.baseline().unwrap_err(),
        "spread.range: must be from 0 to 1, got 1.5"
    );
}

#[test]
fn a_rolling_reference_follows_a_slow_change_but_not_a_sudden_one() {
    let rolling = Learn {
        rolling: Some(HOUR * 24),
        ..hours(12)
    };
    let creep = |minute: u32| 0.3 + 0.2 * f64::from(minute) / (96.0 * 60.0);
    let beyond_with = |learn| {
        let mut world = World::new(learning(learn));
        let scores = world.pass_many(96 * 60, creep);
        (beyond(&scores), world)
    };
    let (fixed, _) = beyond_with(hours(12));
    let (moved, mut world) = beyond_with(rolling);
    assert!(fixed > 48 * 60, "{fixed}");
    assert!(moved < 60, "{moved}");
    // What is beyond the limit never becomes normal.
    let scores = world.pass_many(72 * 60, |_| 0.8);
    assert!(scores[30..].iter().all(|score| *score > 1.0));
}

#[test]
fn with_a_season_a_window_is_compared_with_the_same_time_of_other_days() {
    let day = |minute: u32| if minute % 1440 < 720 { 0.3 } else { 0.7 };
    let seasonal = Learn {
        season: Season::Day,
        ..hours(48)
    };
    let mut world = World::new(learning(seasonal));
    let scores = world.pass_many(4 * 1440, day);
    // One in a hundred of the windows of the last two days may be beyond the limit by chance.
    assert!(beyond(&scores) < 40, "{}", beyond(&scores));
    // What is usual in the afternoon is not in the morning.
    let scores = world.pass_many(120, |_| 0.7);
    assert!(beyond(&scores) > 100, "{}", beyond(&scores));
}

#[test]
fn an_accepted_window_is_the_reference_until_a_new_one_is_learned() {
    let even = [("a", 5000.0), ("b", 5000.0)].map(|(name, count)| (name.to_owned(), count));
    let even = LearntReference::new(&even.into()).unwrap();
    for reference in [Reference::Learn(hours(2)), Reference::Inline(even)] {
        let given = rule(reference, false);
        let mut world = World::new(given.clone());
        world.pass_many(121, |_| 0.5);
        let scores = world.pass_many(30, |_| 0.8);
        assert!(scores[29] > 1.0, "{scores:?}");
        let labels = world.detector.labels().next().unwrap().clone();
        let at = minute(world.minute);
        assert!(world.detector.accept(&given, &labels, at));
        let scores = world.pass_many(300, |_| 0.8);
        assert_eq!(beyond(&scores), 0);
        let scores = world.pass_many(30, |_| 0.5);
        assert!(scores[29] > 1.0, "{scores:?}");
        // It is stored.
        let stored = serde_json::to_string(&world.detector.memory(&given)).unwrap();
        let mut restored = Detector::new(&given);
        restored
            .restore(&given, serde_json::from_str(&stored).unwrap())
            .unwrap();
        world.detector = restored;
        assert!(score(&world.pass(100, 0.5)) > 1.0);
        // Another reference in the rule voids it.
        if let Reference::Inline(_) = given.reference {
            world.rule.reference = Reference::Inline(super::baseline(&[1.0, 1.0]));
            let drifted = world.pass(100, 0.5);
            assert_eq!(drifted.evidence.reference_samples, 2);
        }
    }
}

#[test]
fn a_window_with_too_few_observations_is_not_accepted() {
    let rule = learning(hours(1));
    let mut world = World::new(rule.clone());
    world.pass(50, 0.5);
    let labels = world.detector.labels().next().unwrap().clone();
    assert!(!world.detector.accept(&rule, &labels, Timestamp::default()));
}

#[test]
fn a_window_grows_until_it_holds_enough_observations() {
    let mut growing = rule(super::even(), false);
    growing.window = HOUR * 10;
    growing.at_least = Some(300);
    let mut world = World::new(growing);
    for _ in 0..60 {
        world.pass(2, 0.5);
    }
    let few = world.pass(2, 0.5);
    // All observations of an hour, but those before the first evaluation.
    assert_eq!(few.evidence.samples, 120);
    let mut last = few;
    for _ in 0..300 {
        last = world.pass(2, 0.5);
    }
    // 300 observations take two hours and a half, in slices of ten minutes.
    let covered = last.evidence.window.unwrap();
    assert!((300..=322).contains(&last.evidence.samples), "{last:?}");
    assert!(
        covered >= HOUR * 5 / 2 - MINUTE && covered <= HOUR * 3,
        "{covered:?}"
    );
    for _ in 0..20 {
        last = world.pass(100, 0.5);
    }
    assert!(last.evidence.window.unwrap() < MINUTE * 20, "{last:?}");
}

#[test]
fn what_an_earlier_version_stored_is_read() {
    let rule = learning(hours(1));
    let stored = r#"{"version":1,"counts":{"counters":"scores_bucket","bucket":"class","by":["model"],"window":{"secs":600,"nanos":0},"learn":{"secs":3600,"nanos":0}},"servers":[],"distributions":[[{"model":"a"},{"window":{"slices":[]},"learning":{"since":null,"rises":{}},"learnt":{"counts":{"a":500.0,"b":500.0}},"note":null}]]}"#;
    let mut world = World::new(rule.clone());
    world
        .detector
        .restore(&rule, serde_json::from_str(stored).unwrap())
        .unwrap();
    world.pass_many(12, |_| 0.5);
    let now = world.pass(100, 0.5);
    assert_eq!(now.evidence.reference_samples, 1000);
    assert!(score(&now) <= 1.0, "{now:?}");
}
