//! Responses of the Prometheus HTTP API.

use std::borrow::Cow;

use serde::Deserialize;

use crate::metric::Labels;

/// The envelope of every response.
#[derive(Debug, Deserialize)]
pub(super) struct ApiResponse<T> {
    pub(super) status: String,
    #[serde(default)]
    pub(super) error: String,
    #[serde(default = "Option::default")]
    pub(super) data: Option<T>,
    /// Reservations of the server about its response, such as a store that is unavailable.
    #[serde(default)]
    pub(super) warnings: Vec<String>,
    /// Set by VictoriaMetrics when a storage node is unavailable.
    #[serde(default, rename = "isPartial")]
    pub(super) is_partial: bool,
}

/// The result of a range query.
#[derive(Debug, Deserialize)]
pub(super) struct Matrix<'a> {
    #[serde(borrow)]
    pub(super) result: Vec<MatrixSeries<'a>>,
}

/// One series of a [`Matrix`]: times in seconds, and values as text.
#[derive(Debug, Deserialize)]
pub(super) struct MatrixSeries<'a> {
    pub(super) metric: Labels,
    #[serde(borrow, default)]
    pub(super) values: Vec<(f64, &'a str)>,
}

/// The result of an instant query.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(super) enum InstantResult<'a> {
    #[serde(borrow)]
    Vector(Vec<VectorElement<'a>>),
    #[serde(borrow)]
    Scalar((f64, Cow<'a, str>)),
    String(serde::de::IgnoredAny),
    Matrix(serde::de::IgnoredAny),
}

/// One element of an instant vector.
#[derive(Debug, Deserialize)]
pub(super) struct VectorElement<'a> {
    pub(super) metric: Labels,
    /// Time in seconds and value as text; absent for a native histogram.
    #[serde(borrow)]
    pub(super) value: Option<(f64, Cow<'a, str>)>,
}

/// Whether the server refuses the request because of its size, so that a shorter range may succeed.
/// The texts of Prometheus and Thanos, of VictoriaMetrics, and of Mimir; their status codes do not
/// tell.
pub(super) fn is_too_large(message: &str) -> bool {
    const TEXTS: [&str; 9] = [
        "too many samples",
        "maximum resolution",
        "timed out",
        "too many points for the given step",
        "-search.maxSamplesPerQuery",
        "-search.maxMemoryPerQuery",
        "err-mimir-max-total-query-length",
        "err-mimir-max-chunks-per-query",
        "err-mimir-max-estimated-memory-consumption-per-query",
    ];
    TEXTS.iter().any(|text| message.contains(text))
}
