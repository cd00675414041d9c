//! What happens when: healthy, degraded, retrained.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::account::Account;
use super::model::{Health, Model};
use crate::publish::{Handler, Reply};
use crate::runtime::clock;

/// Seed of the imaginary traffic: the same story every time.
const SEED: u64 = 20;

/// The plot and the model it is about.
#[derive(Debug)]
pub(super) struct Story {
    account: Arc<Account>,
    degrades: f64,
    recovers: f64,
    scene: Mutex<Scene>,
}

#[derive(Debug)]
struct Scene {
    model: Model,
    served_until: f64,
    health: Health,
    firing: Vec<String>,
}

impl Story {
    pub(super) fn new(length: Duration, account: Arc<Account>) -> Self {
        let third = length.as_secs_f64() / 3.0;
        Self {
            account,
            degrades: third,
            recovers: 2.0 * third,
            scene: Mutex::new(Scene {
                model: Model::new(SEED),
                served_until: 0.0,
                health: Health::Good,
                firing: Vec::new(),
            }),
        }
    }

    /// The handler of the model server: its counters as of now.
    pub(super) fn model_server(self: &Arc<Self>) -> Handler {
        let story = Arc::clone(self);
        Arc::new(move |_, path, _| {
            let known = path == "/metrics";
            Reply {
                status: if known { 200 } else { 404 },
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                body: if known {
                    story.exposition()
                } else {
                    "not found\n".to_owned()
                },
            }
        })
    }

    fn exposition(&self) -> String {
        let now = self.account.elapsed();
        let mut scene = self.scene.lock();
        let health = if (self.degrades..self.recovers).contains(&now) {
            Health::Degraded
        } else {
            Health::Good
        };
        if health != scene.health {
            scene.health = health;
            self.account.say(match health {
                Health::Degraded => "*** the model degrades: slower, and wrong more often",
                Health::Good => "*** a retrained model takes over",
            });
        }
        let served = now - scene.served_until;
        scene.served_until = now;
        scene.model.serve(served, health);
        scene.model.exposition()
    }

    /// Alertmanager got an alert that ends at this time.
    pub(super) fn heard(&self, name: &str, ends_at: &str) {
        let resolved = ends_at <= clock::now().to_string().as_str();
        let mut scene = self.scene.lock();
        let known = scene.firing.iter().position(|firing| firing == name);
        match (resolved, known) {
            (false, None) => {
                scene.firing.push(name.to_owned());
                self.account
                    .say(&format!("          Alertmanager heard that {name} fires"));
            }
            (true, Some(index)) => {
                scene.firing.remove(index);
                self.account
                    .say(&format!("          Alertmanager heard that {name} is over"));
            }
            // Renewed leases are not worth a line.
            (false, Some(_)) | (true, None) => {}
        }
    }

    /// The retraining pipeline got a request.
    pub(super) fn asked(&self, id: &str) {
        let short: String = id.chars().take(12).collect();
        self.account.say(&format!(
            "          the retraining webhook was asked for a new model (request {short})"
        ));
        self.account.count("retraining requested");
    }
}
