//! Questions to the tick loop, which owns the window. It answers them between two ticks.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::limits::{CONCURRENT, EVALUATION, SHARE};
use super::problem::Problem;
use crate::metric::Timestamp;
use crate::runtime::clock;
use crate::series::Window;

/// This close to the next tick, no evaluation begins; it waits for the time after the tick.
const TOO_LATE: Duration = Duration::from_millis(20);

/// The window as of the last tick, and when an answer has to be ready.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) window: &'a Window,
    pub(super) until: Instant,
}

/// Reads the window and sends what it found.
type Read = Box<dyn FnOnce(View<'_>) + Send>;

/// A question to the tick loop.
pub(crate) struct Question(Read);

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}

/// A queue of questions: the side that asks and the side that answers.
pub(crate) fn queue() -> (Asker, Questions) {
    let (sender, queue) = mpsc::channel(CONCURRENT);
    let asker = Asker {
        queue: sender,
        slots: Arc::new(Semaphore::new(CONCURRENT)),
    };
    let questions = Questions {
        queue,
        waiting: None,
        tick: Timestamp::default(),
        spent: Duration::ZERO,
    };
    (asker, questions)
}

/// The side of the tick loop.
#[derive(Debug)]
pub(crate) struct Questions {
    queue: mpsc::Receiver<Question>,
    /// The next question, taken from the queue.
    waiting: Option<Question>,
    /// The next tick.
    tick: Timestamp,
    /// How long the evaluations since the last tick took.
    spent: Duration,
}

impl Questions {
    /// The next question that may be answered before the next tick; ticks are `interval` apart.
    /// Dropping the future loses none.
    pub(crate) async fn next(&mut self, tick: Timestamp, interval: Duration) -> Question {
        if self.tick != tick {
            (self.tick, self.spent) = (tick, Duration::ZERO);
        }
        if self.waiting.is_none() {
            self.waiting = self.queue.recv().await;
        }
        let has_time = self.free(interval) >= TOO_LATE;
        match self.waiting.take_if(|_| has_time) {
            Some(question) => question,
            None => std::future::pending().await,
        }
    }

    /// The time for an evaluation that begins now.
    fn free(&self, interval: Duration) -> Duration {
        let left = (interval / SHARE).saturating_sub(self.spent);
        self.tick.since(clock::now()).min(left).min(EVALUATION)
    }

    /// Answers a question.
    pub(crate) fn answer(&mut self, question: Question, window: &Window, interval: Duration) {
        let began = Instant::now();
        let until = began + self.free(interval);
        (question.0)(View { window, until });
        self.spent += began.elapsed();
    }
}

/// The side of the API.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    queue: mpsc::Sender<Question>,
    slots: Arc<Semaphore>,
}

impl Asker {
    /// A place among the queries under way, for as long as its answer takes.
    pub(super) async fn place(&self, patience: Duration) -> Result<OwnedSemaphorePermit, Problem> {
        let free = Arc::clone(&self.slots).acquire_owned();
        match timeout(patience, free).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(Problem::timeout(
                "too many queries are under way; try again later",
            )),
        }
    }

    /// What `read` finds in the window, by `deadline`.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        deadline: Instant,
        read: impl FnOnce(View<'_>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let question = Question(Box::new(move |view| {
            // A client that waits no longer costs nothing more.
            if reply.is_closed() || Instant::now() >= deadline {
                return;
            }
            let view = View {
                until: view.until.min(deadline),
                ..view
            };
            // It only reads, so that a panic leaves everything as it was; the ticks go on.
            let found = catch_unwind(AssertUnwindSafe(|| read(view)));
            let _gone = reply.send(found.ok());
        }));
        let asked = async {
            self.queue.send(question).await.map_err(|_| stopping())?;
            match answer.await {
                Ok(Some(found)) => Ok(found),
                Ok(None) => Err(Problem::internal(
                    "the evaluation panicked; the log says where",
                )),
                Err(_) if Instant::now() >= deadline => Err(too_late()),
                Err(_) => Err(stopping()),
            }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        timeout(left, asked)
            .await
            .unwrap_or_else(|_| Err(too_late()))
    }
}

fn stopping() -> Problem {
    Problem::unavailable("sidewatch is stopping")
}

fn too_late() -> Problem {
    Problem::timeout("query timed out while it waited for the tick under way")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::{EVALUATION, View, queue};
    use crate::runtime::clock;
    use crate::series::{Window, WindowLimits};

    const INTERVAL: Duration = Duration::from_millis(400);

    /// Uses all the time that it has.
    fn insatiable(view: View<'_>) {
        while Instant::now() < view.until {}
    }

    #[tokio::test]
    async fn evaluations_take_a_part_of_the_time_between_ticks_and_the_rest_wait() {
        let (asker, mut questions) = queue();
        let window = Window::new(WindowLimits::default());
        let deadline = Instant::now() + Duration::from_secs(20);
        let asking = async {
            for _ in 0..3 {
                asker.ask(deadline, insatiable).await.unwrap();
            }
        };
        let answering = async {
            for _ in 0..3 {
                let tick = clock::now() + EVALUATION;
                let question = questions.next(tick, INTERVAL).await;
                let began = Instant::now();
                questions.answer(question, &window, INTERVAL);
                assert!(began.elapsed() >= INTERVAL / 4);
                assert!(began.elapsed() < EVALUATION, "{:?}", began.elapsed());
                let early = timeout(INTERVAL / 8, questions.next(tick, INTERVAL));
                assert!(early.await.is_err(), "the part of this interval is used up");
            }
        };
        tokio::join!(asking, answering);
    }

    #[tokio::test]
    async fn a_question_just_before_a_tick_is_answered_after_it() {
        let (asker, mut questions) = queue();
        let window = Window::new(WindowLimits::default());
        let deadline = Instant::now() + Duration::from_secs(20);
        let asking = asker.ask(deadline, |view| view.window.series());
        let answering = async {
            let early = timeout(INTERVAL / 8, questions.next(clock::now(), INTERVAL));
            assert!(early.await.is_err());
            let question = questions.next(clock::now() + EVALUATION, INTERVAL).await;
            questions.answer(question, &window, INTERVAL);
        };
        let (found, ()) = tokio::join!(asking, answering);
        assert_eq!(found.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_question_alone() {
        let (asker, mut questions) = queue();
        let window = Window::new(WindowLimits::default());
        let deadline = Instant::now() + Duration::from_secs(20);
        let asking = asker.ask(deadline, |_| -> usize { panic!("a defect") });
        let answering = async {
            let question = questions.next(clock::now() + EVALUATION, INTERVAL).await;
            questions.answer(question, &window, INTERVAL);
        };
        let (found, ()) = tokio::join!(asking, answering);
        assert_eq!(found.unwrap_err().status, 500);
    }
}
