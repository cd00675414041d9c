//! The tasks of a relay: the server, the deliveries, and the loop between them.

use std::fmt;
use std::future::ready;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::counters::Counters;
use super::ledger::Ledger;
use super::message::Notification;
use super::page::page;
use crate::config::relay::Relay;
use crate::metric::Labels;
use crate::notify::Clock;
use crate::notify::retrain::Deliveries;
use crate::publish::{self, Call, Control, Credentials, Reply, Server, Shared, Snapshot};
use crate::runtime::{Supervisor, clock, reload_signal};
use crate::service::MonitorError;
use crate::service::control::{self, Api, Command, text};
use crate::service::open_store::{self, Place};
use crate::service::reload::{self, LoaderOf};
use crate::service::{receivers, serve, webhooks};
use crate::state::{Store, StoreOutbox};

/// Reads the configuration again, with every check.
pub type Loader = LoaderOf<Relay>;

/// Where Alertmanager posts.
const WEBHOOK: &str = "/api/v1/alertmanager";
/// How long queues may drain at stop.
const GRACE: Duration = Duration::from_secs(10);
/// How old what is shown may be.
const REFRESH: Duration = Duration::from_secs(1);

/// The stages of stopping, first to last.
const RECEIVING: usize = 0;
const DELIVERING: usize = 1;
const SERVING: usize = 2;

/// A relay. Build it, bind the server, run it.
pub struct Service {
    relay: Relay,
    loader: Option<Loader>,
    lifecycle: bool,
    health: Option<Server>,
    standby: bool,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("relay", &self.relay)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A relay for a checked configuration.
    #[must_use]
    pub fn new(relay: Relay) -> Self {
        Self {
            relay,
            loader: None,
            lifecycle: false,
            health: None,
            standby: false,
        }
    }

    /// Reads the configuration again with `load` at SIGHUP, and at `POST /-/reload` with `lifecycle`.
    #[must_use]
    pub fn with_reload(mut self, load: Loader, lifecycle: bool) -> Self {
        self.loader = Some(load);
        self.lifecycle = lifecycle;
        self
    }

    /// Serves health on a listener of its own.
    #[must_use]
    pub fn with_health(mut self, server: Server) -> Self {
        self.health = Some(server);
        self
    }

    /// Waits for a store that another process has, instead of failing.
    #[must_use]
    pub fn with_standby(self, standby: bool) -> Self {
        Self { standby, ..self }
    }

    /// Runs until `stop` completes, then lets requests finish, drains the outbox and closes the server last.
    ///
    /// # Errors
    /// When the store cannot be used, or a task that should run for ever ended.
    pub async fn run(
        self,
        server: Server,
        stop: impl Future<Output = ()>,
    ) -> Result<(), MonitorError> {
        let hang_ups = reload_signal()?;
        let mut supervisor = Supervisor::new(3);
        let shared = Arc::new(Shared::new(&Labels::empty()));
        let desk = Desk::default();
        let counters = Arc::clone(&desk.counters);
        shared.set_more(move || counters.families());
        shared.set_control(desk.clone().control());
        serve(supervisor.stage(SERVING), &shared, server, self.health);
        let mut stop = pin!(stop);
        let path = self.relay.storage.as_deref();
        let place = Place {
            path,
            standby: self.standby,
        };
        let stage = supervisor.stage(DELIVERING);
        let Some(store) = open_store::open_unless(&mut stop, place, &shared, stage).await? else {
            supervisor.run(ready(()), GRACE).await;
            return Ok(());
        };
        if path.is_none() {
            warn!("without --storage.path a restart forgets requests and cool-downs");
        }
        let (commands, queue) = control::queue();
        let open = open(
            &mut supervisor,
            self.relay,
            &store,
            (commands.clone(), self.lifecycle),
        )?;
        let receiving = supervisor.token(RECEIVING);
        let task = control::hang_ups(hang_ups, commands, receiving.clone());
        supervisor.spawn(RECEIVING, "signals", task);
        // Who is told that it is ready finds it open.
        drop(desk.open.set(open.clone()));
        let task = Loop {
            open,
            shared,
            durable: store.is_durable(),
            commands: queue,
            loader: self.loader,
            reload: publish::Reload {
                succeeded_at: clock::now(),
                error: None,
            },
        };
        supervisor.spawn(RECEIVING, "commands", task.run(receiving));
        let ended = supervisor.run(stop, GRACE + Duration::from_secs(5)).await;
        open_store::close(store, ended).await
    }
}

/// The deliveries and the ledger over an open store.
fn open(
    supervisor: &mut Supervisor,
    relay: Relay,
    store: &Arc<Store>,
    (commands, lifecycle): (mpsc::Sender<Command>, bool),
) -> Result<Open, MonitorError> {
    let clock: Clock = Arc::new(clock::now);
    let receivers = webhooks(&relay.retraining);
    let outbox = Arc::new(StoreOutbox::new(Arc::clone(store)));
    let (deliveries, runner) = Deliveries::new(receivers, outbox, clock, GRACE)?;
    let task = runner.run(supervisor.token(DELIVERING));
    supervisor.spawn(DELIVERING, "retraining", task);
    let relay = Arc::new(relay);
    Ok(Open {
        ledger: Ledger::new(Arc::clone(&relay), Arc::clone(store), deliveries.clone()),
        api: Api {
            commands,
            deliveries,
            lifecycle,
            prober: None,
        },
        receiving: supervisor.token(RECEIVING),
        relay: Arc::new(watch::Sender::new(relay)),
    })
}

/// What answers once the store is open.
#[derive(Debug, Clone)]
struct Open {
    api: Api,
    ledger: Ledger,
    /// Cancelled when no more notifications are taken.
    receiving: CancellationToken,
    relay: Arc<watch::Sender<Arc<Relay>>>,
}

/// Answers every call, also before the store is open.
#[derive(Debug, Clone, Default)]
struct Desk {
    open: Arc<OnceLock<Open>>,
    counters: Arc<Counters>,
}

impl Desk {
    fn control(self) -> Control {
        let control = Control::new(move |call| -> BoxFuture<'static, Reply> {
            let desk = self.clone();
            Box::pin(async move { desk.answer(call).await })
        });
        control.with_paths(&["/", WEBHOOK])
    }

    async fn answer(&self, call: Call) -> Reply {
        let is_webhook = call.path == WEBHOOK;
        let reply = match self.open.get() {
            Some(open) => self.answer_open(open, call).await,
            // Alertmanager tries again, perhaps at the instance that has the store.
            None => text(503, "standby: another instance has the store\n"),
        };
        if is_webhook {
            self.counters.answered(reply.status);
        }
        reply
    }

    async fn answer_open(&self, open: &Open, call: Call) -> Reply {
        let relay = Arc::clone(&open.relay.borrow());
        // Whoever knows the key of a request may report it done.
        let is_free = call.path == "/" || call.path.ends_with("/done");
        if !is_free && let Some(token) = &relay.token {
            match shows(&call.authorization, token).await {
                Ok(true) => {}
                Ok(false) => return text(401, "unauthorized\n"),
                Err(error) => {
                    error!(path = %token.display(), %error, "the token cannot be read");
                    return text(500, "the token cannot be read\n");
                }
            }
        }
        match call.path.as_str() {
            "/" => {
                let gates = open.ledger.describe().await;
                text(200, &page(&relay, &gates, &open.api.deliveries.stats()))
            }
            WEBHOOK => self.notified(open, &call).await,
            _ => open.api.answer(&call).await,
        }
    }

    async fn notified(&self, open: &Open, call: &Call) -> Reply {
        if call.method != "POST" {
            return text(405, "only POST is served here\n");
        }
        // A page in somebody's browser can post text, but not JSON, to another host unasked.
        if !call.content_type.starts_with("application/json") {
            return text(415, "Content-Type: must be application/json\n");
        }
        if open.receiving.is_cancelled() {
            return text(503, "sidewatch is stopping\n");
        }
        let notification = match Notification::parse(&call.body) {
            Ok(notification) => notification,
            Err(error) => {
                warn!(%error, "a notification was refused");
                return text(400, &format!("{error}\n"));
            }
        };
        let (receiver, truncated) = (notification.receiver.clone(), notification.truncated);
        if truncated > 0 {
            warn!(
                receiver,
                truncated, "Alertmanager left alerts out; see max_alerts"
            );
        }
        match open.ledger.take(notification).await {
            Ok(decided) => {
                debug!(receiver, outcomes = ?decided.outcomes, "notified");
                self.counters.decided(&decided.outcomes, truncated);
                text(200, "ok\n")
            }
            Err(error) => {
                error!(receiver, %error, "a notification could not be taken; Alertmanager tries again");
                text(503, &format!("{error}\n"))
            }
        }
    }
}

/// Whether a header shows the token in a file, which is read for every request.
async fn shows(credentials: &Credentials, file: &Path) -> std::io::Result<bool> {
    let token = tokio::fs::read_to_string(file).await?;
    let token = token.trim();
    if token.is_empty() {
        return Err(std::io::Error::other("it is empty"));
    }
    let shown = credentials.0.split_once(' ');
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    // Digests are compared, so that the time tells nothing of the token.
    Ok(shown.is_some_and(|(_, shown)| {
        Sha256::digest(shown.trim().as_bytes()) == Sha256::digest(token.as_bytes())
    }))
}

/// The loop that obeys commands and keeps what is shown fresh.
struct Loop {
    open: Open,
    shared: Arc<Shared>,
    durable: bool,
    commands: mpsc::Receiver<Command>,
    loader: Option<Loader>,
    reload: publish::Reload,
}

impl Loop {
    async fn run(mut self, stop: CancellationToken) {
        let mut refresh = interval(REFRESH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(command) = self.commands.recv() => self.obey(command).await,
                _ = refresh.tick() => {}
            }
            self.publish();
            self.shared.set_ready();
        }
        self.shared.set_stopping();
        info!("no more notifications");
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Reload(reply) => {
                let result = self.reload().await;
                self.reload.error = result.clone().err();
                // Whoever asked may be gone.
                let _gone = reply.send(result);
            }
            Command::Done(id, reply) => {
                let known = self.open.ledger.done(&id).await;
                info!(id, known, "retraining reported done");
                let _gone = reply.send(known);
            }
        }
    }

    /// All or nothing: with any mistake the old configuration stays in force.
    async fn reload(&mut self) -> Result<(), String> {
        let loaded = reload::load(self.loader.clone()).await;
        let before = Arc::clone(&self.open.relay.borrow());
        let relay = loaded.and_then(|relay| {
            if relay.storage == before.storage {
                Ok(Arc::new(relay))
            } else {
                Err("storage.path: is open; restart to change it".to_owned())
            }
        });
        let relay = relay.inspect_err(|problems| {
            error!(%problems, "the configuration was not reloaded; the old one stays in force");
        })?;
        let receivers = webhooks(&relay.retraining);
        self.open.api.deliveries.reconfigure(receivers);
        self.open.ledger.reconfigure(Arc::clone(&relay)).await;
        self.open.relay.send_replace(relay);
        self.reload.succeeded_at = clock::now();
        info!("the configuration was reloaded");
        Ok(())
    }

    fn publish(&self) {
        self.shared.publish(Snapshot {
            at: clock::now(),
            receivers: receivers(self.open.api.deliveries.stats()),
            durable: self.durable,
            reload: self.reload.clone(),
            ..Snapshot::default()
        });
    }
}
