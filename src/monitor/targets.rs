//! Targets that come and go: what discovery found, who is new, who is gone.

use std::collections::HashSet;
use std::net::SocketAddr;

use tracing::info;

use super::model_monitor::{ModelMonitor, Scraped};
use super::rollout::Rollout;
use crate::alert::Alert;
use crate::config::Config;
use crate::config::settings::{Baseline, Target};
use crate::metric::Timestamp;

/// What discovery knows, and who left.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    /// The last answer, sorted; `None` before the first.
    pub(super) addresses: Option<Vec<SocketAddr>>,
    /// Instances that are no longer found.
    pub(super) departed: Vec<Departed>,
}

/// A replica that is no longer found.
#[derive(Debug)]
pub(super) struct Departed {
    instance: String,
    since: Timestamp,
    /// It has stayed away for the grace: its alerts have ended, and what ranges still hold of it is not judged any more.
    ended: bool,
}

/// Every target of a configuration: those that are listed, then those that were found.
pub(super) fn wanted(config: &Config, addresses: Option<&[SocketAddr]>) -> Vec<Target> {
    let scrape = &config.settings.scrape;
    let mut targets = scrape.targets.clone();
    if let Some(discovery) = &scrape.discovery {
        for address in addresses.unwrap_or_default() {
            let found = discovery.target(*address, &config.settings.model);
            // A replica that is also listed is one target.
            let instance = found.labels.get("instance");
            if targets
                .iter()
                .all(|known| known.labels.get("instance") != instance)
            {
                targets.push(found);
            }
        }
    }
    targets
}

impl ModelMonitor {
    /// Takes the addresses that the name of `scrape.discovery` has now; one target each. Returns the positions of those that are new.
    ///
    /// A target that stays keeps its samples. The series of one that is gone get stale markers and leave the window when no range
    /// reaches them any more; its alerts stay as they are for `model.rollout_grace`, since a replica that crashes is
    /// gone for a moment too. No address at all is `idle`: nothing runs that could be judged.
    pub fn discovered(&mut self, addresses: &[SocketAddr], at: Timestamp) -> Vec<usize> {
        if self.discovered.addresses.as_deref() == Some(addresses) {
            return Vec::new();
        }
        let instances = |monitor: &Self| -> HashSet<String> {
            let targets = monitor.targets.iter();
            let named = targets.filter_map(|target| target.labels.get("instance"));
            named.map(str::to_owned).collect()
        };
        let before = instances(self);
        self.discovered.addresses = Some(addresses.to_vec());
        let config = std::sync::Arc::clone(&self.config);
        let filter = std::sync::Arc::new(super::model_monitor::filter(&config));
        self.replace_targets(&filter, &config, at);
        let after = instances(self);
        let departed = &mut self.discovered.departed;
        departed.retain(|departed| !after.contains(&departed.instance));
        departed.extend(before.difference(&after).map(|instance| Departed {
            instance: instance.clone(),
            since: at,
            ended: false,
        }));
        let gone = before.difference(&after).count();
        let new: Vec<usize> = (0..self.targets.len())
            .filter(|index| {
                let instance = self.targets[*index].labels.get("instance");
                instance.is_some_and(|instance| !before.contains(instance))
            })
            .collect();
        info!(
            targets = self.targets.len(),
            new = new.len(),
            gone,
            "the set of targets changed"
        );
        new
    }

    /// The targets that should be scraped, in the order in which [`observe`](Self::observe) expects their scrapes.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        wanted(&self.config, self.discovered.addresses.as_deref())
    }

    /// The first scrape of targets that are new, between two ticks: a counter's first value is known before it is evaluated.
    pub(super) fn take_early(&mut self, at: Timestamp, scraped: Vec<(usize, Scraped)>) {
        for (index, scraped) in scraped {
            if let Some(target) = self.targets.get_mut(index) {
                target.take(&mut self.window, at, &scraped.result, scraped.duration);
            }
        }
    }

    /// Whether discovery says that there is nothing to scrape, as after scaling to zero.
    pub(super) fn is_idle(&self) -> bool {
        let settings = &self.config.settings.scrape;
        let found = self.discovered.addresses.as_ref();
        settings.discovery.is_some() && self.targets.is_empty() && found.is_some()
    }

    /// What this tick knows of replicas and versions that come and go.
    pub(super) fn rollout(&self, at: Timestamp) -> Rollout {
        let model = &self.config.settings.model;
        let young = self.targets.iter().filter(|target| {
            let appeared = target.appeared;
            appeared.is_some_and(|appeared| at.since(appeared) < model.rollout_grace)
        });
        let departed = self.discovered.departed.iter();
        let gone = departed.filter(|departed| departed.ended);
        Rollout {
            gone: gone.map(|departed| departed.instance.clone()).collect(),
            grace: model.rollout_grace,
            carry: model.baseline == Baseline::Carry,
            idle: self.is_idle(),
            complete: self.targets.iter().all(|target| {
                let last = target.last.as_ref();
                last.is_some_and(|last| last.error.is_none())
            }),
            young: young
                .filter_map(|target| target.labels.get("instance"))
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Ends the alerts of replicas that have been gone for longer than the grace.
    pub(super) fn end_departed(&mut self, at: Timestamp) -> Vec<Alert> {
        let grace = self.config.settings.model.rollout_grace;
        // No range reaches it any more, not even one over a record of another range.
        let forgotten = grace + self.window.limits().retention * 2;
        let mut gone = HashSet::new();
        self.discovered.departed.retain_mut(|departed| {
            let away = at.since(departed.since);
            if !departed.ended && away >= grace {
                departed.ended = true;
                gone.insert(departed.instance.clone());
            }
            away <= forgotten
        });
        self.end_of(&gone, at)
    }
}
