//! Requests to retrain rest on evidence about the model: fresh, untainted, of a version that runs,
//! and only while retraining helps. Every test plays days of scrapes through a whole monitor.

use sidewatch_engine::alert::AlertState;
use sidewatch_engine::retrain::{Cause, RequestKind};

use crate::support::minutes::{Counters, DAY, MINUTE, World, at};

fn accuracy(by: &str, retrain: &str) -> String {
    format!(
        "groups:
- name: a
  rules:
  - watch: AccuracyDropped
    expr: sum by ({by}) (increase(correct_total[10m])) / sum by ({by}) (increase(labeled_total[10m]))
    metric: accuracy
    strategy: {{type: static, bound: 0.92}}
    for: 2m
    keep_firing_for: 5m
    retrain: {retrain}
"
    )
}

/// Labels of the day before arrive at 03:00, within `spread` minutes. From the sixth day on the
/// model is bad.
fn late_labels(spread: u32) -> World {
    let mut world = World::new(&accuracy("model_name", "{cooldown: 6h}"));
    let mut counters = Counters::default();
    for minute in 0..8 * DAY {
        let (day, time) = (minute / DAY, minute % DAY);
        let arrives = day >= 1 && (180..180 + spread).contains(&time);
        let labels = if arrives {
            u64::from(20_000 / spread)
        } else {
            0
        };
        let good = counters.binomial(labels, if day < 5 { 0.95 } else { 0.7 });
        counters.add(
            "labeled_total{model_name=\"m\",model_version=\"1\"}",
            labels,
        );
        counters.add("correct_total{model_name=\"m\",model_version=\"1\"}", good);
        world.scrape(Some(counters.text()));
    }
    world
}

#[test]
fn labels_that_arrive_once_a_day_are_evidence_for_one_request_a_day() {
    for spread in [1, 60] {
        assert_eq!(
            late_labels(spread).days(),
            [5, 6, 7],
            "within {spread} minutes"
        );
    }
}

/// Four versions, two days each, of these accuracies; the first one is good for a day.
fn versions(retrain: &str, accuracies: [f64; 4], restarts: bool) -> World {
    let mut world = World::new(&accuracy("model_name, model_version", retrain));
    let mut counters = Counters::default();
    for minute in 0..8 * DAY {
        let version = minute / (2 * DAY);
        let good = if minute < DAY {
            0.95
        } else {
            accuracies[version as usize]
        };
        if minute % (2 * DAY) == 0 && version > 0 {
            counters.drop_version(version);
        }
        let right = counters.binomial(100, good);
        let labels = format!("{{model_name=\"m\",model_version=\"{}\"}}", version + 1);
        counters.add(&format!("labeled_total{labels}"), 100);
        counters.add(&format!("correct_total{labels}"), right);
        if restarts && minute % 701 == 700 {
            world.restart();
        }
        world.scrape(Some(counters.text()));
    }
    world
}

const USELESS: &str = "SidewatchRetrainingDoesNotHelp";

#[test]
fn versions_that_are_no_better_end_the_requests_and_an_alert_says_so() {
    for restarts in [false, true] {
        let world = versions("{cooldown: 6h, after: 3/5}", [0.88; 4], restarts);
        let asked: Vec<_> = world
            .requests
            .iter()
            .map(|(minute, one)| (minute / DAY, one.labels.get("model_version").unwrap()))
            .collect();
        assert_eq!(asked, [(1, "1"), (2, "2")], "restarts: {restarts}");
        let states = world.states(USELESS);
        let (state, text) = states.last().unwrap();
        assert_eq!(*state, AlertState::Firing);
        assert!(
            text.starts_with("versions 2 and 3 are no better than 1 for {model_name=\"m\"}: 8"),
            "{text}"
        );
    }
}

#[test]
fn a_version_that_is_better_closes_the_request_and_one_that_is_worse_is_said_and_rolled_back() {
    let world = versions(
        "{cooldown: 6h, rollback: true}",
        [0.88, 0.95, 0.95, 0.95],
        false,
    );
    assert_eq!(world.days(), [1], "{:?}", world.requests);
    assert!(world.states(USELESS).is_empty());

    let world = versions(
        "{cooldown: 6h, rollback: true}",
        [0.88, 0.75, 0.95, 0.95],
        false,
    );
    let kinds: Vec<_> = world.requests.iter().map(|(_, one)| one.kind).collect();
    let rollback = &world.requests[1].1;
    assert_eq!(kinds[..2], [RequestKind::Retrain, RequestKind::Rollback]);
    assert_eq!(rollback.labels.get("model_version"), Some("2"));
    assert!(
        rollback
            .reason
            .starts_with("version 2 is worse than 1 for {model_name=\"m\"}: 7"),
        "{}",
        rollback.reason
    );
    let states = world.states(USELESS);
    assert_eq!(states.first().unwrap().0, AlertState::Firing);
    assert_eq!(
        states.last().unwrap().0,
        AlertState::Resolved,
        "version 3 is good"
    );
    let plain = versions("{cooldown: 6h}", [0.88, 0.75, 0.95, 0.95], false);
    assert!(
        plain
            .requests
            .iter()
            .all(|(_, one)| one.kind == RequestKind::Retrain)
    );
}

/// For five hours all scores fall into one bucket, because the feature store fails.
fn broken_features(unless: &str, restarts: bool) -> World {
    let rules = format!(
        "groups:
- name: d
  rules:
  - record: score_drift
    drift: {{histogram: prediction_score_bucket, by: [model_name], reference: {{learn: 24h}}}}
  - watch: ScoresDrifted
    expr: score_drift
    strategy: {{type: drift}}
    for: 30m
    keep_firing_for: 30m
    retrain: {{cooldown: 6h, after: 3/5{unless}}}
"
    );
    let mut world = World::new(&rules);
    let mut counters = Counters::default();
    for minute in 0..40 * 60 {
        let is_broken = (30 * 60..35 * 60).contains(&minute);
        let shares = if is_broken {
            [0.05, 0.85, 0.05, 0.05]
        } else {
            [0.3, 0.3, 0.2, 0.2]
        };
        let mut below = 0;
        for (bound, share) in ["0.25", "0.5", "0.75", "+Inf"].into_iter().zip(shares) {
            below += counters.binomial(100, share);
            let series = format!("prediction_score_bucket{{model_name=\"m\",le=\"{bound}\"}}");
            counters.add(&series, below);
        }
        counters.add("upstream_errors_total", if is_broken { 90 } else { 0 });
        if restarts && minute % 67 == 66 {
            world.restart();
        }
        world.scrape(Some(counters.text()));
    }
    world
}

#[test]
fn unless_taints_every_value_that_covers_its_time() {
    let unless = ", unless: 'sum(rate(upstream_errors_total[10m])) > 0'";
    assert!(!broken_features("", false).requests.is_empty());
    for restarts in [false, true] {
        let world = broken_features(unless, restarts);
        assert!(!world.states("ScoresDrifted").is_empty(), "it is alerted");
        assert_eq!(world.days(), [] as [u32; 0], "restarts: {restarts}");
    }
}

#[test]
fn a_request_says_what_it_rests_on_and_which_times_to_leave_out() {
    let retrain = "{cooldown: 6h, unless: 'maintenance > 0'}";
    let mut world = World::new(&accuracy("model_name", retrain));
    let mut counters = Counters::default();
    for minute in 0..180 {
        let right = counters.binomial(100, if minute < 120 { 0.95 } else { 0.7 });
        counters.add("labeled_total{model_name=\"m\"}", 100);
        counters.add("correct_total{model_name=\"m\"}", right);
        let maintenance = u32::from((30..40).contains(&minute));
        // Two scrapes fail, and later a single one.
        let is_down = [60, 61, 80].contains(&minute);
        let body = format!("{}maintenance {maintenance}\n", counters.text());
        world.scrape((!is_down).then_some(body));
    }
    let (minute, request) = &world.requests[0];
    let evidence = request.evidence.as_ref().unwrap();
    assert_eq!((evidence.window, evidence.to), (MINUTE * 10, at(*minute)));
    assert!(
        evidence.from > at(105) && evidence.from < at(120),
        "{evidence:?}"
    );
    assert!(
        evidence.observations.is_some_and(|n| n > 800),
        "{evidence:?}"
    );
    let taints: Vec<_> = evidence
        .taints
        .iter()
        .map(|taint| (taint.cause, taint.from, taint.to))
        .collect();
    let expected = [
        (Cause::Unless, at(30), at(39)),
        (Cause::TargetDown, at(60), at(61)),
    ];
    assert_eq!(taints, expected);
}

#[test]
fn what_was_seen_while_the_target_was_down_is_no_evidence() {
    // The model is bad for as long as the values cover the outage, and good afterwards.
    let mut world = World::new(&accuracy("model_name", "{cooldown: 6h}"));
    let mut counters = Counters::default();
    for minute in 0..180 {
        let is_bad = (58..70).contains(&minute);
        let right = counters.binomial(100, if is_bad { 0.3 } else { 0.95 });
        counters.add("labeled_total{model_name=\"m\"}", 100);
        counters.add("correct_total{model_name=\"m\"}", right);
        let is_down = (60..70).contains(&minute);
        world.scrape((!is_down).then(|| counters.text()));
    }
    assert!(!world.states("AccuracyDropped").is_empty(), "it is alerted");
    assert_eq!(world.days(), [] as [u32; 0]);
}

#[test]
fn a_gauge_that_nobody_sets_any_more_is_no_new_evidence() {
    let rules = "groups:
- name: a
  rules:
  - watch: AccuracyLow
    expr: accuracy
    metric: accuracy
    strategy: {type: static, bound: 0.92}
    retrain: {cooldown: 1h}
";
    let mut world = World::new(rules);
    for minute in 0..2 * DAY {
        let value = if minute < DAY { 0.8 } else { 0.81 };
        if minute % 300 == 299 {
            world.restart();
        }
        world.scrape(Some(format!("accuracy{{model_name=\"m\"}} {value}\n")));
    }
    assert_eq!(world.days(), [0, 1]);
}
