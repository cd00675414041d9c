use std::sync::Arc;

use super::{POLICY, Part, headline};
use crate::alert::Annotations;
use crate::metric::{Labels, Timestamp};
use crate::publish::snapshot::Point;
use crate::publish::{Alert, Definition, Group, Peer, Rule, RuleKind, Signal, Snapshot, Target};

fn render(snapshot: &Snapshot) -> String {
    super::render(snapshot, Part::Whole)
}

fn watch(name: &str) -> Arc<Definition> {
    Definition::new("", name, RuleKind::Watch, Vec::new()).into()
}

fn snapshot(states: &[&'static str]) -> Snapshot {
    let signal = |state: &&'static str| Signal {
        rule: watch("Watch"),
        state: Some(*state),
        ..Signal::default()
    };
    Snapshot {
        targets: vec![Target {
            up: Some(true),
            ..Target::default()
        }],
        signals: states.iter().map(signal).collect(),
        ..Snapshot::default()
    }
}

fn alert(state: &'static str) -> Alert {
    Alert {
        rule: watch("Watch"),
        labels: Labels::new([("alertname", "<i>")]),
        annotations: Annotations::new([("summary", "<u>")]),
        state,
        active_at: Timestamp::default(),
        keep_firing_since: None,
        value: 1.0,
    }
}

#[test]
fn nothing_from_a_target_reaches_the_page_unescaped() {
    let point = |second| Point {
        at: Timestamp::from_secs_f64(second),
        value: Some(1.0),
        ..Point::default()
    };
    let page = render(&Snapshot {
        signals: vec![Signal {
            rule: watch("<script>alert"),
            labels: Labels::new([("x", "\"><img onerror=a>")]),
            why: "<b>x".into(),
            points: vec![point(0.0), point(1.0)],
            ..Signal::default()
        }],
        alerts: vec![alert("firing")],
        targets: vec![Target {
            url: "<a href>".to_owned(),
            error: Some("<s>".to_owned()),
            ..Target::default()
        }],
        model: Labels::new([("model_id", "<em>")]),
        config_hash: "<q>".to_owned(),
        ..Snapshot::default()
    });
    for raw in [
        "<script>alert",
        "<img",
        "<b>x",
        "<i>",
        "<u>",
        "<a href>",
        "<s>",
        "<em>",
        "<q>",
    ] {
        assert!(!page.contains(raw), "{raw} in {page}");
    }
}

#[test]
fn what_is_not_known_is_never_called_normal() {
    for state in ["warming_up", "insufficient_data", "stale", "anomalous"] {
        assert_ne!(headline(&snapshot(&["ok", state])).class, "good", "{state}");
    }
    assert_ne!(headline(&Snapshot::default()).class, "good");
    assert_ne!(headline(&snapshot(&[])).class, "good");
    assert_eq!(headline(&snapshot(&["ok"])).text, "all signals are normal");
}

#[test]
fn a_target_that_is_down_outranks_normal_signals() {
    let mut down = snapshot(&["ok"]);
    down.targets[0].up = Some(false);
    assert_eq!(headline(&down).verdict, "does not answer");
    down.alerts = vec![alert("firing"), alert("firing")];
    let with_alerts = headline(&down);
    assert_eq!(with_alerts.verdict, "does not answer");
    let text = "its target is down; 2 alerts fire since 00:00:00 UTC";
    assert_eq!(with_alerts.text, text);
    down.targets.push(Target {
        up: Some(true),
        ..Target::default()
    });
    let text = "2 alerts fire since 00:00:00 UTC; 1 of 2 targets is down";
    assert_eq!(headline(&down).text, text);
    assert_eq!(headline(&down).class, "bad");
    down.alerts.clear();
    assert_eq!(headline(&down).class, "wait");
}

#[test]
fn the_headline_names_what_has_no_value_and_what_finds_nothing() {
    let mut gone = snapshot(&["ok", "stale"]);
    gone.signals[1].since = Some(Timestamp::from_secs_f64(60.0));
    gone.groups = vec![Group {
        rules: vec![Rule {
            definition: watch("Other"),
            is_empty: true,
            ..Rule::default()
        }],
        ..Group::default()
    }];
    let found = headline(&gone);
    let text = "Watch has no value since 00:01:00 UTC; Other finds no series";
    assert_eq!((found.class, found.text.as_str()), ("wait", text));
}

#[test]
fn a_signal_has_a_page_of_its_own_that_escapes_what_it_shows() {
    let mut one = snapshot(&["anomalous"]);
    one.signals[0].why = "<b>x".into();
    one.signals[0].labels = Labels::new([("x", "\"><img onerror=a>")]);
    let page = super::signal(&one, &one.signals[0], Vec::new());
    assert!(page.contains("Watch is anomalous"), "{page}");
    assert!(!page.contains("<img") && !page.contains("<b>x"), "{page}");
}

#[test]
fn an_alert_offers_a_silence_with_its_labels() {
    let mut firing = snapshot(&["anomalous"]);
    firing.alerts = vec![alert("firing")];
    firing.peers = vec![Peer {
        url: "http://am:9093".to_owned(),
        ..Peer::default()
    }];
    let page = render(&firing);
    let link = "http://am:9093/#/silences/new?filter=%7Balertname%3D%22%3Ci%3E%22%7D";
    assert!(page.contains(link), "{page}");
}

#[test]
fn an_alert_links_to_the_chart_of_its_signal() {
    let mut firing = snapshot(&["anomalous"]);
    firing.alerts = vec![alert("firing")];
    let page = render(&firing);
    let anchor = super::anchor(&firing.signals[0]);
    assert!(page.contains(&format!("href=\"#{anchor}\"")), "{page}");
    assert!(page.contains(&format!("id=\"{anchor}\"")), "{page}");
}

#[test]
fn only_a_web_address_becomes_a_link_to_a_runbook() {
    let page = |url: &str| {
        let mut firing = snapshot(&["anomalous"]);
        firing.alerts = vec![Alert {
            annotations: Annotations::new([("runbook_url", url)]),
            ..alert("firing")
        }];
        render(&firing)
    };
    assert!(page("https://wiki/x?a&b").contains("href=\"https://wiki/x?a&amp;b\">runbook"));
    assert!(!page("javascript:alert(1)").contains("javascript:"));
}

/// The hashes are of what stands between the tags, or the browser runs neither.
#[test]
fn the_policy_allows_our_own_style_and_script_and_nothing_else() {
    let page = render(&Snapshot::default());
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<style").count(), 1);
    assert!(!page.contains(" style=") && !page.contains(" onclick="));
    assert_eq!(POLICY.matches("'sha256-").count(), 2);
    assert!(!POLICY.contains("unsafe"));
}
