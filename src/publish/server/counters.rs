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
    /// The TLS handshake failed: no common version, no valid client certificate, or no TLS at all.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The head of a request took too long.
    HeaderTimeout,
    /// A request took too long.
    RequestTimeout,
    /// The client did not take its answer.
    SlowReader,
}

impl Refused {
    /// Values of the label `reason`, in the order of the variants.
    const REASONS: [&str; 7] = [
        "limit",
        "evicted",
        "tls_handshake",
        "tls_handshake_timeout",
        "header_timeout",
        "request_timeout",
        "slow_reader",
    ];
}

/// Why a request was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejected {
    /// A missing or wrong password.
    Unauthorized,
    /// Too many passwords are being compared.
    AuthBusy,
    /// Over the configured rate.
    RateLimited,
    /// A head that is too large.
    HeaderTooLarge,
    /// A head that is not HTTP, or has no usable `Host`.
    Malformed,
    /// A body that is too large.
    BodyTooLarge,
    /// A body that took too long.
    BodyTimeout,
    /// Another site's page makes a browser change something here.
    CrossSite,
}

impl Rejected {
    /// Values of the label `reason`, in the order of the variants.
    const REASONS: [&str; 8] = [
        "unauthorized",
        "auth_busy",
        "rate_limited",
        "header_too_large",
        "malformed",
        "body_too_large",
        "body_timeout",
        "cross_site",
    ];
}

/// Counters of one server, which begin at 0; clones count together.
#[derive(Debug, Clone)]
pub(in super::super) struct Http(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    model: Labels,
    refused: [AtomicU64; Refused::REASONS.len()],
    rejected: [AtomicU64; Rejected::REASONS.len()],
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

    /// One more connection is open.
    pub(super) fn connection_opened(&self) {
        self.0.open.fetch_add(1, Ordering::Relaxed);
    }

    /// One connection fewer is open.
    pub(super) fn connection_closed(&self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Records whether the web configuration could be read, and when the certificate in force ends, in Unix seconds.
    pub(super) fn web_reload(&self, successful: bool, not_after: Option<i64>) {
        let not_after = not_after.unwrap_or(UNKNOWN);
        self.0.reloaded.store(successful.into(), Ordering::Relaxed);
        self.0.not_after.store(not_after, Ordering::Relaxed);
    }

    /// Everything as families.
    pub(in super::super) fn families(&self) -> Vec<Family> {
        let counts = &*self.0;
        let gauges = [
            (
                "sidewatch_http_connections",
                "Connections that are open.",
                &counts.open,
            ),
            (
                "sidewatch_web_config_last_reload_successful",
                "Whether the web configuration file and its certificates could be read last time.",
                &counts.reloaded,
            ),
            (
                "sidewatch_web_certificate_not_after_timestamp_seconds",
                "When the certificate of the server ends.",
                &counts.not_after,
            ),
        ];
        let mut families = vec![
            counts.by_reason(
                "sidewatch_http_connections_refused_total",
                "Connections closed by the server to protect itself.",
                Refused::REASONS.iter().zip(&counts.refused),
            ),
            counts.by_reason(
                "sidewatch_http_requests_rejected_total",
                "Requests not answered with what they asked for, to protect the server.",
                Rejected::REASONS.iter().zip(&counts.rejected),
            ),
        ];
        for (name, help, gauge) in gauges {
            let value = gauge.load(Ordering::Relaxed);
            if value != UNKNOWN {
                #[expect(clippy::cast_precision_loss, reason = "seconds fit")]
                let value = value as f64;
                families
                    .push(Family::new(Kind::Gauge, name, help).with(counts.model.clone(), value));
            }
        }
        families
    }
}

impl Counts {
    fn by_reason<'a>(
        &self,
        name: &'static str,
        help: &'static str,
        counts: impl Iterator<Item = (&'a &'static str, &'a AtomicU64)>,
    ) -> Family {
        counts.fold(
            Family::new(Kind::Counter, name, help),
            |family, (reason, count)| {
                #[expect(clippy::cast_precision_loss, reason = "counts")]
                let value = count.load(Ordering::Relaxed) as f64;
                family.with(self.model.with("reason", reason), value)
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Http, Refused, Rejected};
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
        let refused = Refused::REASONS[Refused::SlowReader as usize];
        let rejected = Rejected::REASONS[Rejected::BodyTimeout as usize];
        assert_eq!((refused, rejected), ("slow_reader", "body_timeout"));
        assert_eq!(Refused::REASONS[Refused::Evicted as usize], "evicted");
        assert_eq!(
            Rejected::REASONS[Rejected::RateLimited as usize],
            "rate_limited"
        );
    }
}
