//! What the server refused, by reason, and the state of its web configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::super::counters::registered;
use super::super::families::{Family, Kind};
use crate::metric::Labels;

const REFUSED: (&str, &str) = (
    "sidewatch_http_connections_refused_total",
    "Connections closed by the server to protect itself.",
);
const REJECTED: (&str, &str) = (
    "sidewatch_http_requests_rejected_total",
    "Requests not answered with what they asked for, to protect the server.",
);
const OPEN: (&str, &str) = ("sidewatch_http_connections", "Connections that are open.");
const RELOADED: (&str, &str) = (
    "sidewatch_web_config_last_reload_successful",
    "Whether the web configuration file and its certificates could be read last time.",
);
const NOT_AFTER: (&str, &str) = (
    "sidewatch_web_certificate_not_after_timestamp_seconds",
    "When the certificate of the server ends.",
);

/// Nothing known yet.
const UNKNOWN: i64 = i64::MIN;

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

/// Counters of one server, born at 0; clones count together.
#[derive(Debug, Clone)]
pub(in super::super) struct Http {
    registry: Registry,
    refused: IntCounterVec,
    rejected: IntCounterVec,
    open: IntGauge,
    /// 0, 1 or unknown, which is not shown.
    reloaded: Arc<AtomicI64>,
    not_after: Arc<AtomicI64>,
    model: Labels,
}

impl Http {
    /// Counters that carry the labels of the model.
    pub(in super::super) fn new(model: &Labels) -> Self {
        let registry = Registry::new();
        let opts = |(name, help): (&str, &str)| {
            let labels = model
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            Opts::new(name, help).const_labels(labels.collect())
        };
        let counter = |what| {
            let counter = IntCounterVec::new(opts(what), &["reason"])
                .expect("names and labels are fixed and valid");
            let registered = registry.register(Box::new(counter.clone()));
            debug_assert!(registered.is_ok(), "every name is registered once");
            counter
        };
        let (refused, rejected) = (counter(REFUSED), counter(REJECTED));
        for reason in Refused::ALL {
            refused.with_label_values(&[reason.as_str()]).reset();
        }
        for reason in Rejected::ALL {
            rejected.with_label_values(&[reason.as_str()]).reset();
        }
        let open = IntGauge::with_opts(opts(OPEN)).expect("names and labels are fixed and valid");
        let registered = registry.register(Box::new(open.clone()));
        debug_assert!(registered.is_ok(), "every name is registered once");
        Self {
            refused,
            rejected,
            open,
            registry,
            reloaded: Arc::new(AtomicI64::new(UNKNOWN)),
            not_after: Arc::new(AtomicI64::new(UNKNOWN)),
            model: model.clone(),
        }
    }

    /// Counts a connection that was closed.
    pub(super) fn refuse(&self, reason: Refused) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }

    /// Counts a request that was rejected.
    pub(super) fn reject(&self, reason: Rejected) {
        self.rejected.with_label_values(&[reason.as_str()]).inc();
    }

    /// Says how many connections are open.
    pub(super) fn set_open(&self, count: usize) {
        self.open.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Says whether the web configuration could be read, and when the certificate in force ends, in Unix seconds.
    pub(super) fn web_reload(&self, good: bool, not_after: Option<i64>) {
        self.reloaded.store(good.into(), Ordering::Relaxed);
        self.not_after
            .store(not_after.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Everything as families.
    pub(in super::super) fn families(&self) -> Vec<Family> {
        let gathered = self.registry.gather();
        let counted = [
            (REFUSED, Kind::Counter),
            (REJECTED, Kind::Counter),
            (OPEN, Kind::Gauge),
        ];
        let mut families: Vec<Family> = counted
            .into_iter()
            .filter_map(|(about, kind)| registered(&gathered, kind, about))
            .collect();
        for ((name, help), value) in [(RELOADED, &self.reloaded), (NOT_AFTER, &self.not_after)] {
            let value = value.load(Ordering::Relaxed);
            if value != UNKNOWN {
                #[expect(clippy::cast_precision_loss, reason = "seconds fit")]
                let value = value as f64;
                let family = Family::new(Kind::Gauge, name, help);
                families.push(family.with(self.model.clone(), value));
            }
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::{Http, Rejected};
    use crate::metric::Labels;

    #[test]
    fn every_reason_is_born_at_zero_and_carries_the_model() {
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
        assert_eq!(families[0].samples.len(), 12);
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
}
