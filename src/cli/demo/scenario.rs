//! The course of the demonstration: the model is healthy, degrades, and is retrained.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::event_log::EventLog;
use super::model::{Health, Model};
use crate::publish::{Handler, Reply};
use crate::runtime::clock;

/// Seed of the simulated traffic, so that every demonstration is the same.
const SEED: u64 = 20;

/// The simulated model and when its health changes.
#[derive(Debug)]
pub(super) struct Scenario {
    log: Arc<EventLog>,
    /// Seconds after the start at which the model degrades.
    degrades_at: f64,
    /// Seconds after the start at which a retrained model replaces it.
    recovers_at: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    model: Model,
    /// Seconds after the start up to which requests have been simulated.
    served_until: f64,
    health: Health,
    /// Names of the alerts that fire in the receiver.
    firing: Vec<String>,
}

impl Scenario {
    /// The model degrades after a third of `duration` and recovers after two thirds.
    pub(super) fn new(duration: Duration, log: Arc<EventLog>) -> Self {
        let third = duration.as_secs_f64() / 3.0;
        Self {
            log,
            degrades_at: third,
            recovers_at: 2.0 * third,
            state: Mutex::new(State {
                model: Model::new(SEED),
                served_until: 0.0,
                health: Health::Good,
                firing: Vec::new(),
            }),
        }
    }

    /// The handler of the model server.
    pub(super) fn model_server(self: &Arc<Self>) -> Handler {
        let scenario = Arc::clone(self);
        Arc::new(move |_, path, _| {
            let (status, body) = match path {
                "/metrics" => (200, scenario.exposition()),
                _ => (404, "not found\n".to_owned()),
            };
            Reply {
                status,
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                body,
            }
        })
    }

    /// Simulates the requests since the last scrape and returns the model server's metrics.
    fn exposition(&self) -> String {
        let now = self.log.elapsed();
        let mut state = self.lock();
        let health = if (self.degrades_at..self.recovers_at).contains(&now) {
            Health::Degraded
        } else {
            Health::Good
        };
        if health != state.health {
            state.health = health;
            self.log.print(match health {
                Health::Degraded => "*** the model degrades: slower, and wrong more often",
                Health::Good => "*** a retrained model takes over",
            });
        }
        let seconds = now - state.served_until;
        state.served_until = now;
        state.model.serve(seconds, health);
        state.model.exposition()
    }

    /// Alertmanager received an alert. `ends_at` is in the past if the alert is resolved.
    pub(super) fn alert_received(&self, name: &str, ends_at: &str) {
        let is_resolved = ends_at <= clock::now().to_string().as_str();
        let mut state = self.lock();
        let index = state.firing.iter().position(|firing| firing == name);
        match (is_resolved, index) {
            (false, None) => {
                state.firing.push(name.to_owned());
                self.log.print(&format!(
                    "          Alertmanager received: {name} is firing"
                ));
            }
            (true, Some(index)) => {
                state.firing.remove(index);
                self.log.print(&format!(
                    "          Alertmanager received: {name} is resolved"
                ));
            }
            // Repeated notifications are not printed.
            (false, Some(_)) | (true, None) => {}
        }
    }

    /// The retraining webhook received a request.
    pub(super) fn retraining_requested(&self, id: &str) {
        let short: String = id.chars().take(12).collect();
        self.log.print(&format!(
            "          the retraining webhook received request {short}"
        ));
        self.log.count("retraining requested");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
