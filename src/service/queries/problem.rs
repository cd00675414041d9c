//! Why a request gets no answer, in Prometheus' words.

use crate::promql::{ErrorKind, PromqlError};
use crate::publish::Reply;

use super::json::error_json;

/// An error of the API: status, kind and message as Prometheus has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl Problem {
    /// The request is wrong.
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(400, "bad_data", message)
    }

    /// A parameter is wrong.
    pub(super) fn parameter(name: &str, message: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {message}"))
    }

    /// The request is right, but its answer exceeds a limit or cannot be computed.
    pub(super) fn execution(message: impl Into<String>) -> Self {
        Self::new(422, "execution", message)
    }

    /// The answer took too long.
    pub(super) fn timeout(message: impl Into<String>) -> Self {
        Self::new(503, "timeout", message)
    }

    /// Nobody is there to answer.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "unavailable", message)
    }

    /// There is no such path.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found", message)
    }

    /// The path does not take this method.
    pub(super) fn method(message: impl Into<String>) -> Self {
        Self::new(405, "bad_data", message)
    }

    /// The body is of another type.
    pub(super) fn media_type(message: impl Into<String>) -> Self {
        Self::new(415, "bad_data", message)
    }

    /// A defect of ours.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "internal", message)
    }

    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
        }
    }

    /// The problem as an answer.
    pub(super) fn reply(&self) -> Reply {
        Reply {
            status: self.status,
            content_type: "application/json",
            body: error_json(self.kind, &self.message),
        }
    }
}

impl From<PromqlError> for Problem {
    /// An error of the evaluation.
    fn from(error: PromqlError) -> Self {
        match error.kind() {
            ErrorKind::Interrupted => Self::timeout(error.message()),
            ErrorKind::Syntax | ErrorKind::Type | ErrorKind::Refused => {
                Self::parameter("query", error)
            }
            ErrorKind::Evaluation | ErrorKind::Limit => Self::execution(error.to_string()),
        }
    }
}
