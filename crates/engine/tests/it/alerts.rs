//! The life cycle of alerts: equal to Prometheus' state machine, with documented improvements.

use std::sync::Arc;
use std::time::Duration;

use sidewatch_engine::alert::{
    Alert, AlertKind, AlertRule, AlertState, Annotations, Changes, Condition, Context, Explanation,
    NoData, Observation, Outcome, Template, Tracker, rule_id,
};
use sidewatch_engine::judge::Band;
use sidewatch_engine::metric::{Labels, Timestamp};

const RESEND: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn series(pod: &str) -> Labels {
    Labels::named("accuracy", [("pod", pod)])
}

/// A rule with its state, driven like the monitor drives it.
struct Bench {
    rule: AlertRule,
    tracker: Tracker,
    context: Context,
}

impl Bench {
    fn new(kind: AlertKind, hold: u64, keep: u64) -> Self {
        let rule = AlertRule {
            name: "Bad".into(),
            expr: "accuracy < 0.9".into(),
            kind,
            hold: secs(hold),
            keep_firing_for: secs(keep),
            interval: secs(15),
            ..AlertRule::default()
        };
        Self {
            rule,
            tracker: Tracker::new(),
            context: Context {
                external_url: "http://side:9755".into(),
                ..Context::default()
            },
        }
    }

    fn outcome(&mut self, seconds: i64, outcome: Outcome) -> Changes {
        self.tracker
            .evaluate(&self.rule, at(seconds), outcome, &self.context)
    }

    /// A plain alert's result: these pods are in the vector.
    fn vector(&mut self, seconds: i64, pods: &[&str]) -> Changes {
        let active = pods.iter().map(|pod| Observation::active(series(pod), 0.5));
        self.outcome(seconds, Outcome::Observed(active.collect()))
    }

    /// A watch's verdicts.
    fn verdicts(&mut self, seconds: i64, verdicts: &[(&str, Condition)]) -> Changes {
        let observations = verdicts.iter().map(|(pod, condition)| Observation {
            labels: series(pod),
            value: 0.5,
            condition: *condition,
            explanation: Some(Arc::new(explanation())),
            ending: None,
        });
        self.outcome(seconds, Outcome::Observed(observations.collect()))
    }

    fn states(&self) -> Vec<(String, AlertState)> {
        let alerts = self.tracker.alerts(&self.rule, &self.context);
        let name = |alert: &Alert| alert.labels.get("pod").unwrap_or(&alert.rule).to_owned();
        alerts
            .iter()
            .map(|alert| (name(alert), alert.state))
            .collect()
    }

    fn due(&mut self, seconds: i64) -> Vec<Alert> {
        self.tracker
            .due(&self.rule, at(seconds), RESEND, &self.context)
    }
}

fn explanation() -> Explanation {
    Explanation {
        strategy: "static (bound 0.92)".into(),
        why: "0.5 is below 0.92".into(),
        score: Some(1.456_522),
        expected: Band {
            lower: Some(0.92),
            ..Band::default()
        },
        window: Some(secs(600)),
        samples: Some(1200),
        contributions: vec!["le=0.1 +30 %".into(), "le=0.2 -12 %".into()],
        ..Explanation::default()
    }
}

fn words(changes: &Changes) -> Vec<AlertState> {
    changes.alerts.iter().map(|alert| alert.state).collect()
}

use AlertState::{Firing, Pending, Resolved};
use Condition::{Active, Healthy, NoData as Missing, Unsure};

#[test]
fn an_alert_is_pending_until_for_has_passed() {
    let mut bench = Bench::new(AlertKind::Alert, 30, 0);
    assert_eq!(words(&bench.vector(0, &["a"])), [Pending]);
    assert_eq!(words(&bench.vector(15, &["a"])), []);
    let fired = bench.vector(30, &["a"]);
    assert_eq!(words(&fired), [Firing]);
    assert_eq!(fired.alerts[0].active_at, at(0));
    assert_eq!(fired.alerts[0].fired_at, Some(at(30)));
    let resolved = bench.vector(45, &[]);
    assert_eq!(words(&resolved), [Resolved]);
    assert_eq!(resolved.alerts[0].resolved_at, Some(at(45)));
}

#[test]
fn without_for_it_fires_in_the_same_evaluation() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    assert_eq!(words(&bench.vector(0, &["a"])), [Firing]);
}

#[test]
fn a_pending_alert_that_ceases_is_forgotten() {
    let mut bench = Bench::new(AlertKind::Alert, 30, 0);
    bench.vector(0, &["a"]);
    assert_eq!(words(&bench.vector(15, &[])), []);
    assert_eq!(bench.states(), []);
    bench.vector(30, &["a"]);
    assert_eq!(bench.states(), [("a".into(), Pending)]);
    assert_eq!(bench.due(30), []);
}

#[test]
fn keep_firing_for_counts_from_the_first_miss() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 30);
    bench.vector(0, &["a"]);
    assert_eq!(words(&bench.vector(15, &[])), []);
    assert_eq!(words(&bench.vector(30, &["a"])), []);
    assert_eq!(words(&bench.vector(45, &[])), []);
    let alerts = bench.tracker.alerts(&bench.rule, &bench.context);
    assert_eq!(alerts[0].keep_firing_since, Some(at(45)));
    assert_eq!(words(&bench.vector(60, &[])), []);
    assert_eq!(words(&bench.vector(75, &[])), [Resolved]);
}

#[test]
fn a_resolved_alert_is_kept_fifteen_minutes_and_starts_anew() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    bench.vector(0, &["a", "b"]);
    bench.vector(15, &[]);
    bench.vector(15 + 900, &[]);
    assert_eq!(bench.states().len(), 2);
    let again = bench.vector(15 + 901, &["b"]);
    assert_eq!(words(&again), [Firing]);
    assert_eq!(again.alerts[0].active_at, at(916));
    assert_eq!(bench.states(), [("b".into(), Firing)]);
}

#[test]
fn raising_for_ends_a_firing_alert_and_makes_it_pending_again() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    bench.vector(0, &["a"]);
    assert_eq!(bench.due(0).len(), 1);
    bench.rule.hold = secs(60);
    let (changes, mut ends) = bench.tracker.adopt(&bench.rule, at(15), &bench.context);
    assert_eq!(words(&changes), [Resolved]);
    let sent = ends.due(&bench.rule, at(15), RESEND, &bench.context);
    assert_eq!((sent[0].state, sent[0].ends_at), (Resolved, Some(at(15))));
    assert_eq!(bench.states(), [("a".into(), Pending)]);
    assert_eq!(words(&bench.vector(15, &["a"])), []);
    assert_eq!(bench.due(15), []);
    let fired = bench.vector(60, &["a"]);
    assert_eq!(fired.alerts[0].fired_at, Some(at(60)));
    assert_eq!(bench.due(60).len(), 1);
}

#[test]
fn two_series_with_the_same_alert_labels_change_nothing_in_a_plain_alert() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    bench.rule.labels = vec![("pod".into(), Template::parse("same").unwrap())];
    bench.vector(0, &["a"]);
    let changes = bench.vector(15, &["a", "b"]);
    let error = changes.error.expect("ambiguous series are an error");
    assert!(error.contains("same labelset"), "{error}");
    assert_eq!(bench.states(), [("same".into(), Firing)]);
}

#[test]
fn of_the_series_with_the_same_labels_a_watch_takes_the_worst() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 0);
    bench.rule.labels = vec![("pod".into(), Template::parse("same").unwrap())];
    let both = |a, b| [("a", a), ("b", b), ("c", Healthy)];
    for (step, (a, b)) in [(Healthy, Active), (Active, Healthy), (Healthy, Active)]
        .into_iter()
        .enumerate()
    {
        let changes = bench.verdicts(15 * step as i64, &both(a, b));
        assert_eq!(changes.error, None);
        // The healthy series are not looked at while there is no alert.
        let remark = changes.remark.unwrap_or_default();
        assert_eq!(
            remark.contains("the worst of them counts"),
            step > 0,
            "{remark}"
        );
        assert_eq!(bench.states(), [("same".into(), Firing)]);
    }
    bench.verdicts(45, &both(Unsure, Healthy));
    assert_eq!(bench.states(), [("same".into(), Firing)]);
    bench.verdicts(60, &both(Healthy, Healthy));
    assert_eq!(bench.states(), [("same".into(), Resolved)]);
}

#[test]
fn an_alert_of_a_watch_ends_when_its_series_gets_other_labels() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 300);
    let owner = |text: &str| vec![("owner".into(), Template::parse(text).unwrap())];
    bench.rule.labels = owner("{{ if gt $value 1.0 }}x{{ else }}y{{ end }}");
    bench.verdicts(0, &[("a", Active)]);
    bench.rule.labels = owner("z");
    assert_eq!(
        words(&bench.verdicts(15, &[("a", Active)])),
        [Firing, Resolved]
    );
}

#[test]
fn a_failed_evaluation_changes_nothing_and_renews_the_lease() {
    for kind in [AlertKind::Alert, AlertKind::Watch] {
        let mut bench = Bench::new(kind, 0, 0);
        bench.verdicts(0, &[("a", Active)]);
        bench.due(0);
        for step in 1..=6 {
            let changes = bench.outcome(step * 15, Outcome::Failed("no such metric".into()));
            assert_eq!(changes.error.as_deref(), Some("no such metric"));
            assert_eq!(words(&changes), []);
        }
        assert_eq!(bench.due(60), [], "the resend delay has not passed");
        let due = bench.due(75);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].ends_at, Some(at(75 + 240)));
        assert_eq!(bench.states(), [("a".into(), Firing)]);
    }
}

#[test]
fn a_limit_empties_a_plain_alert_as_prometheus_does() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    bench.rule.limit = 2;
    bench.vector(0, &["a", "b"]);
    let changes = bench.vector(15, &["a", "b", "c"]);
    assert_eq!(
        changes.error.as_deref(),
        Some("exceeded limit of 2 with 3 alerts")
    );
    assert_eq!(bench.states(), []);
}

#[test]
fn a_limit_keeps_the_first_alerts_of_a_watch_and_says_so() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 0);
    bench.rule.limit = 2;
    bench.verdicts(0, &[("c", Active), ("a", Active)]);
    let changes = bench.verdicts(15, &[("a", Active), ("b", Active), ("c", Active)]);
    assert_eq!(changes.refused, 1);
    let meta = &changes.alerts[0];
    assert_eq!(
        meta.labels.get("alertname"),
        Some("SidewatchAlertLimitReached")
    );
    assert_eq!(meta.labels.get("rule"), Some("Bad"));
    assert_eq!(meta.state, Firing);
    assert!(
        meta.annotations
            .get("summary")
            .unwrap()
            .starts_with("1 more series of Bad")
    );
    let pods = || -> Vec<String> {
        bench
            .states()
            .into_iter()
            .map(|(pod, _)| pod)
            .filter(|pod| pod != "Bad")
            .collect()
    };
    assert_eq!(pods(), ["a", "c"]);
    let changes = bench.verdicts(30, &[("a", Healthy), ("b", Active), ("c", Active)]);
    assert_eq!(changes.refused, 0);
    let resolved: Vec<_> = changes
        .alerts
        .iter()
        .map(|a| (a.labels.get("alertname").unwrap(), a.state))
        .collect();
    assert_eq!(
        resolved,
        [
            ("Bad", Resolved),
            ("Bad", Firing),
            ("SidewatchAlertLimitReached", Resolved)
        ]
    );
}

#[test]
fn missing_data_keeps_the_state_of_a_watch() {
    let mut bench = Bench::new(AlertKind::Watch, 30, 0);
    bench.verdicts(0, &[("a", Active), ("b", Active)]);
    bench.verdicts(30, &[("a", Active)]);
    assert_eq!(
        bench.states(),
        [("a".into(), Firing), ("b".into(), Pending)]
    );
    assert_eq!(words(&bench.verdicts(45, &[("a", Missing)])), []);
    assert_eq!(words(&bench.verdicts(60, &[("a", Unsure)])), []);
    assert_eq!(words(&bench.verdicts(7200, &[])), []);
    assert_eq!(
        bench.states(),
        [("a".into(), Firing), ("b".into(), Pending)]
    );
    let due = bench.due(7200);
    assert_eq!(due.len(), 1);
    let note = due[0].annotations.get("no_data").unwrap();
    assert!(
        note.starts_with("no data since 1970-01-01T00:00:45.000Z"),
        "{note}"
    );
    assert_eq!(words(&bench.verdicts(7215, &[("a", Healthy)])), [Resolved]);
}

#[test]
fn missing_data_can_be_a_reason_to_alert() {
    let mut bench = Bench::new(AlertKind::Watch, 30, 0);
    bench.rule.no_data = NoData::Alert;
    bench.verdicts(0, &[("a", Healthy)]);
    assert_eq!(words(&bench.verdicts(15, &[("a", Missing)])), [Pending]);
    let fired = bench.verdicts(45, &[("a", Missing)]);
    assert_eq!(words(&fired), [Firing]);
    let summary = fired.alerts[0].annotations.get("summary").unwrap();
    assert!(summary.contains("no data since"), "{summary}");
    assert_eq!(
        words(&bench.verdicts(60, &[("a", Unsure)])),
        [],
        "warming up is no recovery"
    );
    assert_eq!(words(&bench.verdicts(75, &[("a", Healthy)])), [Resolved]);
}

#[test]
fn an_expression_that_never_gave_anything_can_alert_too() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 0);
    bench.rule.no_data = NoData::Alert;
    let fired = bench.verdicts(0, &[]);
    assert_eq!(words(&fired), [Firing]);
    assert_eq!(fired.alerts[0].labels, Labels::new([("alertname", "Bad")]));
    assert_eq!(words(&bench.verdicts(15, &[])), []);
    assert_eq!(words(&bench.verdicts(30, &[("a", Unsure)])), [Resolved]);
}

#[test]
fn missing_data_can_be_healthy() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 0);
    bench.rule.no_data = NoData::Ok;
    bench.verdicts(0, &[("a", Active)]);
    assert_eq!(words(&bench.verdicts(15, &[])), [Resolved]);
}

#[test]
fn alerts_are_sent_at_once_resent_with_the_delay_and_resolved_for_fifteen_minutes() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    let mut sent = Vec::new();
    for step in 0..120 {
        let now = step * 15;
        let pods: &[&str] = if now < 150 { &["a"] } else { &[] };
        bench.vector(now, pods);
        for alert in bench.due(now) {
            sent.push((now, alert.state, alert.starts_at(), alert.ends_at));
        }
    }
    let firing: Vec<i64> = sent.iter().filter(|s| s.1 == Firing).map(|s| s.0).collect();
    // The first multiple of the interval after more than the resend delay.
    assert_eq!(firing, [0, 75]);
    assert_eq!(sent[1], (75, Firing, at(0), Some(at(75 + 240))));
    let resolved: Vec<i64> = sent
        .iter()
        .filter(|s| s.1 == Resolved)
        .map(|s| s.0)
        .collect();
    assert_eq!(resolved.first(), Some(&150));
    assert_eq!(resolved.get(1), Some(&225));
    assert_eq!(resolved.last(), Some(&1050));
    assert!(
        sent.iter()
            .filter(|s| s.1 == Resolved)
            .all(|s| s.2 == at(0) && s.3 == Some(at(150)))
    );
}

#[test]
fn a_restart_forgets_nothing() {
    let mut bench = Bench::new(AlertKind::Watch, 60, 300);
    bench.verdicts(0, &[("a", Active), ("b", Active)]);
    bench.verdicts(60, &[("a", Active), ("b", Healthy)]);
    bench.verdicts(75, &[("a", Healthy), ("b", Active)]);
    bench.due(75);
    let stored = serde_json::to_vec(&bench.tracker.snapshot()).unwrap();
    let mut after = Bench::new(AlertKind::Watch, 60, 300);
    after.tracker = Tracker::restore(serde_json::from_slice(&stored).unwrap());
    assert_eq!(after.tracker.snapshot(), {
        bench.tracker.renew_leases();
        bench.tracker.snapshot()
    });
    // The lease is renewed before the first evaluation, with the original start.
    let due = after.due(80);
    assert_eq!(due.len(), 1);
    assert_eq!(
        (due[0].starts_at(), due[0].ends_at),
        (at(60), Some(at(80 + 240)))
    );
    assert_eq!(
        words(&after.verdicts(90, &[("a", Healthy), ("b", Active)])),
        []
    );
    assert_eq!(
        after.states(),
        [("a".into(), Firing), ("b".into(), Pending)]
    );
    assert_eq!(
        words(&after.verdicts(375, &[("a", Healthy), ("b", Active)])),
        [Resolved, Firing]
    );
}

#[test]
fn time_nobody_watched_does_not_count_towards_for() {
    let mut bench = Bench::new(AlertKind::Alert, 60, 0);
    bench.vector(0, &["a"]);
    bench.vector(15, &["a"]);
    let mut after = Bench::new(AlertKind::Alert, 60, 0);
    after.tracker = Tracker::restore(bench.tracker.snapshot());
    assert_eq!(words(&after.vector(3615, &["a"])), []);
    assert_eq!(words(&after.vector(3630, &["a"])), []);
    assert_eq!(words(&after.vector(3645, &["a"])), [Firing]);
}

#[test]
fn removed_rules_and_series_are_resolved_explicitly() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 300);
    bench.verdicts(0, &[("a", Active), ("b", Active)]);
    bench.due(0);
    let gone = |labels: &Labels| labels.get("pod") == Some("a");
    let changes = bench
        .tracker
        .retire(&bench.rule, at(15), &bench.context, "removed", gone);
    assert_eq!(
        words(&changes),
        [Resolved],
        "keep_firing_for does not apply"
    );
    let rest = bench
        .tracker
        .retire_all(&bench.rule, at(30), &bench.context);
    assert_eq!(words(&rest), [Resolved]);
    let due = bench.due(30);
    assert_eq!(
        due.iter().map(|a| a.ends_at).collect::<Vec<_>>(),
        [Some(at(15)), Some(at(30))]
    );
}

#[test]
fn other_labels_after_a_reload_resolve_the_old_alert() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 0);
    bench.context.identity = Labels::new([("model_version", "7")]);
    bench.verdicts(0, &[("a", Active)]);
    bench.due(0);
    bench.context.identity = Labels::new([("model_version", "8")]);
    let (changes, _) = bench.tracker.adopt(&bench.rule, at(15), &bench.context);
    assert_eq!(words(&changes), [Resolved]);
    assert_eq!(words(&bench.verdicts(15, &[("a", Active)])), [Firing]);
    let due = bench.due(15);
    let sent: Vec<_> = due
        .iter()
        .map(|a| (a.labels.get("model_version").unwrap(), a.state))
        .collect();
    assert_eq!(sent, [("7", Resolved), ("8", Firing)]);
    assert_eq!(
        words(&bench.tracker.adopt(&bench.rule, at(15), &bench.context).0),
        []
    );
}

#[test]
fn identity_is_added_where_the_series_has_none() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 0);
    bench.context.identity = Labels::new([("model_id", "fraud"), ("pod", "own")]);
    bench.rule.labels = vec![
        ("severity".into(), Template::parse("page").unwrap()),
        ("gone".into(), Template::parse("").unwrap()),
        ("alertname".into(), Template::parse("other").unwrap()),
    ];
    let changes = bench.verdicts(0, &[("a", Active)]);
    assert_eq!(
        changes.alerts[0].labels.to_string(),
        r#"{alertname="Bad", model_id="fraud", pod="a", severity="page"}"#
    );
}

#[test]
fn an_empty_label_of_the_rule_removes_that_of_the_series_and_of_the_identity() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    bench.context.identity = Labels::new([("model_id", "fraud"), ("instance", "i")]);
    let removed = ["pod", "model_id"].map(|name| (name.to_owned(), Template::parse("").unwrap()));
    bench.rule.labels = removed.into();
    let changes = bench.vector(0, &["a"]);
    assert_eq!(
        changes.alerts[0].labels.to_string(),
        r#"{alertname="Bad", instance="i"}"#
    );
}

#[test]
fn an_annotation_that_renders_empty_is_kept_empty() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    bench.rule.annotations = vec![
        (
            "note".into(),
            Template::parse("{{ $labels.none }}").unwrap(),
        ),
        ("summary".into(), Template::parse("").unwrap()),
    ];
    let alert = bench.vector(0, &["a"]).alerts.remove(0);
    let texts: Vec<_> = alert.annotations.iter().collect();
    assert_eq!(texts, [("note", ""), ("summary", "")]);
    assert!(alert.summary().starts_with("Bad "), "{}", alert.summary());
    let json = serde_json::to_string(&alert.annotations).unwrap();
    assert_eq!(
        serde_json::from_str::<Annotations>(&json).unwrap(),
        alert.annotations
    );
}

#[test]
fn a_watch_explains_itself_and_a_plain_alert_says_what_its_rule_says() {
    let mut bench = Bench::new(AlertKind::Watch, 0, 0);
    bench.context.config_hash = "abc123".into();
    bench.rule.annotations = vec![(
        "value".into(),
        Template::parse("{{ $value | humanizePercentage }}").unwrap(),
    )];
    let alert = &bench.verdicts(0, &[("a", Active)]).alerts[0];
    let id = rule_id(&bench.rule.group, "Bad", []);
    let chart = format!("http://side:9755/?rule=Bad&id={id}");
    let expected = [
        ("chart", chart.as_str()),
        ("config_hash", "abc123"),
        ("expected", "at least 0.92"),
        ("samples", "1200"),
        ("score", "1.45652"),
        ("strategy", "static (bound 0.92)"),
        ("summary", "Bad: 0.5 is below 0.92"),
        ("top_buckets", "le=0.1 +30 %; le=0.2 -12 %"),
        ("value", "50%"),
        ("why", "0.5 is below 0.92"),
        ("window", "10m"),
    ];
    assert_eq!(alert.annotations, Annotations::new(expected));

    let mut plain = Bench::new(AlertKind::Alert, 0, 0);
    plain.rule.annotations = vec![(
        "summary".into(),
        Template::parse("{{ nosuch }}")
            .unwrap_or_else(|_| Template::parse("{{ $labels.pod }} is {{ slice `x` 5 }}").unwrap()),
    )];
    let alert = &plain.vector(0, &["a"]).alerts[0];
    assert_eq!(alert.annotations.len(), 1);
    let summary = alert.annotations.get("summary").unwrap();
    assert!(
        summary.starts_with("<error expanding template: "),
        "{summary}"
    );
    assert_eq!(alert.state, Firing);
    assert_eq!(
        &*alert.generator_url,
        format!("http://side:9755/graph?g0.expr=accuracy+%3C+0.9&g0.tab=1&rule=Bad&id={id}")
    );
}

#[test]
fn the_value_nan_is_a_value() {
    let mut bench = Bench::new(AlertKind::Alert, 0, 0);
    let observed = vec![Observation::active(series("a"), f64::NAN)];
    let changes = bench.outcome(0, Outcome::Observed(observed));
    assert!(changes.alerts[0].value.is_nan());
    let stored = serde_json::to_string(&bench.tracker.snapshot()).unwrap();
    let restored = Tracker::restore(serde_json::from_str(&stored).unwrap());
    let alerts = restored.alerts(&bench.rule, &bench.context);
    assert!(alerts[0].value.is_nan());
}
