//! Discovery of peers: every address of a host name is an Alertmanager of its own.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::handle::Alertmanagers;
use super::settings::{Discovery, PeerSettings};
use crate::runtime::dns::{Question, refresh_delay};
use crate::runtime::http::bare_url;

/// Looks up every discovered peer periodically, until `stop`.
pub(super) async fn watch(handle: Alertmanagers, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let (settings, _) = handle.settings();
        let lookups = settings.peers.iter().filter_map(|peer| {
            let discovery = peer.discovery?;
            Some(look_up(&handle, peer, discovery))
        });
        let delay = join_all(lookups).await.into_iter().min();
        let mut changed = handle.shared.changed.subscribe();
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(delay.unwrap_or(Duration::MAX)) => {}
            () = reconfigured(&mut changed, &handle, &settings.peers) => {}
        }
    }
}

/// Waits until a reload has changed the set of names to look up.
async fn reconfigured(
    changed: &mut tokio::sync::watch::Receiver<u64>,
    handle: &Alertmanagers,
    before: &[PeerSettings],
) {
    let names = |peers: &[PeerSettings]| -> Vec<(String, Discovery)> {
        let found = peers.iter();
        found
            .filter_map(|peer| Some((peer.url.clone(), peer.discovery?)))
            .collect()
    };
    while changed.changed().await.is_ok() {
        if names(&handle.settings().0.peers) != names(before) {
            return;
        }
    }
}

/// Looks up one peer and returns the delay until the next look-up. The known addresses stay when
/// the look-up fails or finds nothing: Alertmanager may be restarting.
async fn look_up(handle: &Alertmanagers, peer: &PeerSettings, discovery: Discovery) -> Duration {
    let Some(parts) = UrlParts::split(&peer.url) else {
        return discovery.refresh;
    };
    let question = Question {
        host: parts.host.to_owned(),
        port: parts.port,
        record: discovery.record,
        server: discovery.server,
    };
    let resolver = handle.settings().0.resolver;
    let alertmanager = bare_url(&peer.url);
    match resolver.resolve(&question).await {
        Ok(resolved) if resolved.addresses.is_empty() => {
            tracing::warn!(%alertmanager, "the name has no addresses; keeping the known ones");
            refresh_delay(resolved.ttl, discovery.refresh)
        }
        Ok(resolved) => {
            let urls: Vec<String> = resolved
                .addresses
                .iter()
                .map(|address| format!("{}{address}{}", parts.before_host, parts.path))
                .collect();
            handle.apply_discovered(peer, &urls);
            refresh_delay(resolved.ttl, discovery.refresh)
        }
        Err(error) => {
            tracing::warn!(%alertmanager, %error, "keeping the known addresses");
            refresh_delay(Some(Duration::ZERO), discovery.refresh)
        }
    }
}

/// A URL split around its host and port.
#[derive(Debug, PartialEq, Eq)]
struct UrlParts<'a> {
    /// Scheme and credentials.
    before_host: &'a str,
    host: &'a str,
    port: u16,
    path: &'a str,
}

impl<'a> UrlParts<'a> {
    fn split(url: &'a str) -> Option<Self> {
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
        Some(Self {
            before_host: url.get(..scheme + host_start)?,
            host: host.trim_start_matches('[').trim_end_matches(']'),
            port,
            path: rest.get(end..)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::UrlParts;

    #[test]
    fn a_url_is_split_around_its_host() {
        let split = |url| {
            UrlParts::split(url)
                .map(|parts| (parts.before_host, parts.host, parts.port, parts.path))
        };
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
