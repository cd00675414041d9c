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
    /// Every place was taken by connections in the middle of an answer.
    Limit,
    /// Its place was needed by another connection.
    Evicted,
    /// The TLS handshake failed: no common version, no or no good certificate of the client, no TLS at all.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The head of a request took too long.
    HeaderTimeout,
    /// A request took too long.
    RequestTimeout,
    /// The client did not take its answer.
    SlowReader,
    /// Its answers held the most memory when there was no more.
    Memory,
    /// Too many HTTP/2 streams reset.
    ResetFlood,
    /// Too many HTTP/2 frames that carry nothing.
    ControlFlood,
    /// The head of an HTTP/2 request is too large.
    HeaderTooLarge,
    /// HTTP/2 that is none.
    Protocol,
}

impl Refused {
    const ALL: [Self; 12] = [
        Self::Limit,
        Self::Evicted,
        Self::Handshake,
        Self::HandshakeTimeout,
        Self::HeaderTimeout,
        Self::RequestTimeout,
        Self::SlowReader,
        Self::Memory,
        Self::ResetFlood,
        Self::ControlFlood,
        Self::HeaderTooLarge,
        Self::Protocol,
    ];

    /// The label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Evicted => "evicted",
            Self::Handshake => "tls_handshake",
            Self::HandshakeTimeout => "tls_handshake_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::SlowReader => "slow_reader",
            Self::Memory => "memory",
            Self::ResetFlood => "reset_flood",
            Self::ControlFlood => "control_flood",
            Self::HeaderTooLarge => "header_too_large",
            Self::Protocol => "protocol_error",
        }
    }
}

/// Why a request was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejected {
    /// No or a wrong password.
    Unauthorized,
    /// Too many passwords are being compared.
    AuthBusy,
    /// Over the configured rate.
    RateLimited,
    /// A head that is too large.
    HeaderTooLarge,
    /// A head that is no HTTP, or has no usable `Host`.
    Malformed,
    /// A body that is too large.
    BodyTooLarge,
    /// A body that took too long.
    BodyTimeout,
    /// Another site's page asks a browser to change something here.
    CrossSite,
    /// No memory for one more answer.
    Overloaded,
    /// The client did not take its answer from an HTTP/2 stream.
    StreamTimeout,
}

impl Rejected {
    const ALL: [Self; 10] = [
        Self::Unauthorized,
        Self::AuthBusy,
        Self::RateLimited,
        Self::HeaderTooLarge,
        Self::Malformed,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::CrossSite,
        Self::Overloaded,
        Self::StreamTimeout,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::AuthBusy => "auth_busy",
            Self::RateLimited => "rate_limited",
            Self::HeaderTooLarge => "header_too_large",
            Self::Malformed => "malformed",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::CrossSite => "cross_site",
            Self::Overloaded => "overloaded",
            Self::StreamTimeout => "stream_timeout",
        }
    }
}

/// The words of the label `reason` of refused connections.
pub(crate) fn refused_reasons() -> impl Iterator<Item = &'static str> {
    Refused::ALL.iter().map(|reason| reason.as_str())
}

/// The words of the label `reason` of rejected requests.
pub(crate) fn rejected_reasons() -> impl Iterator<Item = &'static str> {
    Rejected::ALL.iter().map(|reason| reason.as_str())
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
        for reason in refused_reasons() {
            http.refused.with_label_values(&[reason]).reset();
        }
        for reason in rejected_reasons() {
            http.rejected.with_label_values(&[reason]).reset();
        }
        http.set_open(0);
        http
    }

    /// Counts a connection that was closed.
    pub(super) fn refuse(&self, reason: Refused) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }

    /// Counts a request that was rejected.
    pub(super) fn reject(&self, reason: Rejected) {
        self.rejected.with_label_values(&[reason.as_str()]).inc();
    }

    /// Sets the number of open connections.
    pub(super) fn set_open(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.open.with_label_values(&NO_LABELS).set(count);
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
    use super::{Http, Rejected, refused_reasons};
    use crate::metric::Labels;

    #[test]
    fn every_reason_is_born_at_zero_and_carries_the_model() {
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
        assert_eq!(refused.len(), refused_reasons().count());
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
}
