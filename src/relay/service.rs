//! The tasks of a relay: the server, the deliveries, and the command loop.

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
use tracing::{error, info, warn};

use super::counters::Counters;
use super::ledger::Ledger;
use super::page::page;
use super::receive::receive;
use crate::config::relay::Relay;
use crate::metric::Labels;
use crate::notify::Clock;
use crate::notify::retrain::Deliveries;
use crate::publish::{
    self, Call, Control, Credentials, NOTIFICATIONS, Reply, Server, Shared, Snapshot,
};
use crate::runtime::{Supervisor, clock, read_small, reload_signal};
use crate::service::MonitorError;
use crate::service::control::{self, Accepted, Api, Command, text};
use crate::service::open_store::{self, Place};
use crate::service::reload::{self, LoaderOf};
use crate::service::unapplied::{changed, shown};
use crate::service::{receivers, serve, webhooks};
use crate::state::{Store, StoreOutbox};

/// Reads the configuration again, with every check.
pub(crate) type Loader = LoaderOf<Relay>;

/// How long deliveries may continue after the stop signal.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Time between two updates of the published snapshot.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// The stages of a shutdown, in order.
const RECEIVING: usize = 0;
const DELIVERING: usize = 1;
const SERVING: usize = 2;

/// A relay. Build it, bind the server, run it.
pub(crate) struct Service {
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
    /// A relay with a checked configuration.
    #[must_use]
    pub(crate) fn new(relay: Relay) -> Self {
        Self {
            relay,
            loader: None,
            lifecycle: false,
            health: None,
            standby: false,
        }
    }

    /// Reloads the configuration with `load` at SIGHUP; with `lifecycle` also at `POST /-/reload`.
    #[must_use]
    pub(crate) fn with_reload(mut self, load: Loader, lifecycle: bool) -> Self {
        self.loader = Some(load);
        self.lifecycle = lifecycle;
        self
    }

    /// Serves the health endpoints on a separate listener.
    #[must_use]
    pub(crate) fn with_health(mut self, server: Server) -> Self {
        self.health = Some(server);
        self
    }

    /// If another process uses the store, waits for it instead of failing.
    #[must_use]
    pub(crate) fn with_standby(self, standby: bool) -> Self {
        Self { standby, ..self }
    }

    /// Runs until `stop` completes, then lets requests finish, drains the outbox and closes the
    /// server last.
    ///
    /// # Errors
    /// The store cannot be used, or a task ended unexpectedly.
    pub(crate) async fn run(
        self,
        server: Server,
        stop: impl Future<Output = ()>,
    ) -> Result<(), MonitorError> {
        let hang_ups = reload_signal()?;
        let mut supervisor = Supervisor::new(3);
        let shared = Arc::new(Shared::new(&Labels::empty()));
        let handler = Handler::default();
        let counters = Arc::clone(&handler.counters);
        shared.set_more(move || counters.families());
        shared.set_control(handler.clone().control());
        serve(supervisor.stage(SERVING), &shared, server, self.health);
        let mut stop = pin!(stop);
        let path = self.relay.storage.as_deref();
        let place = Place {
            path,
            standby: self.standby,
            is_optional: false,
        };
        let stage = supervisor.stage(DELIVERING);
        let Some(store) = open_store::open_unless(&mut stop, place, &shared, stage).await? else {
            supervisor.run(ready(()), STOP_GRACE).await;
            return Ok(());
        };
        if path.is_none() {
            warn!("without --storage.path, requests and cool-downs are lost at a restart");
        }
        let (commands, queue) = control::queue();
        let open = open(
            &mut supervisor,
            self.relay,
            &store,
            commands.clone(),
            self.lifecycle,
        )?;
        let receiving = supervisor.token(RECEIVING);
        let task = control::hang_ups(hang_ups, commands, receiving.clone());
        supervisor.spawn(RECEIVING, "signals", task);
        // Requests are served before the readiness endpoint reports ready.
        drop(handler.open.set(open.clone()));
        let task = CommandLoop {
            open,
            shared,
            durable: store.is_durable(),
            commands: queue,
            loader: self.loader,
            reload: publish::Reload {
                is_partial: false,
                succeeded_at: clock::now(),
                error: None,
            },
        };
        supervisor.spawn(RECEIVING, "commands", task.run(receiving));
        let ended = supervisor
            .run(stop, STOP_GRACE + Duration::from_secs(5))
            .await;
        open_store::close(store, ended).await
    }
}

/// Starts the deliveries and builds the ledger on an open store.
fn open(
    supervisor: &mut Supervisor,
    relay: Relay,
    store: &Arc<Store>,
    commands: mpsc::Sender<Command>,
    lifecycle: bool,
) -> Result<OpenRelay, MonitorError> {
    let clock: Clock = Arc::new(clock::now);
    let receivers = webhooks(&relay.retraining);
    let outbox = Arc::new(StoreOutbox::new(Arc::clone(store)));
    let (deliveries, runner) = Deliveries::new(receivers, outbox, clock, STOP_GRACE)?;
    let task = runner.run(supervisor.token(DELIVERING));
    supervisor.spawn(DELIVERING, "retraining", task);
    let relay = Arc::new(relay);
    Ok(OpenRelay {
        ledger: Ledger::new(Arc::clone(&relay), Arc::clone(store), deliveries.clone()),
        api: Api {
            commands,
            deliveries,
            lifecycle,
            prober: None,
            queries: None,
        },
        receiving: supervisor.token(RECEIVING),
        relay: Arc::new(watch::Sender::new(relay)),
    })
}

/// The parts that handle requests once the store is open.
#[derive(Debug, Clone)]
struct OpenRelay {
    api: Api,
    ledger: Ledger,
    /// Cancelled when the relay stops accepting notifications.
    receiving: CancellationToken,
    relay: Arc<watch::Sender<Arc<Relay>>>,
}

/// Handles requests, also before the store is open.
#[derive(Debug, Clone, Default)]
struct Handler {
    open: Arc<OnceLock<OpenRelay>>,
    counters: Arc<Counters>,
}

impl Handler {
    fn control(self) -> Control {
        let control = Control::new(move |call| -> BoxFuture<'static, Reply> {
            let handler = self.clone();
            Box::pin(async move { handler.handle(call).await })
        });
        control.with_paths(&["/", NOTIFICATIONS])
    }

    async fn handle(&self, call: Call) -> Reply {
        let is_webhook = call.path == NOTIFICATIONS;
        let reply = match self.open.get() {
            Some(open) => self.handle_open(open, call).await,
            // Alertmanager retries, possibly at the instance that has the store.
            None => text(503, "standby: another instance has the store\n"),
        };
        if is_webhook {
            self.counters.count_response(reply.status);
        }
        reply
    }

    async fn handle_open(&self, open: &OpenRelay, call: Call) -> Reply {
        let relay = Arc::clone(&open.relay.borrow());
        // Knowing the id of a request is enough to report its retraining as done.
        let is_public = call.path == "/" || call.path.ends_with("/done");
        if !is_public && let Some(token) = &relay.token {
            match is_authorized(&call.authorization, token).await {
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
            NOTIFICATIONS => self.receive(open, call).await,
            _ => open.api.answer(call).await,
        }
    }

    /// Handles a notification of Alertmanager; `call` has the token, if there is one.
    async fn receive(&self, open: &OpenRelay, call: Call) -> Reply {
        if call.method != "POST" {
            return text(405, "only POST is served here\n");
        }
        // Browsers let any page post text to another host, but not JSON.
        if !call.is_json() {
            return text(415, "Content-Type: must be application/json\n");
        }
        if open.receiving.is_cancelled() {
            return text(503, "sidewatch is stopping\n");
        }
        match receive(&open.ledger, &self.counters, call.body.in_pieces()).await {
            Ok(()) => text(200, "ok\n"),
            Err(reply) => reply,
        }
    }
}

/// Whether the credentials are the bearer token in a file. The file is read for every request.
async fn is_authorized(credentials: &Credentials, file: &Path) -> Result<bool, String> {
    let token = read_small(file).await?;
    let token = token.trim_ascii();
    if token.is_empty() {
        return Err("it is empty".to_owned());
    }
    let given = credentials
        .0
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    // Comparing digests keeps the duration independent of the token.
    Ok(given
        .is_some_and(|(_, given)| Sha256::digest(given.trim().as_bytes()) == Sha256::digest(token)))
}

/// Executes commands and updates the published snapshot.
struct CommandLoop {
    open: OpenRelay,
    shared: Arc<Shared>,
    durable: bool,
    commands: mpsc::Receiver<Command>,
    loader: Option<Loader>,
    reload: publish::Reload,
}

impl CommandLoop {
    async fn run(mut self, stop: CancellationToken) {
        let mut refresh = interval(REFRESH_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(command) = self.commands.recv() => self.execute(command).await,
                _ = refresh.tick() => {}
            }
            self.publish();
            self.shared.set_ready();
        }
        self.shared.set_stopping();
        info!("stopped accepting notifications");
    }

    async fn execute(&mut self, command: Command) {
        match command {
            Command::Reload(reply) => {
                let result = self.reload().await;
                self.reload.error = result.as_ref().err().cloned();
                // The caller may have disconnected.
                let _disconnected = reply.send(result);
            }
            Command::Done(id, reply) => {
                let was_in_flight = self.open.ledger.done(&id).await;
                info!(id, was_in_flight, "retraining reported as done");
                let _disconnected = reply.send(was_in_flight);
            }
            // A relay judges nothing.
            Command::Accept(_, reply) => {
                let _disconnected = reply.send(Accepted::Unknown);
            }
        }
    }

    /// Replaces the whole configuration, or nothing if it has a mistake.
    async fn reload(&mut self) -> reload::Outcome {
        let relay = self.load().await.inspect_err(|problems| {
            error!(%problems, "the configuration was not reloaded; the previous one remains in use");
        })?;
        let receivers = webhooks(&relay.retraining);
        self.open.api.deliveries.reconfigure(receivers);
        self.open.ledger.reconfigure(Arc::clone(&relay)).await;
        self.open.relay.send_replace(relay);
        self.reload.succeeded_at = clock::now();
        info!("the configuration was reloaded");
        Ok("reloaded".to_owned())
    }

    /// Reads the configuration and checks that it can replace the current one.
    async fn load(&self) -> Result<Arc<Relay>, String> {
        let relay = reload::load(self.loader.clone()).await?;
        let was = self.open.relay.borrow().storage.as_deref().map(shown);
        let is = relay.storage.as_deref().map(shown);
        if let Some(change) = changed("storage.path", was.as_deref(), is.as_deref()) {
            return Err(change.to_string());
        }
        Ok(Arc::new(relay))
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
