//! The trait for receivers of retraining requests.

use futures_util::future::BoxFuture;

use super::super::Error;
use super::{RequestKind, RetrainRequest};

/// Asks for retraining: a webhook, the log, or a receiver of another crate.
///
/// A request is repeated until it succeeds, fails with an error that is not retryable, or expires.
/// The same [`RetrainRequest::id`] may therefore arrive more than once.
pub trait RetrainingNotifier: Send + Sync {
    /// Sends the request once.
    ///
    /// # Errors
    /// Why the request did not arrive, and whether a retry can help.
    fn request<'a>(&'a self, request: &'a RetrainRequest) -> BoxFuture<'a, Result<(), Error>>;

    /// Whether it takes requests of this kind. A pipeline that trains must not get a request to go
    /// back to the version before.
    fn takes(&self, kind: RequestKind) -> bool {
        kind == RequestKind::Retrain
    }
}
