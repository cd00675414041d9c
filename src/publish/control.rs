//! What the outside may ask a running process to do.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Query, Reply};

/// A request that is not answered from a snapshot, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path.
    pub path: String,
    /// The parameters after the question mark.
    pub query: Query,
    /// The media type of the body; empty when there is none.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Answers the calls to `/-/reload`, `/probe` and below `/api/v1/retraining/`.
#[derive(Clone)]
pub struct Control(Arc<dyn Fn(Call) -> BoxFuture<'static, Reply> + Send + Sync>);

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    /// A control that answers with this function.
    pub fn new(answer: impl Fn(Call) -> BoxFuture<'static, Reply> + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// Whether a path is for the control.
    #[must_use]
    pub fn answers(path: &str) -> bool {
        path == "/-/reload" || path == "/probe" || path.starts_with("/api/v1/retraining/")
    }

    /// Answers a call.
    #[must_use]
    pub fn call(&self, call: Call) -> BoxFuture<'static, Reply> {
        (self.0)(call)
    }
}
