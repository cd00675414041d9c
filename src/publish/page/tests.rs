use std::sync::Arc;

use super::{POLICY, Part, headline};
use crate::metric::{Labels, Timestamp};
use crate::publish::snapshot::Point;
use crate::publish::{Alert, Definition, RuleKind, Signal, Snapshot, Target};

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
        annotations: Labels::new([("summary", "<u>")]),
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
    assert_eq!(headline(&down).text, "1 target is down");
    down.alerts = vec![alert("firing"), alert("firing")];
    assert_eq!(headline(&down).text, "2 alerts fire");
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
            annotations: Labels::new([("runbook_url", url)]),
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
