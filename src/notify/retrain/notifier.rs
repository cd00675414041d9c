//! The seam for receivers of retraining requests.

use futures_util::future::BoxFuture;

use super::super::Error;
use super::RetrainRequest;

/// Something that can be asked to retrain: a webhook, the log, or a receiver of another crate.
///
/// A request is repeated until this answers `Ok`, an error that is not retryable, or the request expires; the same
/// [`RetrainRequest::id`] may therefore arrive more than once.
pub trait RetrainingNotifier: Send + Sync {
    /// Asks once.
    ///
    /// # Errors
    /// Why the request did not arrive, and whether trying again can help.
    fn request<'a>(&'a self, request: &'a RetrainRequest) -> BoxFuture<'a, Result<(), Error>>;
}
