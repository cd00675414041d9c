//! `discovery` of targets and of Alertmanagers: the name to resolve, and how.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::settings::Discovery;
use crate::describe::{EnvLabels, EnvText, Kind, Limits, Node, Scalar, Shape, section, worded};
use crate::metric::Labels;
use crate::notify::alertmanager;
use crate::runtime::dns::{Question, Record};
use crate::scrape::discovery::Lookup;

/// The problem with TLS to a resolved address.
pub(super) const NAMELESS: &str = "addresses are no names that a certificate could be checked against; set tls_config.server_name";
/// Default time between look-ups of a name.
const REFRESH: Duration = Duration::from_secs(30);

section! {
    /// Replicas that are found by name: one target per address.
    pub(super) struct TargetDiscovery {
        required {
            /// A name with the port of the metrics, or the name of SRV records without a port.
            pub(super) dns: String as EnvText, example("fraud-headless.ml.svc:8000");
        }
        /// Which records are looked up.
        pub(super) record @ "type": Record = Record::Address,
            hint("or be left out for A and AAAA"), default_text("`A` and `AAAA`");
        /// Address and port of a DNS server other than those of `/etc/resolv.conf`.
        pub(super) server: Option<SocketAddr> as Option<DnsServer> = None, example("127.0.0.1:8600");
        /// Longest time between look-ups.
        pub(super) refresh: Duration = REFRESH, at_least(1.0);
        /// How the targets are reached.
        pub(super) scheme: Scheme = Scheme::Http;
        /// Path of the metrics, query included.
        pub(super) path: String as Path = "/metrics".to_owned();
        /// Labels of every series; `instance` is each replica's address.
        pub(super) labels: Labels as EnvLabels = Labels::empty(), example("{namespace: ml}");
    }
}

section! {
    /// Makes every address of a host name an Alertmanager.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub(super) struct AlertmanagerDiscovery {
        /// Which records are looked up. With `SRV` the URL's host is the name of the service.
        pub(super) record @ "type": Record = Record::Address,
            hint("or be left out for A and AAAA"), default_text("`A` and `AAAA`");
        /// Address and port of a DNS server other than those of `/etc/resolv.conf`.
        pub(super) server: Option<SocketAddr> as Option<DnsServer> = None, example("127.0.0.1:8600");
        /// Longest time between look-ups.
        pub(super) refresh: Duration = REFRESH, at_least(1.0);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

worded! {
    Scheme {
        "http" => Self::Http, "";
        "https" => Self::Https, "";
    }
}

/// The targets that the keys describe.
pub(super) fn targets(keys: TargetDiscovery, node: &Node<'_>) -> Option<Discovery> {
    if keys.labels.get("instance").is_some() {
        node.problem_below(
            "labels.instance",
            "would be the same for every replica; it is each one's address by itself",
        );
    }
    let (host, port) = endpoint(&keys.dns, keys.record)
        .map_err(|message| {
            let got = node.peek("dns");
            let got = got.map_or_else(String::new, |node| node.got_text());
            node.problem_below("dns", format!("{message}, got {got}"));
        })
        .ok()?;
    let question = Question {
        host,
        port,
        record: keys.record,
        server: keys.server,
    };
    Some(Discovery {
        lookup: Lookup {
            question,
            refresh: keys.refresh,
        },
        https: keys.scheme == Scheme::Https,
        path: keys.path,
        labels: keys.labels,
    })
}

/// How Alertmanagers are found.
pub(super) fn alertmanagers(
    keys: AlertmanagerDiscovery,
    _node: &Node<'_>,
) -> alertmanager::Discovery {
    alertmanager::Discovery {
        record: keys.record,
        server: keys.server,
        refresh: keys.refresh,
    }
}

/// Name and port; an SRV name has no port, since the records contain it.
fn endpoint(name: &str, record: Record) -> Result<(String, u16), String> {
    let example = if record == Record::Srv {
        "_http._tcp.fraud-headless.ml.svc"
    } else {
        "fraud-headless.ml.svc:8000"
    };
    let wrong = |what: &str| format!("{what}, such as {example}");
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

static ADDRESS: Scalar = Scalar {
    name: "address",
    doc: "An IP address and a port.",
    schema: || json!({"type": "string"}),
    show: |number| number.to_string(),
};

/// Address and port of a DNS server.
pub(super) struct DnsServer;

impl Shape for DnsServer {
    type Value = SocketAddr;

    fn kind() -> Kind {
        Kind::Scalar(&ADDRESS)
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<SocketAddr> {
        let text = node.text()?;
        let address = text.parse().ok();
        if address.is_none() {
            let example = limits.example;
            node.problem(format!(
                "must be the address and port of a DNS server, such as {example}, got {}",
                node.got_text()
            ));
        }
        address
    }
}

static PATH: Scalar = Scalar {
    name: "URL path",
    doc: "The part of a URL from its first `/`.",
    schema: || json!({"type": "string", "pattern": "^/"}),
    show: |number| number.to_string(),
};

/// The part of a URL after host and port.
#[derive(Debug)]
pub(super) struct Path;

impl Shape for Path {
    type Value = String;

    fn kind() -> Kind {
        Kind::Scalar(&PATH)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<String> {
        let path = node.text()?;
        if !path.starts_with('/') || path.contains(char::is_whitespace) {
            node.problem(format!(
                "must begin with /, such as /metrics, got {}",
                node.got_text()
            ));
        }
        Some(path)
    }

    fn show(value: &String) -> Option<String> {
        Some(value.clone())
    }
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
    fn every_mistake_is_reported_with_its_line_and_a_remedy() {
        let text = "    dns: http://fraud/metrics\n    type: MX\n    path: metrics\n    scheme: https\n    refresh: 10ms\n    server: localhost\n    labels: {instance: a}\n    port: 1\n";
        let problems = read(text).unwrap_err();
        let lines: Vec<&str> = problems.lines().collect();
        assert_eq!(
            lines,
            [
                "c.yaml:3: scrape.discovery.dns: must be a name, without scheme and path, such as fraud-headless.ml.svc:8000, got \"http://fraud/metrics\"",
                "c.yaml:4: scrape.discovery.type: must be one of A, AAAA, SRV, or be left out for A and AAAA, got \"MX\"",
                "c.yaml:5: scrape.discovery.path: must begin with /, such as /metrics, got \"metrics\"",
                "c.yaml:7: scrape.discovery.refresh: must be at least 1s, got 10ms",
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
