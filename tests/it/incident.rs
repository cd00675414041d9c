//! The alert of a learning watch lasts as long as its incident, whatever happens to the process,
//! and says how it ended.

use proptest::prelude::*;
use sidewatch_engine::alert::{Alert, AlertState};
use sidewatch_engine::incident::TrialResult;
use sidewatch_engine::metric::Labels;
use sidewatch_engine::monitor::RuleKind;

use super::support::lab::Lab;

const RULES: &str = "groups:
- name: g
  rules:
  - watch: LatencyHigh
    expr: latency
    metric: inference_latency_ms
    strategy: {type: ewma, warm_up: 20, min_deviation: 2}
    for: 2m
    keep_firing_for: 3m
    annotations: {summary: 'slow'}
";

/// A healthy latency is near 100 ms.
fn latency(level: f64, minute: u32) -> String {
    let value = level + 3.0 * (f64::from(minute) * 2.4).sin();
    format!("latency{{model=\"m\"}} {value}\n")
}

/// Feeds a level for some minutes; returns the changes with their minutes.
fn stay(lab: &mut Lab, level: f64, minutes: u32) -> Vec<(u32, Alert)> {
    let mut all = Vec::new();
    for _ in 0..minutes {
        let minute = lab.minute;
        let changes = lab.tick(&latency(level, minute)).into_iter();
        all.extend(changes.map(|alert| (minute, alert)));
    }
    all
}

fn of_state(changes: &[(u32, Alert)], state: AlertState) -> Vec<u32> {
    let of_state = changes.iter().filter(|(_, alert)| alert.state == state);
    of_state.map(|(minute, _)| *minute).collect()
}

fn resolved_text(changes: &[(u32, Alert)]) -> String {
    let ended = changes
        .iter()
        .find(|(_, alert)| alert.state == AlertState::Resolved);
    let (_, alert) = ended.expect("it resolves");
    alert
        .annotations
        .get("resolved")
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn the_alert_of_a_four_hour_incident_fires_once_and_ends_after_the_model_has_recovered() {
    let mut lab = Lab::new(RULES);
    assert_eq!(stay(&mut lab, 100.0, 300), []);
    let during = stay(&mut lab, 170.0, 240);
    assert_eq!(of_state(&during, AlertState::Firing), [302]);
    assert_eq!(of_state(&during, AlertState::Resolved), Vec::<u32>::new());
    let after = stay(&mut lab, 100.0, 60);
    assert_eq!(of_state(&after, AlertState::Resolved), [543]);
    assert_eq!(resolved_text(&after), "recovered");
    assert_eq!(
        of_state(&stay(&mut lab, 170.0, 10), AlertState::Firing),
        [602]
    );
}

#[test]
fn a_level_that_stays_is_accepted_after_a_day_and_the_last_notification_says_so() {
    let mut lab = Lab::new(RULES);
    stay(&mut lab, 100.0, 300);
    let during = stay(&mut lab, 170.0, 2000);
    assert_eq!(of_state(&during, AlertState::Firing), [302]);
    assert_eq!(of_state(&during, AlertState::Resolved), [302 + 24 * 60]);
    let text = resolved_text(&during);
    assert!(
        text.starts_with("accepted as the new normal after 1d: 1"),
        "{text}"
    );
    assert!(text.contains(" ms, was 1"), "{text}");
}

#[test]
fn a_new_level_is_accepted_when_a_user_says_so() {
    let mut lab = Lab::new(RULES);
    stay(&mut lab, 100.0, 300);
    stay(&mut lab, 170.0, 30);
    let rule = lab.monitor.rules().next().unwrap().key().to_owned();
    let series = lab.monitor.alerts()[0].series.clone();
    assert!(lab.monitor.accept(&rule, &series));
    let after = stay(&mut lab, 170.0, 300);
    assert_eq!(of_state(&after, AlertState::Resolved), [330]);
    assert!(resolved_text(&after).starts_with("accepted as the new normal"));
    assert_eq!(of_state(&after, AlertState::Firing), Vec::<u32>::new());
    assert!(!lab.monitor.accept(&rule, &series), "no incident is open");
}

#[test]
fn with_adapt_after_zero_the_alert_lasts_for_ever() {
    let rules = RULES.replace("    for: 2m\n", "    for: 2m\n    adapt_after: 0\n");
    let mut lab = Lab::new(&rules);
    stay(&mut lab, 100.0, 300);
    let during = stay(&mut lab, 170.0, 5000);
    assert_eq!(of_state(&during, AlertState::Firing), [302]);
    assert_eq!(of_state(&during, AlertState::Resolved), Vec::<u32>::new());
}

#[test]
fn the_end_of_a_removed_rule_says_so() {
    let mut lab = Lab::new(RULES);
    stay(&mut lab, 100.0, 300);
    stay(&mut lab, 170.0, 30);
    let minute = lab.minute;
    let other = RULES
        .replace("LatencyHigh", "Another")
        .replace("group: g", "group: h");
    let removed = other.replace("expr: latency\n", "expr: another\n");
    let changes: Vec<(u32, Alert)> = lab
        .reload(&removed)
        .into_iter()
        .map(|a| (minute, a))
        .collect();
    assert_eq!(resolved_text(&changes), "the rule was removed");
}

#[test]
fn an_alert_whose_strategy_changed_in_the_incident_does_not_claim_that_the_model_recovered() {
    let mut lab = Lab::new(RULES);
    stay(&mut lab, 100.0, 300);
    stay(&mut lab, 170.0, 30);
    lab.reload(&RULES.replace("min_deviation: 2}", "min_deviation: 2, k_sigma: 6}"));
    let after = stay(&mut lab, 170.0, 60);
    let text = resolved_text(&after);
    assert!(text.contains("the fault may last"), "{text}");
}

#[test]
fn a_reload_changes_adapt_after_for_open_incidents_too() {
    let mut lab = Lab::new(&RULES.replace("    for: 2m\n", "    for: 2m\n    adapt_after: 0\n"));
    stay(&mut lab, 100.0, 300);
    stay(&mut lab, 170.0, 120);
    lab.reload(&RULES.replace("    for: 2m\n", "    for: 2m\n    adapt_after: 1h\n"));
    let after = stay(&mut lab, 170.0, 10);
    assert!(resolved_text(&after).starts_with("accepted as the new normal"));
}

#[test]
fn a_version_that_is_worse_most_of_the_time_teaches_nothing() {
    let rules = BY_VERSION.replace("    keep_firing_for", "    for: 10m\n    keep_firing_for");
    let mut lab = Lab::new(&rules);
    serve(&mut lab, "1", 0.95, 300);
    for _ in 0..60 {
        serve(&mut lab, "2", 0.75, 9);
        serve(&mut lab, "2", 0.95, 1);
    }
    let changes = serve(&mut lab, "2", 0.75, 60);
    assert_eq!(of_state(&changes, AlertState::Firing).len(), 1);
    assert_eq!(of_state(&changes, AlertState::Resolved), Vec::<u32>::new());
}

#[test]
fn plain_alerts_get_no_text_of_ours() {
    let rules = "groups:
- name: g
  rules:
  - alert: Slow
    expr: latency > 150
    annotations: {summary: slow}
";
    let mut lab = Lab::new(rules);
    stay(&mut lab, 170.0, 5);
    let ended = stay(&mut lab, 100.0, 5);
    let (_, alert) = &ended[0];
    assert_eq!(alert.state, AlertState::Resolved);
    let names: Vec<&str> = alert.annotations.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["summary"]);
}

const BY_VERSION: &str = "groups:
- name: g
  rules:
  - watch: AccuracyDropped
    expr: right
    metric: accuracy
    strategy: {type: ewma, warm_up: 20, min_deviation: 0.01}
    keep_firing_for: 3m
    annotations: {summary: 'wrong'}
";

/// Feeds the accuracy of one version for some minutes.
fn serve(lab: &mut Lab, version: &str, level: f64, minutes: u32) -> Vec<(u32, Alert)> {
    let mut all = Vec::new();
    for _ in 0..minutes {
        let minute = lab.minute;
        let value = level + 0.005 * (f64::from(minute) * 2.4).sin();
        let body = format!("right{{model_name=\"m\",model_version=\"{version}\"}} {value}\n");
        all.extend(lab.tick(&body).into_iter().map(|alert| (minute, alert)));
    }
    all
}

fn trial(lab: &Lab, version: &str) -> Option<(String, TrialResult)> {
    let series = Labels::new([
        ("__name__", "right"),
        ("instance", "model:8000"),
        ("job", "model"),
        ("model_name", "m"),
        ("model_version", version),
    ]);
    let RuleKind::Watch(watching) = lab.monitor.rules().next()?.kind() else {
        return None;
    };
    let trial = watching.trial(&series)?;
    Some((trial.from.clone(), trial.result))
}

#[test]
fn a_worse_version_alerts_after_the_grace_for_as_long_as_it_runs_and_is_never_learned() {
    let mut lab = Lab::new(BY_VERSION);
    serve(&mut lab, "1", 0.95, 300);
    assert_eq!(trial(&lab, "1"), None);
    let mut changes = serve(&mut lab, "2", 0.75, 3);
    assert_eq!(trial(&lab, "2"), Some(("1".to_owned(), TrialResult::Trial)));
    changes.extend(serve(&mut lab, "2", 0.75, 600));
    assert_eq!(of_state(&changes, AlertState::Firing), [305]);
    assert_eq!(of_state(&changes, AlertState::Resolved), Vec::<u32>::new());
    assert_eq!(trial(&lab, "2"), Some(("1".to_owned(), TrialResult::Worse)));
    let (_, fired) = changes
        .iter()
        .find(|(_, alert)| alert.fired_at.is_some())
        .unwrap();
    let why = fired.annotations.get("why").unwrap();
    assert!(why.ends_with("; compared with version 1"), "{why}");

    // Version 3 is compared with what was normal before version 2, and is as good.
    let after = serve(&mut lab, "3", 0.95, 120);
    assert_eq!(of_state(&after, AlertState::Firing), Vec::<u32>::new());
    assert_eq!(
        trial(&lab, "3"),
        Some(("1".to_owned(), TrialResult::AsGood))
    );
}

#[test]
fn a_version_that_is_as_good_teaches_from_then_on_and_a_restart_forgets_no_trial() {
    let mut lab = Lab::new(BY_VERSION);
    serve(&mut lab, "1", 0.95, 300);
    serve(&mut lab, "2", 0.95, 30);
    lab.restart();
    assert_eq!(trial(&lab, "2"), Some(("1".to_owned(), TrialResult::Trial)));
    serve(&mut lab, "2", 0.95, 35);
    assert_eq!(
        trial(&lab, "2"),
        Some(("1".to_owned(), TrialResult::AsGood))
    );
    // A slow change is learned, as that of any version.
    for step in 0..40 {
        let changes = serve(&mut lab, "2", 0.95 - 0.002 * f64::from(step), 60);
        assert_eq!(of_state(&changes, AlertState::Firing), Vec::<u32>::new());
    }
}

/// What happens to the process.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Restart,
    Kill,
    Reload,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The alert begins and ends in the same minutes as in a process that nothing happens to. Only
    /// a start in the last minute before the recovery delays the end, by that minute: a window of one
    /// evaluation ends no alert.
    #[test]
    fn restarts_kills_and_reloads_neither_end_nor_repeat_an_incident(
        troubles in proptest::collection::vec(
            (0..240_u32, prop_oneof![Just(Trouble::Restart), Just(Trouble::Kill), Just(Trouble::Reload)]),
            1..6,
        ),
    ) {
        let mut lab = Lab::new(RULES);
        stay(&mut lab, 100.0, 300);
        // The alert fires in minute 302; before, a kill may lose what is pending.
        let mut changes = stay(&mut lab, 170.0, 3);
        for minute in 0..240 {
            for (_, trouble) in troubles.iter().filter(|(when, _)| *when == minute) {
                match trouble {
                    Trouble::Restart => lab.restart(),
                    Trouble::Kill => lab.kill(),
                    Trouble::Reload => prop_assert_eq!(lab.reload(RULES), []),
                }
            }
            changes.extend(stay(&mut lab, 170.0, 1));
        }
        changes.extend(stay(&mut lab, 100.0, 20));
        prop_assert_eq!(of_state(&changes, AlertState::Firing), [302]);
        let starts_late = troubles
            .iter()
            .any(|(when, trouble)| *when == 239 && !matches!(trouble, Trouble::Reload));
        let end = 546 + u32::from(starts_late);
        prop_assert_eq!(of_state(&changes, AlertState::Resolved), [end]);
        changes = stay(&mut lab, 170.0, 10);
        prop_assert_eq!(of_state(&changes, AlertState::Firing), [565]);
    }
}
