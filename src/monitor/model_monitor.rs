//! One pass over everything: scrapes in, alerts, requests and a view out. No I/O, no waiting.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tracing::{debug, info, warn};

use super::alert_series::selects_alerts;
use super::answer::asked;
use super::evidence::EvidenceBook;
use super::memory::Retired;
use super::reload::limits;
use super::results::Results;
use super::retraining::Retraining;
use super::rule::{Kind, Pass, RuleState};
use super::source::Asked;
use super::target::TargetState;
use super::targets::{Discovered, wanted};
use crate::alert::{self, Alert};
use crate::config::Config;
use crate::judge::{Registry, Verdict};
use crate::metric::{Labels, MetricSample, Selector, SeriesFilter, Timestamp};
use crate::notify::RetrainRequest;
use crate::notify::retrain::Gates;
use crate::publish;
use crate::rules::{Group, Rule};
use crate::rules::{Origin, Recorded};
use crate::scrape::{self, Exposition};
use crate::series::Window;

/// Alerts that a slow subscriber may fall behind by before it loses the oldest.
const BROADCAST: usize = 1024;

/// What scraping one target gave.
#[derive(Debug)]
pub struct Scraped {
    /// The exposition, or why there is none.
    pub result: Result<Exposition, scrape::Error>,
    /// How long it took.
    pub duration: Duration,
}

/// What a tick asks the outside to do.
#[derive(Debug, Default)]
pub struct Tick {
    /// Alerts that Alertmanager should hear of now.
    pub alerts: Vec<Alert>,
    /// Requests for a new model.
    pub requests: Vec<RetrainRequest>,
}

/// Watches one model: the only place that knows every stage.
///
/// [`ModelMonitor::observe`] is one tick. It never waits: what was scraped comes in, what is to be sent goes out.
#[derive(Debug)]
pub struct ModelMonitor {
    pub(super) config: Arc<Config>,
    pub(super) context: alert::Context,
    pub(super) window: Window,
    pub(super) targets: Vec<TargetState>,
    pub(super) discovered: Discovered,
    pub(super) groups: Vec<GroupState>,
    pub(super) retraining: Retraining,
    pub(super) last_tick: Option<Timestamp>,
    /// Rules that are gone but whose alerts' end is still told.
    pub(super) retired: Vec<Retired>,
    /// Something happened that a crash must not undo.
    pub(super) urgent: bool,
    /// Names of the records that the store holds.
    pub(super) stored_alerts: BTreeSet<String>,
    pub(super) stored_learnt: BTreeSet<String>,
    pub(super) stored_counted: BTreeSet<String>,
    pub(super) stored_gates: Gates,
    pub(super) registry: Registry,
    pub(super) next_owner: u64,
    pub(super) evidence: EvidenceBook,
    /// Whether `ALERTS` and `ALERTS_FOR_STATE` are recorded.
    pub(super) alert_series: bool,
    /// How the server that evaluates the expressions answered last.
    pub(super) asked: Option<Asked>,
    /// How far the backfill is.
    pub(super) backfill: Option<publish::Backfill>,
    /// Its past is only learnt from: nobody is told.
    pub(super) rehearses: bool,
    alerts: broadcast::Sender<Alert>,
}

/// A group and when it was evaluated last.
#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) group: Group,
    pub(super) interval: Duration,
    pub(super) rules: Vec<RuleState>,
    pub(super) last: Option<Timestamp>,
}

impl GroupState {
    /// A tick comes a little early or late; half a millisecond must not skip an evaluation.
    fn is_due(&self, at: Timestamp) -> bool {
        let slack = self.interval / 20;
        self.last
            .is_none_or(|last| at < last || at.since(last) + slack >= self.interval)
    }
}

impl ModelMonitor {
    /// A monitor that has seen nothing yet.
    #[must_use]
    pub fn new(config: Arc<Config>, registry: &Registry) -> Self {
        let settings = &config.settings;
        let mut window = Window::new(limits(&config));
        let filter = Arc::new(filter(&config));
        let targets = wanted(&config, None);
        let targets = targets
            .iter()
            .map(|target| {
                TargetState::new(target, &settings.scrape, Arc::clone(&filter), &mut window)
            })
            .collect();
        let (alerts, _) = broadcast::channel(BROADCAST);
        let mut monitor = Self {
            context: context(&config),
            window,
            targets,
            discovered: Discovered::default(),
            groups: Vec::new(),
            retraining: Retraining::new(settings),
            last_tick: None,
            retired: Vec::new(),
            urgent: false,
            stored_alerts: BTreeSet::new(),
            stored_learnt: BTreeSet::new(),
            stored_counted: BTreeSet::new(),
            stored_gates: Gates::default(),
            registry: registry.clone(),
            next_owner: 0,
            evidence: EvidenceBook::default(),
            alert_series: selects_alerts(&config),
            asked: None,
            backfill: None,
            rehearses: false,
            alerts,
            config,
        };
        monitor.groups = monitor.fresh_groups();
        monitor
    }

    /// Every change of every alert from now on, for any number of subscribers.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Alert> {
        self.alerts.subscribe()
    }

    /// One tick: takes in what was scraped from each target, in their order, and evaluates the groups that are due.
    pub fn observe(&mut self, at: Timestamp, scraped: &[Scraped]) -> Tick {
        self.observe_with(at, scraped, None)
    }

    /// The same with what a server said about the rules' expressions, for a monitor whose series are elsewhere.
    pub fn observe_with(
        &mut self,
        at: Timestamp,
        scraped: &[Scraped],
        results: Option<&Results>,
    ) -> Tick {
        for (target, scraped) in self.targets.iter_mut().zip(scraped) {
            target.take(&mut self.window, at, &scraped.result, scraped.duration);
            if let Some(error) = target.last.as_ref().and_then(|last| last.error.as_ref()) {
                warn!(target = target.url, error, "scrape failed");
            }
        }
        self.window.sweep(at);
        let departed = self.end_departed(at);
        let rollout = self.rollout(at);
        let mut pass = Pass {
            window: &mut self.window,
            context: &self.context,
            rollout: &rollout,
            at,
            evidence: &mut self.evidence,
            results,
            alert_series: self.alert_series,
            changes: departed,
        };
        let mut due = Vec::new();
        let resend_delay = self.config.settings.alerting.resend_delay;
        let mut tick = Tick::default();
        for (index, group) in self.groups.iter_mut().enumerate() {
            if !group.is_due(at) {
                continue;
            }
            for rule in &mut group.rules {
                rule.evaluate(&mut pass);
                if let Some(error) = &rule.health.error {
                    debug!(rule = rule.rule.name(), error, "evaluation failed");
                }
            }
            group.last = Some(at);
            due.push(index);
        }
        let changes = pass.changes;
        for index in due {
            for rule in &mut self.groups[index].rules {
                tick.alerts
                    .extend(rule.due(at, resend_delay, &self.context));
                let requests =
                    self.retraining
                        .decide(rule, (&self.window, results), &self.context, at);
                tick.requests.extend(requests);
            }
        }
        tick.alerts.extend(self.due_retired(at));
        self.urgent |= !changes.is_empty();
        self.asked(&tick.requests);
        self.announce(&changes);
        self.last_tick = Some(at);
        tick
    }

    /// Whether some template asks for more PromQL.
    pub(super) fn asks(&self) -> bool {
        let mut rules = self.groups.iter().flat_map(|group| &group.rules);
        rules.any(|rule| rule.asks)
    }

    /// The expressions of the groups that are due at a time, as written.
    pub(super) fn due_expressions(&self, at: Timestamp) -> HashSet<String> {
        let due = self.groups.iter().filter(|group| group.is_due(at));
        let expressions = due
            .flat_map(|group| &group.rules)
            .flat_map(|rule| rule.rule.expressions());
        expressions.map(|expr| expr.text().to_owned()).collect()
    }

    /// Every value that was judged in the last tick, with the name of its watch.
    pub fn judged(&self) -> impl Iterator<Item = (&str, &MetricSample, &Verdict)> {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        rules.flat_map(|rule| {
            let judged = match &rule.kind {
                Kind::Watch(watching) => watching.judged.as_slice(),
                Kind::Alert(_) | Kind::Record(..) => &[],
            };
            let name = rule.rule.name();
            judged
                .iter()
                .map(move |(sample, verdict)| (name, sample, verdict))
        })
    }

    /// Why the last scrape failed, of each target whose last scrape did.
    pub fn scrape_errors(&self) -> impl Iterator<Item = &str> {
        let last = self
            .targets
            .iter()
            .filter_map(|target| target.last.as_ref());
        last.filter_map(|last| last.error.as_deref())
    }

    pub(super) fn announce(&self, changes: &[Alert]) {
        if self.rehearses {
            return;
        }
        for alert in changes {
            info!(
                alert = %alert.rule, state = %alert.state, labels = %alert.labels, value = alert.value,
                summary = alert.summary(), "alert changed"
            );
            // Nobody has to listen.
            drop(self.alerts.send(alert.clone()));
        }
    }

    /// Pending and firing alerts by rule name, for the gauges.
    pub(super) fn trackers(&self) -> impl Iterator<Item = (&RuleState, &alert::Tracker)> {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        rules.filter_map(|rule| match &rule.kind {
            Kind::Alert(tracker) => Some((rule, tracker)),
            Kind::Watch(watching) => Some((rule, &watching.tracker)),
            Kind::Record(..) => None,
        })
    }

    /// Labels of every alert that is pending or firing.
    pub(super) fn active_labels(&self) -> HashSet<Labels> {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        let alerting = rules.filter_map(RuleState::alerting);
        let alerts = alerting.flat_map(|(rule, tracker)| tracker.alerts(rule, &self.context));
        alerts
            .filter(|alert| alert.state != alert::State::Resolved)
            .map(|alert| alert.labels)
            .collect()
    }
}

/// What templates and alert identities see. The identity is the model, and the target's when there is only one.
pub(super) fn context(config: &Config) -> alert::Context {
    let settings = &config.settings;
    let mut identity = settings.model.labels();
    if let ([target], None) = (
        settings.scrape.targets.as_slice(),
        &settings.scrape.discovery,
    ) {
        let who = target
            .labels
            .retain(|name| ["instance", "pod", "namespace"].contains(&name));
        identity = who.overlaid_with(&identity);
    }
    alert::Context {
        external_labels: settings.global.external_labels.clone(),
        external_url: settings
            .global
            .external_url
            .trim_end_matches('/')
            .to_owned(),
        identity,
        config_hash: config.hash(),
        query: None,
    }
}

pub(super) fn expressions(config: &Config) -> impl Iterator<Item = &crate::promql::Expr> {
    let rules = config.rules.rules();
    rules.flat_map(Rule::expressions)
}

/// How far back expressions look that are evaluated over the window.
pub(super) fn longest_reach(config: &Config) -> Duration {
    let source = config.settings.scrape.source.as_ref();
    let recorded = source.map(|_| Recorded::of(&config.rules));
    let rules = config.rules.rules();
    let here = |rule: &&Rule, expr: &&crate::promql::Expr| {
        let recorded = recorded.as_ref();
        recorded.is_none_or(|recorded| recorded.origin(rule, expr) == Origin::Recorded)
    };
    let longest = rules
        .flat_map(|rule| {
            let all = rule.expressions().into_iter();
            all.filter(move |expr| here(&rule, expr))
                .collect::<Vec<_>>()
        })
        .map(crate::promql::Expr::reach)
        .max()
        .unwrap_or_default();
    longest.max(asked(config).1)
}

/// What the rules read, each selector once.
#[must_use]
pub fn selectors(config: &Config) -> Vec<Selector> {
    let mut unique = Vec::new();
    let read = expressions(config).flat_map(crate::promql::Expr::selectors);
    for selector in read.chain(asked(config).0) {
        if !unique.contains(&selector) {
            unique.push(selector);
        }
    }
    unique
}

/// Everything that some rule may read.
pub(super) fn filter(config: &Config) -> SeriesFilter {
    SeriesFilter::new(selectors(config))
}
