//! `discovery:` of targets and of Alertmanagers → which name is looked up, and how.

use std::net::SocketAddr;
use std::time::Duration;

use super::file::{Around, expanded_labels, expanded_text};
use super::read::{Fields, Node};
use super::settings::Discovery;
use crate::runtime::dns::{Question, Record};
use crate::scrape::discovery::Lookup;

/// Time between look-ups of a name, when it is not set.
const REFRESH: Duration = Duration::from_secs(30);

/// `{dns: "fraud-headless.ml.svc:8000", type: A, path: /metrics, scheme: http, refresh: 30s, labels: {…}}`.
pub(super) fn discovery(node: &Node<'_>, around: &Around<'_>) -> Option<Discovery> {
    let mut fields = node.fields()?;
    let name_node = fields.required("dns");
    let name = expanded_text(&mut fields, "dns", around).unwrap_or_default();
    let record = record(&mut fields);
    let server = server(&mut fields);
    let refresh = refresh(&mut fields);
    let https = scheme(&mut fields);
    let path = path(&mut fields);
    let labels = expanded_labels(&mut fields, "labels", around);
    if labels.get("instance").is_some() {
        node.problem_below(
            "labels.instance",
            "would be the same for every replica; it is each one's address by itself",
        );
    }
    fields.finish();
    let (host, port) = match endpoint(&name, record) {
        Ok(endpoint) => endpoint,
        Err(message) => {
            if let Some(node) = name_node {
                node.problem(message);
            }
            return None;
        }
    };
    let question = Question {
        host,
        port,
        record,
        server,
    };
    Some(Discovery {
        lookup: Lookup { question, refresh },
        https,
        path,
        labels,
    })
}

/// Name and port; an SRV name has none, since the records bring it.
fn endpoint(name: &str, record: Record) -> Result<(String, u16), String> {
    let example = if record == Record::Srv {
        "_http._tcp.fraud-headless.ml.svc"
    } else {
        "fraud-headless.ml.svc:8000"
    };
    let wrong = |what: &str| format!("{what}, such as {example}, got {name:?}");
    if name.contains("://") || name.contains(['/', ' ', '@', '[']) {
        return Err(wrong("must be a name, without scheme and path"));
    }
    let (host, port) = match name.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (name, None),
    };
    if host.is_empty() || host.contains(':') {
        return Err(wrong("must be a name"));
    }
    match (record, port) {
        (Record::Srv, None) => Ok((host.to_owned(), 0)),
        (Record::Srv, Some(_)) => Err(wrong(
            "must be a name without a port, which SRV records bring",
        )),
        (_, None) => Err(wrong("must be a name with the port of the metrics")),
        (_, Some(port)) => match port.parse() {
            Ok(port) if port > 0 => Ok((host.to_owned(), port)),
            _ => Err(wrong("must be a name with a port from 1 to 65535")),
        },
    }
}

/// `type: A`, `AAAA` or `SRV`.
pub(super) fn record(fields: &mut Fields<'_>) -> Record {
    let Some(node) = fields.get("type") else {
        return Record::Address;
    };
    let word = node.text().unwrap_or_default();
    Record::from_word(&word).unwrap_or_else(|| {
        node.problem(format!(
            "must be A, AAAA or SRV, or be left out for A and AAAA, got {word:?}"
        ));
        Record::Address
    })
}

/// `server: 127.0.0.1:8600`.
pub(super) fn server(fields: &mut Fields<'_>) -> Option<SocketAddr> {
    let node = fields.get("server")?;
    let text = node.text()?;
    let server = text.parse().ok();
    if server.is_none() {
        node.problem(format!(
            "must be the address and port of a DNS server, such as 127.0.0.1:8600, got {text:?}"
        ));
    }
    server
}

/// `refresh: 30s`.
pub(super) fn refresh(fields: &mut Fields<'_>) -> Duration {
    let node = fields.get("refresh");
    let refresh = node.as_ref().and_then(Node::duration).unwrap_or(REFRESH);
    if refresh < Duration::from_secs(1)
        && let Some(node) = node
    {
        node.problem("must be at least 1s");
    }
    refresh
}

fn scheme(fields: &mut Fields<'_>) -> bool {
    let Some(node) = fields.get("scheme") else {
        return false;
    };
    let word = node.text().unwrap_or_default();
    if !["http", "https"].contains(&word.as_str()) {
        node.problem(format!("must be http or https, got {word:?}"));
    }
    word == "https"
}

fn path(fields: &mut Fields<'_>) -> String {
    let Some(node) = fields.get("path") else {
        return "/metrics".to_owned();
    };
    let path = node.text().unwrap_or_default();
    if !path.starts_with('/') || path.contains(char::is_whitespace) {
        node.problem(format!("must begin with /, such as /metrics, got {path:?}"));
    }
    path
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::read_settings;
    use crate::runtime::dns::Record;

    fn read(discovery: &str) -> Result<super::Discovery, String> {
        let text = format!("scrape:\n  discovery:\n{discovery}");
        let env = |name: &str| (name == "NAMESPACE").then(|| "ml".to_owned());
        let settings =
            read_settings("c.yaml", &text, &env).map_err(|problems| problems.to_string())?;
        assert!(settings.scrape.targets.is_empty());
        Ok(settings.scrape.discovery.unwrap())
    }

    #[test]
    fn every_address_is_a_target_with_an_instance_of_its_own() {
        let text = "    dns: fraud-headless.${NAMESPACE}.svc:8000\n    labels: {namespace: ml}\n";
        let discovery = read(text).unwrap();
        assert_eq!(discovery.lookup.refresh.as_secs(), 30);
        assert_eq!(discovery.lookup.question.record, Record::Address);
        assert_eq!(
            discovery.lookup.question.to_string(),
            "fraud-headless.ml.svc:8000"
        );
        let target = |address: &str| {
            let address: SocketAddr = address.parse().unwrap();
            let model = super::super::settings::Model::default();
            discovery.found_by(&model).target(address)
        };
        let first = target("10.0.0.7:8000");
        assert_eq!(first.url, "http://10.0.0.7:8000/metrics");
        assert_eq!(
            first.labels.to_string(),
            r#"{instance="10.0.0.7:8000", job="default", namespace="ml"}"#
        );
        assert_eq!(
            target("[fd00::7]:8000").labels.get("instance"),
            Some("[fd00::7]:8000")
        );
    }

    #[test]
    fn services_bring_their_ports() {
        let discovery = read("    dns: _http._tcp.fraud.ml.svc\n    type: SRV\n    server: 127.0.0.1:8600\n    path: /m?x=1\n").unwrap();
        let question = &discovery.lookup.question;
        assert_eq!((question.record, question.port), (Record::Srv, 0));
        assert_eq!(
            question.server,
            Some(SocketAddr::from(([127, 0, 0, 1], 8600)))
        );
        assert_eq!(discovery.path, "/m?x=1");
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_the_way_out() {
        let text = "    dns: http://fraud/metrics\n    type: MX\n    path: metrics\n    scheme: https\n    refresh: 10ms\n    server: localhost\n    labels: {instance: a}\n    port: 1\n";
        let problems = read(text).unwrap_err();
        let lines: Vec<&str> = problems.lines().collect();
        assert_eq!(
            lines,
            [
                "c.yaml:3: scrape.discovery.dns: must be a name, without scheme and path, such as fraud-headless.ml.svc:8000, got \"http://fraud/metrics\"",
                "c.yaml:4: scrape.discovery.type: must be A, AAAA or SRV, or be left out for A and AAAA, got \"MX\"",
                "c.yaml:5: scrape.discovery.path: must begin with /, such as /metrics, got \"metrics\"",
                "c.yaml:7: scrape.discovery.refresh: must be at least 1s",
                "c.yaml:8: scrape.discovery.server: must be the address and port of a DNS server, such as 127.0.0.1:8600, got \"localhost\"",
                "c.yaml:9: scrape.discovery.labels.instance: would be the same for every replica; it is each one's address by itself",
                "c.yaml:10: scrape.discovery.port: unknown key; known keys are dns, type, server, refresh, scheme, path, labels",
            ]
        );
        let of = |text: &str| read(&format!("    {text}\n")).unwrap_err();
        assert!(of("dns: fraud.ml.svc").contains("with the port of the metrics"));
        assert!(of("dns: fraud:0").contains("from 1 to 65535"));
        assert!(of("{dns: \"a.b:80\", type: SRV}").contains("without a port"));
        assert!(of("{dns: \"a.b:80\", scheme: https}").contains("tls_config.server_name"));
        assert!(of("type: A").contains("dns is missing"));
    }
}
