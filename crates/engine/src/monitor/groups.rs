//! The rules in their groups, with their states.

use std::time::Duration;

use super::filling::fillings;
use super::names::{identities, keys};
use super::rule::{RuleState, Setup};
use super::settings::Settings;
use super::traffic::counted;
use crate::judge::Registry;
use crate::metric::Timestamp;
use crate::rules::{Group, RuleSet};

/// A group and the time of its last evaluation.
#[derive(Debug)]
pub struct GroupState {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) interval: Duration,
    pub(super) rules: Vec<RuleState>,
    pub(super) last: Option<Timestamp>,
}

impl GroupState {
    /// Ticks vary by milliseconds; half a millisecond must not skip an evaluation.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        let slack = self.interval / 20;
        self.last
            .is_none_or(|last| at < last || at.since(last) + slack >= self.interval)
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
            };
            RuleState::new(rule, setup, registry)
        });
        GroupState {
            rules: rules.collect(),
            file: group.file.clone(),
            name: group.name.clone(),
            interval,
            last: None,
        }
    };
    rules.groups.iter().map(&mut fresh).collect()
}
