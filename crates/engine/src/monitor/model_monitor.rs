//! The monitor of a model: its state, and read access to it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::discovered::Discovered;
use super::evidence::EvidenceBook;
use super::groups::{GroupState, fresh_groups};
use super::pass::Stopwatch;
use super::retired::Retired;
use super::retraining::Retraining;
use super::rule::{RuleKind, RuleState};
use super::selection::{filter, longest_reach, selects_alerts};
use super::settings::Settings;
use super::target::TargetState;
use super::traffic::still_instances;
use super::watch::Watching;
use crate::alert::{self, Alert};
use crate::judge::{Registry, Verdict};
use crate::metric::{MetricSample, Timestamp};
use crate::retrain::Gates;
use crate::rules::{Recorded, RuleSet};
use crate::series::Window;

/// Watches one model: scrapes and time in; alerts, requests and records to store out.
///
/// [`ModelMonitor::observe`] is one tick. It never waits, reads no clock and performs no I/O.
#[derive(Debug)]
pub struct ModelMonitor {
    pub(super) settings: Settings,
    pub(super) rules: Arc<RuleSet>,
    pub(super) recorded: Recorded,
    pub(super) context: alert::Context,
    pub(crate) window: Window,
    pub(super) targets: Vec<TargetState>,
    pub(super) discovered: Discovered,
    pub(super) groups: Vec<GroupState>,
    pub(super) retraining: Retraining,
    pub(super) last_tick: Option<Timestamp>,
    /// The ends of alerts that left their rule, to be repeated for a while.
    pub(super) retired: Vec<Retired>,
    pub(super) stored: Stored,
    pub(super) registry: Registry,
    pub(super) last_owner: u64,
    pub(super) evidence: EvidenceBook,
    /// Whether `ALERTS` and `ALERTS_FOR_STATE` are recorded.
    pub(crate) alert_series: bool,
    pub(super) stopwatch: Stopwatch,
}

/// The keys of the records handed to the store so far.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// A change that a crash must not undo.
    pub(super) urgent: bool,
    /// A window became the reference of a drift.
    pub(super) is_rebased: bool,
    /// An alert was pending at the last call.
    pub(super) pending: bool,
    pub(super) alerts: BTreeSet<String>,
    pub(super) learnt: BTreeSet<String>,
    pub(super) counted: BTreeSet<String>,
    /// The digest of the gates.
    pub(super) gates: u64,
}

impl ModelMonitor {
    /// A monitor that has seen nothing yet.
    #[must_use]
    pub fn new(settings: Settings, rules: Arc<RuleSet>, registry: &Registry) -> Self {
        let reach = longest_reach(&settings, &rules);
        let mut window = Window::new(settings.window_limits(reach));
        let filter = Arc::new(filter(&rules));
        let targets = settings.targets.iter().map(|target| {
            TargetState::new(target, &settings.ingest, Arc::clone(&filter), &mut window)
        });
        let targets = targets.collect();
        let mut last_owner = 0;
        Self {
            groups: fresh_groups(&settings, &rules, registry, &mut last_owner),
            recorded: Recorded::of(&rules),
            context: settings.context(),
            window,
            targets,
            discovered: Discovered::default(),
            retraining: Retraining::new(&settings),
            last_tick: None,
            retired: Vec::new(),
            stored: Stored {
                gates: Gates::default().digest(),
                ..Stored::default()
            },
            registry: registry.clone(),
            last_owner,
            evidence: EvidenceBook::default(),
            alert_series: selects_alerts(&rules),
            stopwatch: || Duration::ZERO,
            settings,
            rules,
        }
    }

    /// Measures evaluation durations with this stopwatch; without one, they are 0.
    #[must_use]
    pub fn with_stopwatch(self, stopwatch: Stopwatch) -> Self {
        Self { stopwatch, ..self }
    }

    /// Sets where users reach the process, for the links in alerts.
    pub fn set_external_url(&mut self, url: &str) {
        url.clone_into(&mut self.settings.external_url);
        self.context = self.settings.context();
    }

    /// The rules' groups, in order.
    #[must_use]
    pub fn groups(&self) -> &[GroupState] {
        &self.groups
    }

    /// The rules of every group, in order.
    pub fn rules(&self) -> impl Iterator<Item = &RuleState> {
        self.groups.iter().flat_map(|group| &group.rules)
    }

    pub(super) fn rules_mut(&mut self) -> impl Iterator<Item = &mut RuleState> {
        self.groups.iter_mut().flat_map(|group| &mut group.rules)
    }

    pub(super) fn watches_mut(&mut self) -> impl Iterator<Item = &mut Watching> {
        self.rules_mut().filter_map(|rule| match &mut rule.kind {
            RuleKind::Watch(watching) => Some(&mut **watching),
            RuleKind::Record(_) | RuleKind::Alert(_) => None,
        })
    }

    /// The targets and how their scrapes went, in the order of [`targets`](Self::targets).
    #[must_use]
    pub fn target_states(&self) -> &[TargetState] {
        &self.targets
    }

    /// The instances that expose counters the rules read, and whether all of those counters stand
    /// still.
    #[must_use]
    pub fn still_instances(&self, at: Timestamp) -> HashMap<String, bool> {
        let counted = self.rules().flat_map(RuleState::ranges);
        still_instances(&self.window, counted, at)
    }

    /// The stored series, for queries.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Series in the window.
    #[must_use]
    pub fn series(&self) -> usize {
        self.window.series()
    }

    /// The time of the last tick.
    #[must_use]
    pub fn last_tick(&self) -> Option<Timestamp> {
        self.last_tick
    }

    /// Every value that was judged in the last tick, with the name of its watch.
    pub fn judged(&self) -> impl Iterator<Item = (&str, &MetricSample, &Verdict)> {
        self.rules().flat_map(|rule| {
            let judged = match &rule.kind {
                RuleKind::Watch(watching) => watching.judged.as_slice(),
                RuleKind::Alert(_) | RuleKind::Record(_) => &[],
            };
            let name = rule.name();
            judged
                .iter()
                .map(move |(sample, verdict)| (name, sample, verdict))
        })
    }

    /// The error of each target whose last scrape failed.
    pub fn scrape_errors(&self) -> impl Iterator<Item = &str> {
        let last = self.targets.iter().filter_map(TargetState::last);
        last.filter_map(|last| last.error.as_deref())
    }

    /// Every alert that is pending, firing or recently resolved, by rule.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        self.rules().flat_map(|rule| self.alerts_of(rule)).collect()
    }

    /// The alerts of one rule that are pending, firing or recently resolved.
    #[must_use]
    pub fn alerts_of(&self, rule: &RuleState) -> Vec<Alert> {
        let alerting = rule.alerting();
        let alerts = alerting.map(|(rule, tracker)| tracker.alerts(rule, &self.context));
        alerts.unwrap_or_default()
    }

    /// Rules whose last evaluation failed, with the error, and those that are not evaluated.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules().filter_map(|rule| {
            let health = &rule.health;
            let why = health.error.as_deref().or(health.unsupported.as_deref())?;
            Some((rule.name(), why))
        })
    }

    /// The expressions of the groups that are due at a time, as written.
    #[must_use]
    pub fn due_expressions(&self, at: Timestamp) -> HashSet<String> {
        let due = self.groups.iter().filter(|group| group.is_due(at));
        let expressions = due
            .flat_map(|group| &group.rules)
            .flat_map(RuleState::expressions);
        expressions.map(|expr| expr.text().to_owned()).collect()
    }

    /// Reports a retraining request as done; its series may request again after the cool-down.
    /// Returns `false` when no such request is under way.
    pub fn retrained(&mut self, id: &str) -> bool {
        let done = self.retraining.gates.done(id).is_some();
        self.stored.urgent |= done;
        done
    }

    /// The alerts of every rule to send now; before the first tick and after a reload.
    pub fn due(&mut self, at: Timestamp) -> Vec<Alert> {
        let resend_delay = self.settings.resend_delay;
        let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        let mut alerts: Vec<Alert> = rules
            .flat_map(|rule| rule.due(at, resend_delay, &self.context))
            .collect();
        alerts.extend(self.due_retired(at));
        self.without_false_ends(alerts)
    }

    /// The resolved alerts of removed rules.
    pub(super) fn due_retired(&mut self, at: Timestamp) -> Vec<Alert> {
        self.retired.retain(|retired| retired.is_due(at));
        let (resend_delay, context) = (self.settings.resend_delay, &self.context);
        let retired = self.retired.iter_mut();
        retired
            .flat_map(|retired| retired.due(at, resend_delay, context))
            .collect()
    }

    /// Ends the alerts of series that carry one of these instances.
    pub(super) fn end_of(&mut self, instances: &HashSet<String>, at: Timestamp) -> Vec<Alert> {
        if instances.is_empty() {
            return Vec::new();
        }
        let context = &self.context;
        let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        rules
            .flat_map(|rule| rule.end_of(instances, at, context))
            .collect()
    }
}
