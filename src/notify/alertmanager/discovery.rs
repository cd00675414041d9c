//! Peers by name: every address a host name has is an Alertmanager of its own.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::stats::redacted;
use super::{Alertmanagers, PeerSettings};
use crate::runtime::dns::{Question, Record, pause};

/// How a peer's host name is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discovery {
    /// Which records are asked for. With SRV the URL's host is the service's whole name and its port does not matter.
    pub record: Record,
    /// The DNS server to ask instead of the system's.
    pub server: Option<SocketAddr>,
    /// Longest time between look-ups; records that live shorter are asked for sooner, down to 5 s.
    pub refresh: Duration,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            record: Record::Address,
            server: None,
            refresh: Duration::from_secs(30),
        }
    }
}

/// Looks every discovered peer up again and again; ends with `stop`.
pub(super) async fn watch(handle: Alertmanagers, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let (settings, _) = handle.settings();
        let discovered = settings
            .peers
            .iter()
            .filter_map(|peer| peer.discovery.map(|d| (peer, d)));
        let looked_up = discovered.map(|(peer, discovery)| look_up(&handle, peer, discovery));
        let wait = join_all(looked_up).await.into_iter().min();
        let mut changed = handle.shared.changed.subscribe();
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(wait.unwrap_or(Duration::MAX)) => {}
            _ = reconfigured(&mut changed, &handle, &settings.peers) => {}
        }
    }
}

/// Waits until the set of names to look up is another.
async fn reconfigured(
    changed: &mut tokio::sync::watch::Receiver<u64>,
    handle: &Alertmanagers,
    before: &[PeerSettings],
) -> bool {
    let names = |peers: &[PeerSettings]| -> Vec<String> {
        let found = peers.iter().filter(|peer| peer.discovery.is_some());
        found.map(|peer| peer.url.clone()).collect()
    };
    loop {
        if changed.changed().await.is_err() {
            return false;
        }
        if names(&handle.settings().0.peers) != names(before) {
            return true;
        }
    }
}

/// A failed look-up keeps the peers known before, and so does an empty answer: Alertmanager is restarting, not gone. Says how
/// long to wait.
async fn look_up(handle: &Alertmanagers, peer: &PeerSettings, discovery: Discovery) -> Duration {
    let Some((before, host, port, after)) = parts(&peer.url) else {
        return discovery.refresh;
    };
    let question = Question {
        host: host.to_owned(),
        port,
        record: discovery.record,
        server: discovery.server,
    };
    let resolver = handle.settings().0.resolver;
    let alertmanager = redacted(&peer.url);
    match resolver.resolve(&question).await {
        Ok(answer) if answer.addresses.is_empty() => {
            tracing::warn!(%alertmanager, "the name has no addresses; the known ones stay");
            pause(answer.ttl, discovery.refresh)
        }
        Ok(answer) => {
            let urls = answer.addresses.iter();
            let urls = urls.map(|address| format!("{before}{address}{after}"));
            handle.apply_discovered(peer, &urls.collect::<Vec<_>>());
            pause(answer.ttl, discovery.refresh)
        }
        Err(error) => {
            tracing::warn!(%alertmanager, %error, "the known addresses stay");
            pause(Some(Duration::ZERO), discovery.refresh)
        }
    }
}

type Parts<'a> = (&'a str, &'a str, u16, &'a str);

/// Scheme (and credentials), host, port and path of a URL.
fn parts(url: &str) -> Option<Parts<'_>> {
    let scheme = url.find("://")? + 3;
    let rest = url.get(scheme..)?;
    let end = rest.find('/').unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let host_start = authority.rfind('@').map_or(0, |at| at + 1);
    let host_port = authority.get(host_start..)?;
    let default = if url.starts_with("https://") { 443 } else { 80 };
    let (host, port) = match host_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (host_port, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((
        url.get(..scheme + host_start)?,
        host,
        port,
        rest.get(end..)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_url_is_taken_apart_around_its_host() {
        let split = |url| parts(url);
        assert_eq!(
            split("http://am:9093/x"),
            Some(("http://", "am", 9093, "/x"))
        );
        assert_eq!(
            split("https://u:p@am"),
            Some(("https://u:p@", "am", 443, ""))
        );
        assert_eq!(split("http://[::1]:93"), Some(("http://", "::1", 93, "")));
        assert_eq!(split("http://[::1]"), Some(("http://", "::1", 80, "")));
        assert_eq!(split("am:9093"), None);
    }
}
