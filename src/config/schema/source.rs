//! A server that remembers: in the place of targets, and before them.

use schemars::JsonSchema;

use super::http::Http;
use super::scalars::{Duration, Text, Url};

/// A Prometheus, Thanos, Mimir or VictoriaMetrics; the keys of http_config too.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Source {
    /// Base URL; /api/v1/query is appended.
    prometheus: Url,
    /// Added to every selector that is evaluated there.
    #[schemars(extend("examples" = [["job=\"fraud\"", "namespace=\"ml\""]]))]
    matchers: Option<Vec<Text>>,
    /// Limit for all answers of one tick; the scrape timeout by default.
    timeout: Option<Duration>,
    /// How far behind the clock expressions are evaluated, where samples arrive late; 0s by default.
    query_offset: Option<Duration>,
    #[schemars(flatten)]
    http: Http,
}

/// History from which strategies and references start warm; the keys of http_config too.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Backfill {
    /// Base URL; /api/v1/query_range is appended. That of the source by default.
    prometheus: Option<Url>,
    /// How far back it goes; 7d by default.
    range: Option<Duration>,
    /// How long it may take in all; 15m by default.
    timeout: Option<Duration>,
    /// Added to every selector.
    matchers: Option<Vec<Text>>,
    #[schemars(flatten)]
    http: Http,
}
