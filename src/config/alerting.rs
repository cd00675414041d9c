//! `alerting`: checks across its keys.

use super::discovery::{AlertmanagerDiscovery, NAMELESS};
use super::settings::{Alerting, Alertmanager};
use crate::describe::{Node, written};
use crate::notify::alertmanager::Discovery;
use crate::runtime::http::redacted;

written!(
    Discovery as AlertmanagerDiscovery,
    super::discovery::alertmanagers
);

/// Refuses an Alertmanager that is listed twice.
pub(super) fn check_names(alerting: &mut Alerting, node: &Node<'_>) {
    let peers = &alerting.alertmanagers;
    for (index, peer) in peers.iter().enumerate() {
        if peers[..index].iter().any(|other| other.url == peer.url) {
            node.problem_below(
                &format!("alertmanagers[{index}].url"),
                "is there already; name each Alertmanager once",
            );
        }
    }
}

/// Refuses a base URL to which no path can be appended.
pub(super) fn check_peer(peer: &mut Alertmanager, node: &Node<'_>) {
    if let Err(problem) = check_base(&peer.url) {
        node.problem_below("url", problem);
    }
    check_certificate_name(peer, node);
}

/// Why no path can be appended to a URL, and what to write instead.
pub(crate) fn check_base(url: &str) -> Result<(), String> {
    let Some((base, _)) = url.split_once(['?', '#']) else {
        return Ok(());
    };
    let part = if url.as_bytes().get(base.len()) == Some(&b'?') {
        "query"
    } else {
        "fragment"
    };
    Err(format!(
        "must not have a {part}, since /api/v2/alerts is appended; write {}",
        redacted(base.trim_end_matches('/'))
    ))
}

/// Refuses TLS to resolved addresses without a server name, since certificates are checked against
/// a name.
fn check_certificate_name(peer: &Alertmanager, node: &Node<'_>) {
    let tls = &peer.http.tls;
    let is_nameless = tls.server_name.is_none() && !tls.insecure_skip_verify;
    if peer.discovery.is_some() && peer.url.starts_with("https://") && is_nameless {
        node.problem_below("discovery", NAMELESS);
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
    fn a_url_with_a_query_or_a_fragment_is_a_problem_with_the_remedy() {
        for (url, part, base) in [
            ("http://am:9093/#/alerts", "fragment", "http://am:9093/"),
            (
                "http://am:9093/prefix?x=1",
                "query",
                "http://am:9093/prefix",
            ),
            ("http://me:hush@am:9093/?x=1#y", "query", "http://am:9093/"),
        ] {
            let text = format!("  alertmanagers: [{{url: '{url}'}}]\n");
            let problems = read(&text).unwrap_err();
            let expected = format!(
                "c.yaml:3: alerting.alertmanagers[0].url: must not have a {part}, since /api/v2/alerts is appended; write {base}"
            );
            assert_eq!(problems.trim_end(), expected);
        }
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
