//! The rules in their groups, with their states.

use std::time::Duration;

use super::cadence::Cadence;
use super::filling::fillings;
use super::names::{identities, keys};
use super::reach::out_of_reach;
use super::rule::{RuleState, Setup};
use super::settings::Settings;
use super::traffic::counted;
use crate::judge::Registry;
use crate::metric::Timestamp;
use crate::rules::{Group, Recorded, RuleSet};

/// A group and the time of its last evaluation.
#[derive(Debug)]
pub struct GroupState {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) interval: Duration,
    pub(super) rules: Vec<RuleState>,
    pub(super) last: Option<Timestamp>,
    cadence: Cadence,
}

impl GroupState {
    /// Whether its rules are evaluated at this tick.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        self.cadence.is_due(at)
    }

    /// Notes that its rules were evaluated.
    pub(super) fn evaluated(&mut self, at: Timestamp) {
        self.last = Some(at);
        self.cadence.evaluated(at);
    }

    /// Continues the schedule of an earlier version of the group.
    pub(super) fn resume(&mut self, (cadence, last): (Cadence, Option<Timestamp>)) {
        self.last = last;
        self.cadence.resume(&cadence, last);
    }

    /// The schedule, to [`resume`](Self::resume) it.
    pub(super) fn schedule(&self) -> (Cadence, Option<Timestamp>) {
        (self.cadence, self.last)
    }

    /// Adjusts the schedule after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.last = self.last.map(|last| last - by);
        self.cadence.set_back(by);
    }

    /// Its name, unique within its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file as the user named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Time between two evaluations.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The time of its last evaluation.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Its rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[RuleState] {
        &self.rules
    }
}

/// The groups of a set of rules without any state. Owners are numbered on from `last_owner`.
pub(super) fn fresh_groups(
    settings: &Settings,
    rules: &RuleSet,
    registry: &Registry,
    last_owner: &mut u64,
) -> Vec<GroupState> {
    let recorded = Recorded::of(rules);
    let identities = identities(rules);
    let mut made = keys(&identities)
        .into_iter()
        .zip(identities)
        .zip(fillings(settings, rules))
        .zip(counted(rules));
    let mut fresh = |group: &Group| {
        let interval = group.interval.unwrap_or(settings.interval);
        let rules = group.rules.iter().zip(&mut made);
        let rules = rules.map(|(rule, (((key, identity), filling), counted))| {
            *last_owner += 1;
            let setup = Setup {
                key,
                identity,
                owner: *last_owner,
                interval,
                filling,
                counted,
                unsupported: out_of_reach(settings, &recorded, rule),
            };
            RuleState::new(rule, setup, registry)
        });
        GroupState {
            rules: rules.collect(),
            file: group.file.clone(),
            name: group.name.clone(),
            interval,
            last: None,
            cadence: Cadence::new(interval, settings.interval),
        }
    };
    rules.groups.iter().map(&mut fresh).collect()
}
