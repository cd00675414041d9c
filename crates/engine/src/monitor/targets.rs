//! Updates the targets from discovery: adds new ones, removes those that left.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tracing::info;

use super::failure::ScrapeFailure;
use super::model_monitor::ModelMonitor;
use super::rollout::Rollout;
use super::rule::RuleKind;
use super::selection::filter;
use super::settings::Target;
use super::target::{Scraped, TargetState};
use crate::alert::Alert;
use crate::metric::Timestamp;

impl ModelMonitor {
    /// For each target, in their order, why it is not to be scraped at this time; `None` if it is.
    #[must_use]
    pub fn resting(&self, at: Timestamp) -> Vec<Option<ScrapeFailure>> {
        let interval = self.settings.interval;
        let rests = self.targets.iter().map(|target: &TargetState| {
            let rest = target.rest.filter(|rest| rest.lasts(at));
            rest.map(|rest| rest.failure(interval))
        });
        rests.collect()
    }

    /// Sets the current addresses of the name in `scrape.discovery`, one target each. Returns the
    /// positions of new targets.
    ///
    /// A target that stays keeps its samples. The series of one that left get stale markers and
    /// leave the window when no range reaches them any more. Its alerts stay as they are for
    /// `model.rollout_grace`, since a crashed replica is also absent for a moment. Without any
    /// address the monitor is `idle`: no model runs that it could judge.
    pub fn discovered(&mut self, addresses: &[SocketAddr], at: Timestamp) -> Vec<usize> {
        if self.discovered.addresses.as_deref() == Some(addresses) {
            return Vec::new();
        }
        let before = self.instances();
        self.discovered.addresses = Some(addresses.to_vec());
        self.replace_targets(true, at);
        let after = self.instances();
        let gone = self.discovered.change(&before, &after, at);
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

    fn instances(&self) -> HashSet<String> {
        let targets = self.targets.iter();
        let named = targets.filter_map(|target| target.labels.get("instance"));
        named.map(str::to_owned).collect()
    }

    /// Replaces the targets; one that is the same keeps its samples if its ingestion settings are
    /// the same.
    pub(super) fn replace_targets(&mut self, is_same_ingest: bool, at: Timestamp) {
        let filter = Arc::new(filter(&self.rules));
        let wanted = self.targets();
        // Targets present before the first tick do not count as newly appeared.
        let appeared = self.last_tick.map(|_| at);
        let mut old = std::mem::take(&mut self.targets);
        let mut places: Vec<Option<TargetState>> = Vec::with_capacity(wanted.len());
        for target in &wanted {
            let same = old.iter().position(|known| {
                is_same_ingest && known.url == target.url && known.labels == target.labels
            });
            places.push(same.map(|index| old.swap_remove(index)));
        }
        // Remove old targets first: one that returns with other limits continues in its old block.
        for gone in old {
            self.window.remove_target(gone.id, at);
        }
        for (target, known) in wanted.iter().zip(places) {
            let mut state = known.unwrap_or_else(|| {
                let ingest = &self.settings.ingest;
                TargetState::new(target, ingest, Arc::clone(&filter), &mut self.window)
                    .since(appeared)
            });
            state.set_filter(Arc::clone(&filter));
            self.targets.push(state);
        }
    }

    /// The targets that should be scraped, in the order in which [`observe`](Self::observe) expects
    /// their scrapes.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        self.settings
            .all_targets(self.discovered.addresses.as_deref())
    }

    /// Ingests the first scrape of new targets between two ticks, so that a counter's first value
    /// is known before its evaluation. Targets are given by position.
    pub fn take_early(&mut self, at: Timestamp, scraped: Vec<(usize, Scraped)>) {
        for (index, scraped) in scraped {
            if let Some(target) = self.targets.get_mut(index) {
                target.take(&mut self.window, at, &scraped);
            }
        }
    }

    /// Whether discovery found no target, as after scaling to zero.
    fn is_idle(&self) -> bool {
        let found = self.discovered.addresses.as_ref();
        self.settings.discovery.is_some() && self.targets.is_empty() && found.is_some()
    }

    /// Replicas and versions that appeared or left, as of this tick.
    pub(super) fn rollout(&self, at: Timestamp) -> Rollout {
        let model = &self.settings.model;
        let young = self.targets.iter().filter(|target| {
            let appeared = target.appeared;
            appeared.is_some_and(|appeared| at.since(appeared) < model.rollout_grace)
        });
        Rollout {
            gone: self.discovered.ended(),
            grace: model.rollout_grace,
            baseline: model.baseline,
            idle: self.is_idle(),
            targets: self
                .targets
                .iter()
                .map(|target| (target.labels.clone(), target.is_up()))
                .collect(),
            failed_records: self.failed_records(),
            complete: self.targets.iter().all(TargetState::is_up),
            young: young
                .filter_map(|target| target.labels.get("instance"))
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The records without values because an evaluation failed, in order.
    fn failed_records(&self) -> Vec<String> {
        let mut failed = Vec::new();
        for rule in self.rules() {
            let is_record = matches!(rule.kind, RuleKind::Record(_));
            if is_record && (rule.health.error.is_some() || rule.reads(&failed)) {
                failed.push(rule.name().to_owned());
            }
        }
        failed
    }

    /// Ends the alerts of replicas that have been absent for longer than the grace period.
    pub(super) fn end_departed(&mut self, at: Timestamp) -> Vec<Alert> {
        let grace = self.settings.model.rollout_grace;
        // No range reaches its samples any more, not even one over a record of another range.
        let remembered = grace + self.window.limits().retention * 2;
        let ending = self.discovered.end(at, grace, remembered);
        self.end_of(&ending, at)
    }
}
