//! What the server refused, by reason, and the state of its web configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::super::families::{Family, Kind};
use crate::metric::Labels;

/// Value of a gauge that is not shown.
const UNKNOWN: i64 = i64::MIN;

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The limit was reached, and every connection had a request under way.
    Limit,
    /// It made room for another connection.
    Evicted,
    /// No common version, no valid client certificate, or no TLS at all.
    Handshake,
    HandshakeTimeout,
    HeaderTimeout,
    RequestTimeout,
    /// The client did not take its answer.
    SlowReader,
}

/// The label `reason` of closed connections, in the order of [`Refused`].
const REFUSED: [&str; 7] = [
    "limit",
    "evicted",
    "tls_handshake",
    "tls_handshake_timeout",
    "header_timeout",
    "request_timeout",
    "slow_reader",
];

/// Why a request was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejected {
    Unauthorized,
    /// Too many passwords are being compared.
    AuthBusy,
    RateLimited,
    HeaderTooLarge,
    /// Not HTTP, or no usable `Host`.
    Malformed,
    BodyTooLarge,
    BodyTimeout,
    /// Another site's page makes a browser change something here.
    CrossSite,
}

/// The label `reason` of rejected requests, in the order of [`Rejected`].
const REJECTED: [&str; 8] = [
    "unauthorized",
    "auth_busy",
    "rate_limited",
    "header_too_large",
    "malformed",
    "body_too_large",
    "body_timeout",
    "cross_site",
];

/// Counters of one server, which begin at 0; clones count together.
#[derive(Debug, Clone)]
pub(in super::super) struct Http(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    model: Labels,
    refused: [AtomicU64; REFUSED.len()],
    rejected: [AtomicU64; REJECTED.len()],
    open: AtomicI64,
    /// 0, 1 or unknown.
    reloaded: AtomicI64,
    /// Unix seconds or unknown.
    not_after: AtomicI64,
}

impl Http {
    /// Counters that carry the labels of the model.
    pub(in super::super) fn new(model: &Labels) -> Self {
        Self(Arc::new(Counts {
            model: model.clone(),
            refused: Default::default(),
            rejected: Default::default(),
            open: AtomicI64::new(0),
            reloaded: AtomicI64::new(UNKNOWN),
            not_after: AtomicI64::new(UNKNOWN),
        }))
    }

    /// Counts a connection that was closed.
    pub(super) fn refuse(&self, reason: Refused) {
        self.0.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that was rejected.
    pub(super) fn reject(&self, reason: Rejected) {
        self.0.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds to the number of open connections.
    pub(super) fn add_open(&self, change: i64) {
        self.0.open.fetch_add(change, Ordering::Relaxed);
    }

    /// Records whether the web configuration could be read, and when the certificate in force expires, in Unix seconds.
    pub(super) fn web_reload(&self, successful: bool, not_after: Option<i64>) {
        let not_after = not_after.unwrap_or(UNKNOWN);
        self.0.reloaded.store(successful.into(), Ordering::Relaxed);
        self.0.not_after.store(not_after, Ordering::Relaxed);
    }

    /// Everything as families.
    pub(in super::super) fn families(&self) -> Vec<Family> {
        let counts = &*self.0;
        let refused = Family::new(
            Kind::Counter,
            "sidewatch_http_connections_refused_total",
            "Connections closed by the server to protect itself.",
        );
        let rejected = Family::new(
            Kind::Counter,
            "sidewatch_http_requests_rejected_total",
            "Requests not answered with what they asked for, to protect the server.",
        );
        let gauge = |name, help| Family::new(Kind::Gauge, name, help);
        let open = gauge("sidewatch_http_connections", "Connections that are open.");
        let reloaded = gauge(
            "sidewatch_web_config_last_reload_successful",
            "Whether the web configuration file and its certificates could be read last time.",
        );
        let not_after = gauge(
            "sidewatch_web_certificate_not_after_timestamp_seconds",
            "When the certificate of the server ends.",
        );
        let gauges = [
            (open, &counts.open),
            (reloaded, &counts.reloaded),
            (not_after, &counts.not_after),
        ];
        let gauges = gauges.into_iter().filter_map(|(family, gauge)| {
            let value = gauge.load(Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "seconds fit")]
            (value != UNKNOWN).then(|| family.with(counts.model.clone(), value as f64))
        });
        let mut families = vec![
            counts.by_reason(refused, &REFUSED, &counts.refused),
            counts.by_reason(rejected, &REJECTED, &counts.rejected),
        ];
        families.extend(gauges);
        families
    }
}

impl Counts {
    fn by_reason(&self, family: Family, reasons: &[&str], counts: &[AtomicU64]) -> Family {
        reasons
            .iter()
            .zip(counts)
            .fold(family, |family, (reason, count)| {
                #[expect(clippy::cast_precision_loss, reason = "counts")]
                let value = count.load(Ordering::Relaxed) as f64;
                family.with(self.model.with("reason", reason), value)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{Http, REFUSED, REJECTED, Refused, Rejected};
    use crate::metric::Labels;

    #[test]
    fn every_reason_begins_at_zero_and_carries_the_model() {
        let http = Http::new(&Labels::new([("model_id", "m")]));
        http.reject(Rejected::CrossSite);
        let families = http.families();
        let names: Vec<&str> = families.iter().map(|family| family.name).collect();
        assert_eq!(
            names,
            [
                "sidewatch_http_connections_refused_total",
                "sidewatch_http_requests_rejected_total",
                "sidewatch_http_connections",
            ]
        );
        assert_eq!(families[0].samples.len(), 7);
        assert!(
            families[0]
                .samples
                .iter()
                .all(|sample| sample.value.abs() < 0.5)
        );
        let counted = families[1]
            .samples
            .iter()
            .filter(|sample| sample.value > 0.5);
        let labels: Vec<_> = counted.map(|sample| sample.labels.to_string()).collect();
        assert_eq!(labels, [r#"{model_id="m", reason="cross_site"}"#]);
    }

    #[test]
    fn reasons_are_in_the_order_of_the_variants() {
        let refused = REFUSED[Refused::SlowReader as usize];
        let rejected = REJECTED[Rejected::BodyTimeout as usize];
        assert_eq!((refused, rejected), ("slow_reader", "body_timeout"));
        assert_eq!(REFUSED[Refused::Evicted as usize], "evicted");
        assert_eq!(REJECTED[Rejected::RateLimited as usize], "rate_limited");
    }
}
