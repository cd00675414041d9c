//! A notifier that only writes to the log.

use futures_util::future::{BoxFuture, ready};

use super::super::Error;
use super::{RequestKind, RetrainRequest, RetrainingNotifier};

/// Writes retraining requests to the log and does nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogNotifier;

impl RetrainingNotifier for LogNotifier {
    fn request<'a>(&'a self, request: &'a RetrainRequest) -> BoxFuture<'a, Result<(), Error>> {
        tracing::info!(
            id = %request.id,
            model = %request.model_id,
            version = %request.model_version,
            rule = %request.rule,
            reason = %request.reason,
            kind = ?request.kind,
            "retraining requested"
        );
        Box::pin(ready(Ok(())))
    }

    fn takes(&self, _kind: RequestKind) -> bool {
        true
    }
}
