//! Calls that change a running process, and the control that answers them.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Body, Query, Reply};

/// A request that is not answered from a snapshot.
#[derive(Debug)]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path.
    pub path: String,
    /// The parameters after the question mark.
    pub query: Query,
    /// The media type of the body; empty when there is none.
    pub content_type: String,
    /// The header `Authorization`; empty when there is none.
    pub authorization: Credentials,
    /// The body, still to be read. What the rest of the request does not allow is refused without
    /// reading it.
    pub body: Body,
}

impl Call {
    /// Whether the body is said to be a form.
    pub(crate) fn is_form(&self) -> bool {
        self.has_type("application/x-www-form-urlencoded")
    }

    /// Whether the body is said to be JSON, which a browser does not let a page of another site
    /// send.
    pub(crate) fn is_json(&self) -> bool {
        self.has_type("application/json")
    }

    fn has_type(&self, wanted: &str) -> bool {
        let essence = self.content_type.split(';').next().unwrap_or("");
        essence.trim().eq_ignore_ascii_case(wanted)
    }
}

/// A header `Authorization`, hidden from logs.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials(pub String);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Answers a call.
type Answer = dyn Fn(Call) -> BoxFuture<'static, Reply> + Send + Sync;

/// Answers the calls to `/-/reload`, `/probe` and below `/api/v1/retraining/` and
/// `/api/v1/signals/`, and to paths of its own.
#[derive(Clone)]
pub struct Control {
    answer: Arc<Answer>,
    paths: &'static [&'static str],
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    /// A control that answers with this function.
    pub fn new(answer: impl Fn(Call) -> BoxFuture<'static, Reply> + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            paths: &[],
        }
    }

    /// Answers these paths too, instead of the server. One that ends in a slash means all below
    /// it.
    #[must_use]
    pub fn with_paths(self, paths: &'static [&'static str]) -> Self {
        Self { paths, ..self }
    }

    /// Whether a path is for the control.
    #[must_use]
    pub fn answers(&self, path: &str) -> bool {
        path == "/-/reload"
            || path == "/probe"
            || path.starts_with("/api/v1/retraining/")
            || path.starts_with("/api/v1/signals/")
            || self.paths.iter().any(|known| is_at(path, known))
    }

    /// Answers a call.
    #[must_use]
    pub fn call(&self, call: Call) -> BoxFuture<'static, Reply> {
        (self.answer)(call)
    }
}

/// Whether a path is this one, or below it where it ends in a slash; `/` is only itself.
fn is_at(path: &str, known: &str) -> bool {
    let is_folder = known.len() > 1 && known.ends_with('/');
    path == known || (is_folder && path.starts_with(known))
}
