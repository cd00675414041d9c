//! `alerting:` → where alerts go.

use super::discovery::{record, refresh, server};
use super::file::{Around, NAMELESS, positive, timeout, url};
use super::http::read_http;
use super::read::{Fields, Node};
use super::settings::{Alerting, Alertmanager, Mode};
use crate::notify::alertmanager::Discovery;
use crate::notify::relabel::{Action, Relabel, Spec};

/// Most alerts that may wait for one Alertmanager.
const MOST_WAITING: u64 = 1_000_000;

pub(super) fn alerting(node: &Node<'_>, around: &Around<'_>) -> Option<Alerting> {
    let mut fields = node.fields()?;
    let default = Alerting::default();
    let mode_node = fields.get("mode");
    let mode = match mode_node.as_ref().and_then(Node::text).as_deref() {
        None | Some("direct") => Mode::Direct,
        Some("metrics") => Mode::Metrics,
        Some(other) => {
            if let Some(node) = &mode_node {
                node.problem(format!("must be direct or metrics, got {other:?}"));
            }
            Mode::Direct
        }
    };
    let items = fields.list("alertmanagers");
    let alertmanagers: Vec<Alertmanager> = items
        .iter()
        .filter_map(|node| alertmanager(node, around))
        .collect();
    for (index, peer) in alertmanagers.iter().enumerate() {
        if alertmanagers
            .iter()
            .take(index)
            .any(|other| other.url == peer.url)
        {
            node.problem_below(
                &format!("alertmanagers[{index}].url"),
                "is there already; name each Alertmanager once",
            );
        }
    }
    let resend_delay = positive(&mut fields, "resend_delay").unwrap_or(default.resend_delay);
    let relabel = relabelling(&mut fields);
    let queue_capacity = capacity(&mut fields).unwrap_or(default.queue_capacity);
    fields.finish();
    Some(Alerting {
        mode,
        alertmanagers,
        relabel,
        queue_capacity,
        resend_delay,
    })
}

fn capacity(fields: &mut Fields<'_>) -> Option<usize> {
    let node = fields.get("queue_capacity")?;
    let count = node.count()?;
    if count == 0 || count > MOST_WAITING {
        node.problem(format!("must be from 1 to {MOST_WAITING}, got {count}"));
    }
    usize::try_from(count).ok()
}

fn alertmanager(node: &Node<'_>, around: &Around<'_>) -> Option<Alertmanager> {
    let mut fields = node.fields()?;
    fields.required("url");
    let url = url(&mut fields, around);
    let timeout = timeout(&mut fields);
    let discovery_node = fields.get("discovery");
    let discovery = discovery_node.as_ref().and_then(discovery);
    let relabel = relabelling(&mut fields);
    let http = read_http(&mut fields, around.base);
    fields.finish();
    let url = url?;
    let nameless = http.tls.server_name.is_none() && !http.tls.insecure_skip_verify;
    if let Some(node) = discovery_node
        && url.starts_with("https://")
        && nameless
    {
        node.problem(NAMELESS);
    }
    Some(Alertmanager {
        timeout,
        discovery,
        relabel,
        http,
        ..Alertmanager::new(&url)
    })
}

/// `discovery: {type: SRV, refresh: 30s, server: "127.0.0.1:8600"}`.
fn discovery(node: &Node<'_>) -> Option<Discovery> {
    let mut fields = node.fields()?;
    let found = Discovery {
        record: record(&mut fields),
        server: server(&mut fields),
        refresh: refresh(&mut fields),
    };
    fields.finish();
    Some(found)
}

/// `alert_relabel_configs`, as Prometheus has it.
fn relabelling(fields: &mut Fields<'_>) -> Vec<Spec> {
    let items = fields.list("alert_relabel_configs");
    items.iter().filter_map(step).collect()
}

fn step(node: &Node<'_>) -> Option<Spec> {
    let mut fields = node.fields()?;
    let default = Spec::default();
    let source_labels = fields.texts("source_labels");
    let separator = fields.text("separator").unwrap_or(default.separator);
    let target_label = fields.text("target_label").unwrap_or_default();
    let regex = fields.text("regex").unwrap_or(default.regex);
    let modulus = fields.count("modulus").unwrap_or_default();
    let replacement = fields.text("replacement").unwrap_or(default.replacement);
    let action = match fields.get("action") {
        None => Action::Replace,
        Some(node) => {
            let word = node.text()?;
            let Some(action) = Action::from_word(&word) else {
                node.problem(format!(
                    "must be one of replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase, uppercase, got {word:?}"
                ));
                return None;
            };
            action
        }
    };
    fields.finish();
    let spec = Spec {
        source_labels,
        separator,
        target_label,
        regex,
        modulus,
        replacement,
        action,
    };
    match Relabel::try_new(spec.clone()) {
        Ok(_) => Some(spec),
        Err(message) => {
            match message.split_once(": ") {
                Some((key, rest)) if !key.contains(' ') => node.problem_below(key, rest),
                _ => node.problem(message),
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::read_settings;
    use crate::config::settings::Alerting;

    fn read(alerting: &str) -> Result<Alerting, String> {
        let text = format!(
            "scrape: {{targets: [{{url: \"http://a:1\", labels: {{pod: a-0}}}}]}}\nalerting:\n{alerting}"
        );
        let settings = read_settings("c.yaml", &text, &|_| None);
        settings
            .map(|settings| settings.alerting)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn names_are_looked_up_and_labels_rewritten_for_all_and_for_one() {
        let alerting = read(
            "  queue_capacity: 500\n  alert_relabel_configs: [{action: labeldrop, regex: pod}]\n  alertmanagers:\n  - url: http://am:9093/\n    discovery: {refresh: 5s}\n    alert_relabel_configs: [{target_label: cluster, replacement: eu1}]\n  - url: http://other:9093\n    discovery: {}\n",
        )
        .unwrap();
        assert_eq!(alerting.queue_capacity, 500);
        assert_eq!(alerting.relabel[0].regex, "pod");
        let peers = &alerting.alertmanagers;
        assert_eq!(peers[0].url, "http://am:9093");
        let refresh = |peer: usize| peers[peer].discovery.map(|found| found.refresh.as_secs());
        assert_eq!(refresh(0), Some(5));
        assert_eq!(peers[0].relabel[0].replacement, "eu1");
        assert_eq!(refresh(1), Some(30));
    }

    #[test]
    fn mistakes_name_their_line_and_remedy() {
        let problems = read(
            "  queue_capacity: 0\n  alert_relabel_configs:\n  - regex: (\n    target_label: a\n  - action: hashmod\n    target_label: b\n  - action: rename\n  alertmanagers:\n  - url: https://am:9093\n    discovery: {refresh: 10ms}\n  - url: https://am:9093\n",
        )
        .unwrap_err();
        for part in [
            "c.yaml:3: alerting.queue_capacity: must be from 1 to 1000000, got 0",
            "c.yaml:5: alerting.alert_relabel_configs[0].regex: \"(\" is not a regular expression",
            "alerting.alert_relabel_configs[1].modulus:",
            "c.yaml:9: alerting.alert_relabel_configs[2].action: must be one of replace, keep",
            "c.yaml:12: alerting.alertmanagers[0].discovery: addresses are no names",
            "alerting.alertmanagers[0].discovery.refresh: must be at least 1s",
            "c.yaml:13: alerting.alertmanagers[1].url: is there already",
        ] {
            assert!(problems.contains(part), "{part}\nnot in\n{problems}");
        }
    }
}
