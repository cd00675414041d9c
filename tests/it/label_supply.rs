//! Labels that stop, or that are counted wrongly, are said; and no text shows a value that is none.

use sidewatch_engine::alert::AlertState;
use sidewatch_engine::judge::State;

use crate::support::minutes::{Counters, DAY, World};

const MISSING: &str = "SidewatchObservationsMissing";

fn accuracy(total: &str, keys: &str) -> String {
    format!(
        "groups:
- name: a
  rules:
  - watch: AccuracyLow
    expr: sum by (model_name) (increase(correct_total[10m])) / sum by (model_name) (increase({total}[10m]))
    metric: accuracy
    strategy: {{type: static, bound: 0.92}}
    for: 2m
    {keys}
    annotations: {{summary: 'accuracy of {{{{ $labels.model_name }}}} is {{{{ $value | humanizePercentage }}}}'}}
"
    )
}

/// Labels of a hundred predictions a minute while `labels` says so; predictions go on.
fn play(world: &mut World, minutes: u32, labels: impl Fn(u32) -> bool, restarts: bool) {
    let mut counters = Counters::default();
    for minute in 0..minutes {
        counters.add("predictions_total{model_name=\"m\"}", 100);
        if labels(minute) {
            let right = counters.binomial(100, 0.95);
            counters.add("labeled_total{model_name=\"m\"}", 100);
            counters.add("correct_total{model_name=\"m\"}", right);
        }
        if restarts && minute % 501 == 500 {
            world.restart();
        }
        world.scrape(Some(counters.text()));
    }
}

#[test]
fn labels_that_stop_are_missed_after_the_time_in_which_they_are_expected() {
    for restarts in [false, true] {
        let mut world = World::new(&accuracy("labeled_total", "expect: {every: 26h}"));
        // Two days without labels, then they come again.
        let labels = |minute| !(DAY..3 * DAY).contains(&minute);
        play(&mut world, 3 * DAY + 60, labels, restarts);
        let changes = world.changes.iter();
        let missing = changes.filter(|(_, one)| one.labels.get("alertname") == Some(MISSING));
        let missing: Vec<_> = missing.map(|(minute, one)| (*minute, one.state)).collect();
        let [(fired, AlertState::Firing), (ended, AlertState::Resolved)] = missing[..] else {
            panic!("{missing:?}");
        };
        // A restart costs the minutes until the window tells whether counters move.
        let due = DAY + 26 * 60;
        assert!((due..due + 15).contains(&fired), "{fired}, due at {due}");
        assert!((3 * DAY..3 * DAY + 3).contains(&ended), "{ended}");
        let (_, text) = &world.states(MISSING)[0];
        assert!(
            text.starts_with("AccuracyLow: no new observation of {model_name=\"m\"} since "),
            "{text}"
        );
        assert!(text.ends_with(", expected every 1d2h"), "{text}");
    }
}

#[test]
fn labels_that_never_came_are_missed_too() {
    let mut world = World::new(&accuracy("labeled_total", "expect: {every: 2h}"));
    play(&mut world, 180, |_| false, false);
    let states = world.states(MISSING);
    assert_eq!(states.len(), 1, "{states:?}");
    assert!(
        states[0]
            .1
            .starts_with("AccuracyLow: no observation since "),
        "{states:?}"
    );
}

#[test]
fn no_data_alert_hears_idle_labels_and_no_text_says_nan() {
    for (keys, hears) in [("no_data: alert", true), ("no_data: keep", false)] {
        let mut world = World::new(&accuracy("labeled_total", keys));
        play(&mut world, 180, |minute| minute < 60, false);
        let fired = world
            .changes
            .iter()
            .find(|(_, one)| one.state == AlertState::Firing);
        assert_eq!(fired.is_some(), hears, "{keys}");
        // The first scrape gives no rate, which is missing data too.
        let late = world.changes.iter().filter(|(minute, _)| *minute > 10);
        for (minute, alert) in late {
            assert!((60..80).contains(minute), "{alert:?}");
            let texts: Vec<_> = alert.annotations.iter().collect();
            assert!(
                texts.iter().all(|(_, text)| !text.contains("NaN")),
                "{texts:?}"
            );
            assert_eq!(alert.summary(), "accuracy of m is unknown");
        }
    }
}

/// The watch reads a record that reads one of a later group, as a pack reads a record of the user's
/// file.
const READS_LATER: &str = "groups:
- name: pack
  rules:
  - {record: 'accuracy:gauge', metric: accuracy, expr: 'avg without (pid) ({__name__=~\"(.+_)?accuracy\"})'}
  - {watch: AccuracyLow, expr: 'accuracy:gauge', strategy: {type: static, bound: 0.92}}
- name: own
  rules:
  - record: accuracy
    expr: sum by (model_name) (increase(correct_total[10m])) / sum by (model_name) (increase(predictions_total[10m]))
";

#[test]
fn an_accuracy_of_more_than_all_is_not_judged_and_the_reason_is_said() {
    for rules in [&accuracy("predictions_total", ""), READS_LATER] {
        // Labels of the day before over the predictions of now.
        let mut world = World::new(rules);
        let mut counters = Counters::default();
        for _ in 0..60 {
            counters.add("predictions_total{model_name=\"m\"}", 10);
            counters.add("correct_total{model_name=\"m\"}", 38);
            world.scrape(Some(counters.text()));
        }
        let judged = world.monitor.judged().next();
        let verdict = judged.map(|(_, _, verdict)| verdict.clone()).unwrap();
        assert_eq!(verdict.state, State::InsufficientData, "{rules}");
        let why = verdict.why;
        assert!(why.starts_with("more right answers than answers"), "{why}");
    }
}
