//! What the server refused, by reason, and the state of its web configuration.

use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec};

use super::super::catalogue;
use super::super::registry::Counted;
use crate::metric::Labels;

/// The labels of a family that has none.
const NO_LABELS: [&str; 0] = [];

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
    /// The bodies of other requests leave no room.
    BodyBudget,
    /// Another site's page makes a browser change something here.
    CrossSite,
    /// The host of the request is none of this server's names.
    ForeignHost,
}

/// The label `reason` of rejected requests, in the order of [`Rejected`].
const REJECTED: [&str; 10] = [
    "unauthorized",
    "auth_busy",
    "rate_limited",
    "header_too_large",
    "malformed",
    "body_too_large",
    "body_timeout",
    "body_budget",
    "cross_site",
    "foreign_host",
];

/// The values of the label `reason` of refused connections.
pub(crate) fn refused_reasons() -> &'static [&'static str] {
    &REFUSED
}

/// The values of the label `reason` of rejected requests.
pub(crate) fn rejected_reasons() -> &'static [&'static str] {
    &REJECTED
}

/// Counters of one server; every reason starts at 0. Clones share their values.
#[derive(Debug, Clone)]
pub(in super::super) struct Http {
    counted: Counted,
    refused: IntCounterVec,
    rejected: IntCounterVec,
    open: IntGaugeVec,
    /// Absent until the web configuration was read again.
    reloaded: IntGaugeVec,
    /// Absent without TLS.
    not_after: IntGaugeVec,
}

impl Http {
    /// Counters that carry the labels of the model.
    pub(in super::super) fn new(model: &Labels) -> Self {
        let counted = Counted::new(model);
        let http = Self {
            refused: counted.counter(&catalogue::HTTP_CONNECTIONS_REFUSED),
            rejected: counted.counter(&catalogue::HTTP_REQUESTS_REJECTED),
            open: counted.gauge(&catalogue::HTTP_CONNECTIONS),
            reloaded: counted.gauge(&catalogue::WEB_CONFIG_RELOADED),
            not_after: counted.gauge(&catalogue::WEB_CERTIFICATE_NOT_AFTER),
            counted,
        };
        for reason in REFUSED {
            http.refused.with_label_values(&[reason]).reset();
        }
        for reason in REJECTED {
            http.rejected.with_label_values(&[reason]).reset();
        }
        http.add_open(0);
        http
    }

    /// Counts a connection that was closed.
    pub(super) fn refuse(&self, reason: Refused) {
        self.refused
            .with_label_values(&[REFUSED[reason as usize]])
            .inc();
    }

    /// Counts a request that was rejected.
    pub(super) fn reject(&self, reason: Rejected) {
        self.rejected
            .with_label_values(&[REJECTED[reason as usize]])
            .inc();
    }

    /// Adds to the number of open connections.
    pub(super) fn add_open(&self, change: i64) {
        self.open.with_label_values(&NO_LABELS).add(change);
    }

    /// Sets whether the web configuration could be read, and when the certificate in force expires,
    /// in Unix seconds.
    pub(super) fn web_reload(&self, good: bool, not_after: Option<i64>) {
        self.reloaded.with_label_values(&NO_LABELS).set(good.into());
        match not_after {
            Some(seconds) => self.not_after.with_label_values(&NO_LABELS).set(seconds),
            None => self.not_after.reset(),
        }
    }

    /// Every family that has a value.
    pub(in super::super) fn gather(&self) -> Vec<MetricFamily> {
        self.counted.gather()
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
        let families = http.gather();
        let names: Vec<&str> = families
            .iter()
            .map(prometheus::proto::MetricFamily::name)
            .collect();
        assert_eq!(
            names,
            [
                "sidewatch_http_connections",
                "sidewatch_http_connections_refused_total",
                "sidewatch_http_requests_rejected_total",
            ]
        );
        let refused = families[1].get_metric();
        assert_eq!(refused.len(), REFUSED.len());
        assert!(
            refused
                .iter()
                .all(|metric| metric.get_counter().get_value() < 0.5)
        );
        let counted = families[2]
            .get_metric()
            .iter()
            .filter(|metric| metric.get_counter().get_value() > 0.5);
        let labels: Vec<Vec<(&str, &str)>> = counted
            .map(|metric| {
                let pairs = metric.get_label().iter();
                pairs.map(|pair| (pair.name(), pair.value())).collect()
            })
            .collect();
        assert_eq!(labels, [[("model_id", "m"), ("reason", "cross_site")]]);
    }

    #[test]
    fn reasons_are_in_the_order_of_the_variants() {
        assert_eq!(REJECTED[Rejected::ForeignHost as usize], "foreign_host");
        let refused = REFUSED[Refused::SlowReader as usize];
        let rejected = REJECTED[Rejected::BodyTimeout as usize];
        assert_eq!((refused, rejected), ("slow_reader", "body_timeout"));
        assert_eq!(REFUSED[Refused::Evicted as usize], "evicted");
        assert_eq!(REJECTED[Rejected::RateLimited as usize], "rate_limited");
    }
}
