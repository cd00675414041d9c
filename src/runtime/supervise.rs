//! Every task of the process, by name, and the order in which they stop.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// How a task ended.
type Outcome = Result<(Id, ()), JoinError>;

/// Why the supervisor stopped its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The caller asked for it.
    Asked,
    /// A task that should run for ever returned or panicked; its name and what is known.
    Task(String, String),
}

/// Spawns named tasks in stages and stops them in the order of the stages.
///
/// A stage's token is cancelled only after every task of the stages before has ended or the grace period is
/// over, so that what an early stage produced can still be drained by a later one.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<()>,
    names: HashMap<Id, (String, usize, AbortHandle)>,
    stages: Vec<CancellationToken>,
}

/// A stage of a supervisor, in which tasks are spawned.
#[derive(Debug)]
pub struct Stage<'a> {
    supervisor: &'a mut Supervisor,
    stage: usize,
}

impl Stage<'_> {
    /// Cancelled when the tasks of this stage should end.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.supervisor.token(self.stage)
    }

    /// Spawns a task that runs until the stage's token is cancelled.
    pub fn spawn(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        self.supervisor.spawn(self.stage, name, task);
    }
}

impl Supervisor {
    /// A supervisor with this many stages, stopped from the first to the last.
    #[must_use]
    pub fn new(stages: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stages: (0..stages.max(1))
                .map(|_| CancellationToken::new())
                .collect(),
        }
    }

    /// A stage by its position, 0 for the first to stop.
    pub fn stage(&mut self, stage: usize) -> Stage<'_> {
        Stage {
            supervisor: self,
            stage,
        }
    }

    /// The token that tells tasks of a stage to finish.
    #[must_use]
    pub fn token(&self, stage: usize) -> CancellationToken {
        self.stages[stage.min(self.stages.len() - 1)].clone()
    }

    /// Runs a task for the life of the process; its end before its stage is stopped ends the process.
    pub fn spawn(
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
    pub async fn run(mut self, stop: impl Future<Output = ()>, grace: Duration) -> Ended {
        let ended = tokio::select! {
            () = stop => Ended::Asked,
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
                    self.cut_off(stage);
                    return;
                }
            }
        }
    }

    /// Aborts what did not end within the grace period.
    fn cut_off(&mut self, stage: usize) {
        self.names.retain(|_, (name, of, handle)| {
            if *of > stage {
                return true;
            }
            warn!(
                task = name.as_str(),
                "did not stop within the grace period, cut off"
            );
            handle.abort();
            false
        });
    }

    fn unexpected(&mut self, ended: Option<Outcome>) -> Ended {
        let (id, how) = match ended {
            Some(Ok((id, ()))) => (id, "returned".to_owned()),
            Some(Err(error)) => (error.id(), error.to_string()),
            None => return Ended::Asked,
        };
        let name = self
            .names
            .remove(&id)
            .map_or_else(String::new, |(name, ..)| name);
        error!(
            task = name,
            how, "a task ended that should run for ever; stopping"
        );
        Ended::Task(name, how)
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
            Ended::Task(name, how) => {
                assert_eq!(name, "broken");
                assert!(how.contains("on purpose"), "{how}");
            }
            Ended::Asked => panic!("nobody asked"),
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
            Ended::Asked
        );
        assert_eq!(order.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_task_is_cut_off() {
        let mut supervisor = Supervisor::new(1);
        supervisor.spawn(0, "stuck", std::future::pending());
        let started = tokio::time::Instant::now();
        assert_eq!(
            supervisor.run(std::future::ready(()), GRACE).await,
            Ended::Asked
        );
        assert_eq!(started.elapsed(), GRACE);
    }
}
