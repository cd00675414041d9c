//! Runs work on a thread of its own, so that it never delays the tasks of the calling runtime.

use std::panic::resume_unwind;

use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// Runs a future on a thread of its own, with timers and I/O of its own, and returns its output.
///
/// The future may compute for seconds between two awaits. If the returned future is dropped, the
/// other one is dropped at its next await. `None` if the thread cannot be started. Panics if the
/// future does.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let dropped = CancellationToken::new();
    let _guard = dropped.clone().drop_guard();
    let thread = spawn_blocking(move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .inspect_err(|problem| error!(error = %problem, "cannot start a thread"))
            .ok()?;
        let output = runtime.block_on(dropped.run_until_cancelled(work));
        // Does not wait for a read of a file on a mount that hangs.
        runtime.shutdown_background();
        output
    });
    match thread.await {
        Ok(output) => output,
        Err(problem) if problem.is_panic() => resume_unwind(problem.into_panic()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::{Instant, timeout};

    use super::on_own_thread;

    #[tokio::test]
    async fn other_tasks_run_while_the_work_computes() {
        let (started, seen) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (here, there) = (Arc::clone(&started), Arc::clone(&seen));
        let work = on_own_thread(async move {
            here.notify_one();
            // Computes, as it were, until the other task has run.
            let deadline = Instant::now() + Duration::from_secs(60);
            while !there.load(Ordering::SeqCst) {
                assert!(Instant::now() < deadline, "the other task never ran");
            }
            7
        });
        let beside = async {
            started.notified().await;
            seen.store(true, Ordering::SeqCst);
        };
        let (output, ()) = tokio::join!(work, beside);
        assert_eq!(output, Some(7));
    }

    #[tokio::test]
    async fn work_that_is_not_waited_for_ends_at_its_next_await() {
        let held = Arc::new(());
        let kept = Arc::clone(&held);
        let work = on_own_thread(async move {
            std::future::pending::<()>().await;
            drop(kept);
        });
        let waited = timeout(Duration::from_millis(10), work).await;
        assert!(waited.is_err());
        let deadline = Instant::now() + Duration::from_secs(60);
        while Arc::strong_count(&held) > 1 {
            assert!(Instant::now() < deadline, "the work was not dropped");
            tokio::task::yield_now().await;
        }
    }
}
