//! Commands to a running process, over HTTP and by signal.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::probe::Prober;
use super::queries::{PATHS, QueryApi, is_query};
use super::reload::{self, LoaderOf};
use crate::config::Config;
use crate::notify::retrain::Deliveries;
use crate::publish::{Body, Call, Control, Reply};
use crate::scrape::Exposition;

/// Reloads the configuration, with every check.
pub type Loader = LoaderOf<Config>;

/// Inspects each scrape; the configuration is reloaded once it reports that it has recognised the
/// target.
pub type Recogniser = Arc<dyn Fn(&Exposition) -> bool + Send + Sync>;

/// Capacity of the command queue; more commands are refused.
const QUEUE: usize = 16;
/// How long a changed configuration has to stay the same before it is loaded.
const SETTLED: Duration = Duration::from_secs(5);
/// Largest number of keys in one request.
const MAX_KEYS: usize = 10_000;

/// A command for the tick loop.
#[derive(Debug)]
pub(crate) enum Command {
    /// Reload the configuration; the reply is what became of it.
    Reload(reload::Reply),
    /// Report a retraining as done; the reply is whether it was under way.
    Done(String, oneshot::Sender<bool>),
    /// Accept the present level of the signal with this id as normal.
    Accept(String, oneshot::Sender<Accepted>),
}

/// What became of a request to accept a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It becomes normal with the next evaluation.
    Yes,
    /// The signal is in no incident that learning could end.
    NoIncident,
    /// There is no such signal.
    Unknown,
}

/// A queue of commands.
pub(crate) fn queue() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(QUEUE)
}

/// Turns each SIGHUP into a reload.
pub(crate) async fn hang_ups(
    mut signal: Signal,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = signal.recv() => {
                info!(signal = "SIGHUP", "reloading");
                // The tick loop logs the result.
                let (reply, _) = oneshot::channel();
                if commands.try_send(Command::Reload(reply)).is_err() {
                    warn!("too many reloads at once; skipping this one");
                }
            }
        }
    }
}

/// Reads the configuration periodically and requests a reload when its contents changed and then
/// stayed the same for a while, since someone may still be writing a file; renames and links of
/// files do not matter.
pub(super) async fn poll(
    loader: Loader,
    every: Duration,
    in_force: watch::Receiver<Arc<Config>>,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
) {
    let mut changed: Option<(String, Instant)> = None;
    // Problems that were reported.
    let mut known = String::new();
    loop {
        let wait = if changed.is_some() {
            every.min(SETTLED)
        } else {
            every
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
        let load = Arc::clone(&loader);
        // Problems count as content: they are reported once, and a corrected file is loaded.
        let Ok(seen) = spawn_blocking(move || match load() {
            Ok(config) => config.hash(),
            Err(problems) => problems.to_string(),
        })
        .await
        else {
            continue;
        };
        // A recognised server and a signal reload the configuration too.
        if seen == known || seen == in_force.borrow().hash() {
            changed = None;
            continue;
        }
        match &changed {
            Some((before, since)) if *before == seen && since.elapsed() >= SETTLED => {}
            Some((before, _)) if *before == seen => continue,
            _ => {
                changed = Some((seen, Instant::now()));
                continue;
            }
        }
        info!("the configuration has changed; reloading");
        let (reply, _) = oneshot::channel();
        // A full queue contains a reload, or the next check requests it again.
        if commands.try_send(Command::Reload(reply)).is_ok() {
            known = seen;
            changed = None;
        }
    }
}

/// Serves the paths of [`Control`].
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) deliveries: Deliveries,
    /// `--web.enable-lifecycle`.
    pub(crate) lifecycle: bool,
    /// `None` if probes are off.
    pub(crate) prober: Option<Prober>,
    /// `None` for the relay, which has no series.
    pub(crate) queries: Option<QueryApi>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    keys: Vec<String>,
}

impl Api {
    pub(crate) fn control(self) -> Control {
        Control::new(move |call| -> BoxFuture<'static, Reply> {
            let api = self.clone();
            Box::pin(async move { api.answer(call).await })
        })
        .with_paths(&PATHS)
    }

    /// Answers a call. What its path, method, media type and the flags do not allow is refused
    /// before the body is read.
    pub(crate) async fn answer(&self, call: Call) -> Reply {
        let post = call.method == "POST" || call.method == "PUT";
        if call.path == "/probe" {
            return match (&*call.method, &self.prober) {
                ("GET", Some(prober)) => prober.answer(&call.query).await,
                ("GET", None) => text(404, "not found\n"),
                _ => text(405, "only GET probes\n"),
            };
        }
        if let Some(rest) = call.path.strip_prefix("/api/v1/signals/") {
            return match rest.strip_suffix("/accept") {
                Some(id) if post && !id.is_empty() => self.accept(id, call.body).await,
                Some(id) if !id.is_empty() => error(405, "bad_data", "only POST accepts a level"),
                _ => error(404, "not_found", "no such path"),
            };
        }
        if let Some(queries) = self.queries.as_ref().filter(|_| is_query(&call.path)) {
            return queries.answer(call).await;
        }
        let rest = call.path.strip_prefix("/api/v1/retraining/");
        match rest {
            None if post => self.reload(call.body).await,
            None => text(405, "only POST and PUT reload\n"),
            Some("outbox") if call.method == "GET" || call.method == "HEAD" => self.list(),
            Some("outbox") => error(405, "bad_data", "only GET lists the outbox"),
            Some(_) if !post => error(405, "bad_data", "only POST changes something"),
            Some("outbox/retry") => self.change(call, true).await,
            Some("outbox/drop") => self.change(call, false).await,
            Some(rest) => match rest.strip_suffix("/done") {
                Some(id) if !id.is_empty() => self.done(id, call.body).await,
                _ => error(404, "not_found", "no such path"),
            },
        }
    }

    async fn reload(&self, body: Body) -> Reply {
        if !self.lifecycle {
            return text(
                403,
                "reloading over HTTP is off; start with --web.enable-lifecycle, or send SIGHUP\n",
            );
        }
        if let Err(refused) = body.discard().await {
            return refused;
        }
        let (reply, answer) = oneshot::channel();
        if self.commands.try_send(Command::Reload(reply)).is_err() {
            return text(503, "too many reloads at once, or stopping\n");
        }
        match answer.await {
            Ok(Ok(done)) => text(200, &format!("{done}\n")),
            Ok(Err(problems)) => text(
                500,
                &format!("the old configuration stays in force\n{problems}\n"),
            ),
            Err(_) => text(503, "sidewatch is stopping\n"),
        }
    }

    fn list(&self) -> Reply {
        success(&json!(self.deliveries.list()))
    }

    async fn change(&self, call: Call, retry: bool) -> Reply {
        // Without the user's consent, a web page can post text to another host, but not JSON.
        if !call.is_json() {
            return error(415, "bad_data", "Content-Type: must be application/json");
        }
        let body = match call.body.read().await {
            Ok(body) => body,
            Err(refused) => return refused,
        };
        let keys = match serde_json::from_slice::<Keys>(&body) {
            Ok(Keys { keys }) if keys.len() <= MAX_KEYS => keys,
            Ok(_) => {
                let text = format!("keys: at most {MAX_KEYS} at once");
                return error(400, "bad_data", &text);
            }
            Err(problem) => {
                let text = format!("the body must be {{\"keys\": [...]}}: {problem}");
                return error(400, "bad_data", &text);
            }
        };
        drop(body);
        let mut unknown = Vec::new();
        for key in keys {
            let changed = if retry {
                self.deliveries.retry(&key).await
            } else {
                self.deliveries.drop_entry(&key).await
            };
            match changed {
                Ok(true) => info!(key, retry, "a user changed the outbox"),
                Ok(false) => unknown.push(key),
                Err(problem) => return error(500, "internal", &problem.to_string()),
            }
        }
        if unknown.is_empty() {
            return success(&json!([]));
        }
        let text = format!("not in the outbox: {}", unknown.join(", "));
        error(404, "not_found", &text)
    }

    async fn accept(&self, id: &str, body: Body) -> Reply {
        if let Err(refused) = body.discard().await {
            return refused;
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::Accept(id.to_owned(), reply);
        let sent = self.commands.try_send(command).is_ok();
        match if sent { answer.await.ok() } else { None } {
            Some(Accepted::Yes) => success(&json!({ "id": id })),
            Some(Accepted::NoIncident) => error(
                409,
                "conflict",
                "the signal is in no open incident, or its limit is fixed; there is nothing to accept",
            ),
            Some(Accepted::Unknown) => error(404, "not_found", "no judged signal has this id"),
            None => error(503, "unavailable", "too many commands at once, or stopping"),
        }
    }

    async fn done(&self, id: &str, body: Body) -> Reply {
        if let Err(refused) = body.discard().await {
            return refused;
        }
        let (reply, answer) = oneshot::channel();
        let sent = self
            .commands
            .try_send(Command::Done(id.to_owned(), reply))
            .is_ok();
        let known = if sent { answer.await.ok() } else { None };
        match known {
            Some(true) => success(&json!({ "id": id })),
            Some(false) => error(
                404,
                "not_found",
                "no retraining with this key is under way; it was reported before, or timed out",
            ),
            None => error(503, "unavailable", "too many commands at once, or stopping"),
        }
    }
}

pub(crate) fn text(status: u16, body: &str) -> Reply {
    Reply {
        status,
        content_type: "text/plain; charset=utf-8",
        body: body.to_owned(),
    }
}

fn success(data: &serde_json::Value) -> Reply {
    Reply {
        status: 200,
        content_type: "application/json",
        body: json!({ "status": "success", "data": data }).to_string(),
    }
}

fn error(status: u16, kind: &str, message: &str) -> Reply {
    Reply {
        status,
        content_type: "application/json",
        body: json!({ "status": "error", "errorType": kind, "error": message }).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::Mutex;
    use tokio::sync::watch;
    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep, timeout};
    use tokio_util::sync::CancellationToken;

    use super::{Command, Loader, SETTLED, poll, queue};
    use crate::config::Config;
    use crate::judge::Registry;

    const RULES: &str = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n";

    #[tokio::test(start_paused = true)]
    async fn a_configuration_is_loaded_when_it_has_stopped_changing() {
        let load = |text: &str| Config::default().with_rules("r", text, &Registry::built_in());
        let text = Arc::new(Mutex::new(RULES.to_owned()));
        let file = Arc::clone(&text);
        let loader: Loader = Arc::new(move || load(&file.lock()));
        let (commands, mut queue) = queue();
        let (every, stop) = (Duration::from_secs(1), CancellationToken::new());
        let (current, in_force) = watch::channel(Arc::new(load(RULES).unwrap()));
        let mut polling = JoinSet::new();
        polling.spawn(poll(loader, every, in_force, commands, stop.clone()));

        // The half of a file that is written slowly.
        *text.lock() = "groups: []\n".to_owned();
        sleep(SETTLED / 2).await;
        *text.lock() = RULES.to_owned();
        let early = timeout(10 * SETTLED, queue.recv()).await;
        assert!(early.is_err(), "a half was loaded");

        // What was loaded for another reason is no change.
        let other = "groups: [{name: g, rules: [{alert: B, expr: up == 0}]}]\n";
        *text.lock() = other.to_owned();
        current.send_replace(Arc::new(load(other).unwrap()));
        let again = timeout(10 * SETTLED, queue.recv()).await;
        assert!(again.is_err(), "it was loaded a second time");

        // A broken file counts as content too.
        for changed in ["groups: []\n", "groups: {\n"] {
            *text.lock() = changed.to_owned();
            let started = Instant::now();
            let found = timeout(3 * SETTLED, queue.recv()).await;
            assert!(matches!(found, Ok(Some(Command::Reload(_)))), "{changed}");
            assert!(started.elapsed() >= SETTLED, "{changed}");
        }
        stop.cancel();
        polling.join_next().await.unwrap().unwrap();
    }
}
