//! The names that this server goes by. A page of another site whose name is made to lead to this
//! address (DNS rebinding) sends that name as `Host`.

use std::fs;
use std::net::IpAddr;

use hyper::Uri;
use hyper::http::uri::Authority;

/// Endings of names that only a cluster's own DNS answers.
const CLUSTER: [&str; 2] = [".svc", ".cluster.local"];

/// The names that requests may be for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    /// Every name is ours.
    any: bool,
    /// In lower case, without a port.
    names: Vec<String>,
    /// Those of `names` that may be reached through a proxy with another scheme.
    proxied: Vec<String>,
    /// Scheme and authority of `external_url`.
    external: Option<String>,
}

impl Hosts {
    /// Every name.
    pub(super) fn any() -> Self {
        Self {
            any: true,
            ..Self::default()
        }
    }

    /// Besides what every server goes by: the host of `external_url`, and `allowed` names; `*`
    /// allows all.
    pub(crate) fn new(external_url: &str, allowed: &[String]) -> Self {
        let mut hosts = Self::default();
        if let Ok(url) = external_url.parse::<Uri>()
            && let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority())
        {
            let host = authority.as_str().rsplit('@').next().unwrap_or("");
            hosts.external = Some(format!("{scheme}://{host}").to_ascii_lowercase());
            hosts.names.push(normal(authority.host()));
        }
        let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        hosts.names.push(normal(host_name.trim()));
        for name in allowed {
            hosts.any |= name == "*";
            let name = name
                .parse::<Authority>()
                .map_or_else(|_| name.clone(), |authority| authority.host().to_owned());
            hosts.proxied.push(normal(&name));
        }
        hosts.names.extend_from_slice(&hosts.proxied);
        hosts.names.retain(|name| !name.is_empty());
        hosts
    }

    /// The same with the host of a listen address such as `judge.example:9755`.
    pub(super) fn with_listen_address(mut self, address: &str) -> Self {
        if let Some((host, _)) = address.rsplit_once(':')
            && !host.is_empty()
        {
            self.names.push(normal(host));
        }
        self
    }

    /// Whether the host of a request is one of ours: an address, a name without dots, a name of the
    /// cluster's DNS, or a known name.
    pub(super) fn admit(&self, host: Option<&Authority>) -> bool {
        let Some(host) = host.map(|host| normal(host.host())) else {
            return self.any;
        };
        let address = host.trim_start_matches('[').trim_end_matches(']');
        self.any
            || address.parse::<IpAddr>().is_ok()
            || !host.contains('.')
            || host.ends_with(".localhost")
            || CLUSTER.iter().any(|ending| host.ends_with(ending))
            || self.names.contains(&host)
    }

    /// Whether a page of this origin is one of this server's, reached as `host`.
    pub(super) fn is_own_origin(&self, origin: &str, host: Option<&Authority>, tls: bool) -> bool {
        let origin = origin.to_ascii_lowercase();
        if self.external.as_ref() == Some(&origin) {
            return true;
        }
        let Some((scheme, site)) = origin.split_once("://") else {
            return false;
        };
        let Some(host) = host.filter(|host| host.as_str().eq_ignore_ascii_case(site)) else {
            return false;
        };
        let own = if tls { "https" } else { "http" };
        scheme == own || scheme == "https" && self.proxied.contains(&normal(host.host()))
    }
}

/// In lower case, without the dot at the end of a full name.
fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use hyper::http::uri::Authority;

    use super::Hosts;

    fn hosts() -> Hosts {
        let allowed = ["judge.models".to_owned(), "proxy.example:8443".to_owned()];
        Hosts::new("https://Judge.Example/sidewatch", &allowed)
            .with_listen_address("own.example:9755")
    }

    fn authority(text: &str) -> Authority {
        text.parse().unwrap()
    }

    #[test]
    fn only_names_that_no_stranger_can_register_are_ours_without_being_named() {
        for ours in [
            "127.0.0.1:9755",
            "10.1.2.3",
            "[::1]:9755",
            "localhost:9755",
            "app.localhost",
            "sidewatch",
            "fraud-judge.models.svc:9755",
            "fraud-judge.models.svc.cluster.local.",
            "own.example:9755",
            "JUDGE.example",
            "judge.models:80",
            "proxy.example",
        ] {
            assert!(hosts().admit(Some(&authority(ours))), "{ours}");
        }
        for foreign in [
            "evil.example:9755",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "own.example.evil.example",
            "fraud-judge.dev",
            "x.svc.evil.example",
            "127.0.0.1.nip.io",
            "127.0.0.1@evil.example",
            "localhost:9755@evil.example",
        ] {
            assert!(!hosts().admit(Some(&authority(foreign))), "{foreign}");
        }
        assert!(!hosts().admit(None));
        let all = Hosts::new("", &["*".to_owned()]);
        assert!(all.admit(Some(&authority("evil.example"))));
    }

    #[test]
    fn an_origin_is_ours_with_the_scheme_and_the_host_of_the_request_or_of_the_external_url() {
        for (origin, host, tls, expected) in [
            ("http://10.0.0.1:9755", "10.0.0.1:9755", false, true),
            ("https://10.0.0.1:9755", "10.0.0.1:9755", false, false),
            ("https://10.0.0.1:9755", "10.0.0.1:9755", true, true),
            ("http://10.0.0.1:9755", "10.0.0.1:9755", true, false),
            ("http://10.0.0.1", "10.0.0.1:9755", false, false),
            ("http://evil.example", "10.0.0.1:9755", false, false),
            ("https://judge.example", "judge.models", false, true),
            (
                "https://judge.example.evil.example",
                "judge.example",
                false,
                false,
            ),
            (
                "https://proxy.example:8443",
                "proxy.example:8443",
                false,
                true,
            ),
            ("null", "10.0.0.1", false, false),
            ("http://", "10.0.0.1", false, false),
            ("", "10.0.0.1", false, false),
        ] {
            let host = authority(host);
            let own = hosts().is_own_origin(origin, Some(&host), tls);
            assert_eq!(own, expected, "{origin} at {host}");
        }
        assert!(!hosts().is_own_origin("http://", None, false));
    }
}
