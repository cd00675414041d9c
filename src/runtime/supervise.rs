//! The named tasks of the process and the order in which they stop.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// The outcome of a task.
type Outcome = Result<(Id, ()), JoinError>;

/// Why the supervisor stopped its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The caller requested it.
    Requested,
    /// A task ended that should run until it is stopped.
    TaskEnded {
        /// The name of the task.
        name: String,
        /// Whether it returned or panicked, with the message.
        reason: String,
    },
}

/// Spawns named tasks in stages and stops them in the order of the stages.
///
/// The token of a stage is cancelled after all tasks of the earlier stages have ended, or the grace
/// period is over. A later stage can therefore drain what an earlier stage has produced.
#[derive(Debug)]
pub(crate) struct Supervisor {
    tasks: JoinSet<()>,
    names: HashMap<Id, (String, usize, AbortHandle)>,
    stages: Vec<CancellationToken>,
}

/// A stage of a supervisor, in which tasks are spawned.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    supervisor: &'a mut Supervisor,
    stage: usize,
}

impl Stage<'_> {
    /// Cancelled when the tasks of this stage should end.
    #[must_use]
    pub(crate) fn token(&self) -> CancellationToken {
        self.supervisor.token(self.stage)
    }

    /// Spawns a task that runs until the stage's token is cancelled.
    pub(crate) fn spawn(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        self.supervisor.spawn(self.stage, name, task);
    }
}

impl Supervisor {
    /// A supervisor with this many stages, which stop from the first to the last.
    #[must_use]
    pub(crate) fn new(stages: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stages: (0..stages.max(1))
                .map(|_| CancellationToken::new())
                .collect(),
        }
    }

    /// A stage by its position, 0 for the first to stop.
    pub(crate) fn stage(&mut self, stage: usize) -> Stage<'_> {
        Stage {
            supervisor: self,
            stage,
        }
    }

    /// The token that stops the tasks of a stage.
    #[must_use]
    pub(crate) fn token(&self, stage: usize) -> CancellationToken {
        self.stages[stage.min(self.stages.len() - 1)].clone()
    }

    /// Spawns a task. If it ends before its stage is stopped, the supervisor stops all tasks.
    pub(crate) fn spawn(
        &mut self,
        stage: usize,
        name: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stage = stage.min(self.stages.len() - 1);
        let handle = self.tasks.spawn(task);
        self.names
            .insert(handle.id(), (name.to_owned(), stage, handle));
    }

    /// Waits for `stop` or the unexpected end of a task, then stops stage by stage within `grace`.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>, grace: Duration) -> Ended {
        let ended = tokio::select! {
            () = stop => Ended::Requested,
            ended = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.unexpected(ended),
        };
        let deadline = Instant::now() + grace;
        for stage in 0..self.stages.len() {
            self.stages[stage].cancel();
            self.drain(stage, deadline).await;
        }
        ended
    }

    async fn drain(&mut self, stage: usize, deadline: Instant) {
        while self.names.values().any(|(_, of, _)| *of <= stage) {
            match timeout_at(deadline, self.tasks.join_next_with_id()).await {
                Ok(Some(Ok((id, ())))) => {
                    if let Some((name, ..)) = self.names.remove(&id) {
                        debug!(task = name, "stopped");
                    }
                }
                Ok(Some(Err(error))) => {
                    if let Some((name, ..)) = self.names.remove(&error.id()) {
                        error!(task = name, %error, "a task failed while stopping");
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    self.abort(stage);
                    return;
                }
            }
        }
    }

    /// Aborts the tasks that did not end within the grace period.
    fn abort(&mut self, stage: usize) {
        self.names.retain(|_, (name, of, handle)| {
            if *of > stage {
                return true;
            }
            warn!(
                task = name.as_str(),
                "task did not stop within the grace period; aborted"
            );
            handle.abort();
            false
        });
    }

    fn unexpected(&mut self, ended: Option<Outcome>) -> Ended {
        let (id, reason) = match ended {
            Some(Ok((id, ()))) => (id, "returned".to_owned()),
            Some(Err(error)) => (error.id(), error.to_string()),
            None => return Ended::Requested,
        };
        let name = self
            .names
            .remove(&id)
            .map_or_else(String::new, |(name, ..)| name);
        error!(task = name, reason, "a task ended unexpectedly; stopping");
        Ended::TaskEnded { name, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::{Ended, Supervisor};

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_panic_names_its_task_and_stops_the_rest() {
        let mut supervisor = Supervisor::new(1);
        let stop = supervisor.token(0);
        supervisor.spawn(0, "patient", async move { stop.cancelled().await });
        supervisor.spawn(0, "broken", async { panic!("on purpose") });
        match supervisor.run(std::future::pending(), GRACE).await {
            Ended::TaskEnded { name, reason } => {
                assert_eq!(name, "broken");
                assert!(reason.contains("on purpose"), "{reason}");
            }
            Ended::Requested => panic!("no stop was requested"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stages_stop_one_after_the_other() {
        let mut supervisor = Supervisor::new(2);
        let order = Arc::new(AtomicUsize::new(0));
        let (first, last) = (supervisor.token(0), supervisor.token(1));
        let (seen_first, seen_last) = (Arc::clone(&order), Arc::clone(&order));
        supervisor.spawn(1, "last", async move {
            last.cancelled().await;
            assert_eq!(seen_last.fetch_add(1, Ordering::SeqCst), 1);
        });
        supervisor.spawn(0, "first", async move {
            first.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(seen_first.fetch_add(1, Ordering::SeqCst), 0);
        });
        assert_eq!(
            supervisor.run(std::future::ready(()), GRACE).await,
            Ended::Requested
        );
        assert_eq!(order.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_task_is_aborted() {
        let mut supervisor = Supervisor::new(1);
        supervisor.spawn(0, "stuck", std::future::pending());
        let started = tokio::time::Instant::now();
        assert_eq!(
            supervisor.run(std::future::ready(()), GRACE).await,
            Ended::Requested
        );
        assert_eq!(started.elapsed(), GRACE);
    }
}
