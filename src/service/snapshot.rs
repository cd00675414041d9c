//! Builds the published snapshot from a monitor after a tick.

use std::sync::Arc;

use super::dispatcher::Dispatcher;
use super::remote::RoundStats;
use crate::alert;
use crate::config::Config;
use crate::judge::{State, Verdict};
use crate::metric::{Labels, MetricSample, Timestamp};
use crate::monitor::{GroupState, ModelMonitor, RuleKind, RuleState, TargetState};
use crate::notify::alertmanager::numbered;
use crate::notify::retrain::ReceiverStats;
use crate::publish::{self, Signal, Snapshot};
use crate::rules::{Rule, RuleSet, optional};
use crate::runtime::http::redacted;

/// The rules of each group, in order.
type Definitions = Vec<Vec<Arc<publish::Definition>>>;

/// The parts that only a reload changes, shared by all snapshots.
#[derive(Debug)]
pub(super) struct Fixed {
    sources: Arc<[publish::Source]>,
    rules: Definitions,
}

impl Fixed {
    /// Of the current configuration.
    pub(super) fn of(config: &Config) -> Self {
        let shown = |source: &crate::config::Source| publish::Source {
            file: source.file.clone(),
            text: source.redacted(),
            is_settings: source.is_settings,
        };
        Self {
            sources: config.sources.iter().map(shown).collect(),
            rules: definitions(&config.rules),
        }
    }
}

/// The rules of each group, as they are published.
fn definitions(rules: &RuleSet) -> Definitions {
    let groups = rules.groups.iter();
    let mut written: Vec<Vec<publish::Definition>> = groups
        .map(|group| {
            let rules = group.rules.iter();
            rules.map(|rule| definition(&group.name, rule)).collect()
        })
        .collect();
    publish::number_copies(written.iter_mut().flatten());
    let optional = optional(rules);
    for (definition, optional) in written.iter_mut().flatten().zip(optional) {
        definition.optional = optional;
    }
    let shared = |rules: Vec<publish::Definition>| rules.into_iter().map(Arc::new).collect();
    written.into_iter().map(shared).collect()
}

/// The published state besides the monitor.
pub(super) struct Around<'a> {
    pub(super) config: &'a Config,
    pub(super) fixed: &'a Fixed,
    pub(super) dispatcher: &'a Dispatcher,
    /// The last status of the remote source.
    pub(super) round: Option<&'a RoundStats>,
    pub(super) backfill: Option<&'a publish::Backfill>,
    pub(super) discovery: Option<publish::Discovery>,
    pub(super) durable: bool,
    pub(super) reload: &'a publish::Reload,
    pub(super) config_hash: &'a str,
}

/// The published snapshot, as of `at`.
pub(super) fn snapshot(monitor: &ModelMonitor, around: Around<'_>, at: Timestamp) -> Snapshot {
    let global = &around.config.settings.global;
    let mut snapshot = of_monitor(around.config, around.fixed, monitor, at);
    snapshot.targets.extend(around.round.map(source));
    Snapshot {
        backfill: around.backfill.cloned(),
        source_skew: around.round.map(|round| round.skew_millis as f64 / 1000.0),
        peers: peers(around.dispatcher),
        receivers: receivers(around.dispatcher.receivers()),
        config_hash: around.config_hash.to_owned(),
        durable: around.durable,
        reload: around.reload.clone(),
        sources: Arc::clone(&around.fixed.sources),
        interval: global.scrape_interval,
        timeout: global.scrape_timeout,
        discovery: around.discovery,
        ..snapshot
    }
}

/// What a monitor that no service runs would publish, as of `at`.
pub fn published(config: &Config, monitor: &ModelMonitor, at: Timestamp) -> Snapshot {
    of_monitor(config, &Fixed::of(config), monitor, at)
}

/// The part of a snapshot that the monitor knows.
fn of_monitor(config: &Config, fixed: &Fixed, monitor: &ModelMonitor, at: Timestamp) -> Snapshot {
    Snapshot {
        at,
        model: config.settings.model.labels(),
        targets: targets(monitor, at),
        signals: signals(monitor, &fixed.rules),
        alerts: alerts(monitor, &fixed.rules),
        groups: groups(monitor, fixed, &config.rules),
        series: monitor.series() as u64,
        window: monitor.window().limits().retention,
        retention: config.settings.storage.retention,
        ..Snapshot::default()
    }
}

/// The results of one scrape, and whether it succeeded.
pub(super) fn probed(config: &Config, monitor: &ModelMonitor, at: Timestamp) -> (Snapshot, bool) {
    let snapshot = Snapshot {
        at,
        model: config.settings.model.labels(),
        targets: monitor.target_states().iter().map(target).collect(),
        signals: signals(monitor, &definitions(&config.rules)),
        ..Snapshot::default()
    };
    let up = snapshot
        .targets
        .iter()
        .all(|target| target.up == Some(true));
    let evaluated = monitor.rules().all(|rule| rule.health().error.is_none());
    (snapshot, up && evaluated)
}

fn targets(monitor: &ModelMonitor, at: Timestamp) -> Vec<publish::Target> {
    let still = monitor.still_instances(at);
    let shown = monitor.target_states().iter().map(|state| {
        let shown = target(state);
        let instance = shown.labels.get("instance").unwrap_or_default();
        publish::Target {
            idle: shown.up == Some(true) && still.get(instance) == Some(&true),
            ..shown
        }
    });
    shown.collect()
}

fn target(target: &TargetState) -> publish::Target {
    let last = target.last();
    publish::Target {
        url: redacted(target.url()),
        labels: target.labels().clone(),
        up: last.map(|last| last.error.is_none()),
        last_scrape: last.map(|last| last.at),
        down_since: None,
        duration: last.map(|last| last.duration).unwrap_or_default(),
        samples: last.map_or(0, |last| last.counts.samples),
        body_bytes: last.map_or(0, |last| last.body_bytes as u64),
        error: last.and_then(|last| last.error.clone()),
        idle: false,
        failures: target.failures().to_vec(),
        refused: target.refused(),
    }
}

/// The remote source, shown as the only target.
fn source(round: &RoundStats) -> publish::Target {
    let host = round.url.split("://").nth(1).unwrap_or(&round.url);
    let host = host.split('/').next().unwrap_or_default();
    publish::Target {
        url: round.url.clone(),
        labels: Labels::new([("instance", host.rsplit('@').next().unwrap_or(host))]),
        up: Some(round.error.is_none()),
        last_scrape: Some(round.at),
        duration: round.took,
        samples: round.samples,
        error: round.error.clone(),
        ..publish::Target::default()
    }
}

/// The rules of a monitor, each with its definition.
fn defined<'a>(
    monitor: &'a ModelMonitor,
    definitions: &'a Definitions,
) -> impl Iterator<Item = (&'a RuleState, &'a Arc<publish::Definition>)> {
    let groups = monitor.groups().iter().zip(definitions);
    groups.flat_map(|(group, definitions)| group.rules().iter().zip(definitions))
}

fn signals(monitor: &ModelMonitor, definitions: &Definitions) -> Vec<Signal> {
    let rules = defined(monitor, definitions);
    rules
        .flat_map(|(rule, definition)| signals_of(rule, definition))
        .collect()
}

fn signals_of(rule: &RuleState, definition: &Arc<publish::Definition>) -> Vec<Signal> {
    match rule.kind() {
        RuleKind::Record(recorder) if recorder.recording().metric.is_some() => {
            let samples = recorder.samples().iter();
            samples.map(|sample| recorded(definition, sample)).collect()
        }
        RuleKind::Watch(watching) => {
            let judged = watching.judged().iter();
            judged
                .map(|(sample, verdict)| Signal {
                    incident: incident(watching.incident(&sample.labels)),
                    release: watching
                        .trial(&sample.labels)
                        .map(|trial| publish::Release {
                            from: trial.from.clone(),
                            result: trial.result.as_str(),
                        }),
                    ..judged_signal(definition, sample, verdict)
                })
                .collect()
        }
        RuleKind::Record(_) | RuleKind::Alert(_) => Vec::new(),
    }
}

fn recorded(rule: &Arc<publish::Definition>, sample: &MetricSample) -> Signal {
    Signal {
        rule: Arc::clone(rule),
        kind: sample.metric.clone(),
        labels: sample.labels.clone(),
        value: Some(sample.value).filter(|value| value.is_finite()),
        counts: sample
            .evidence
            .as_ref()
            .and_then(|evidence| evidence.counts.as_ref())
            .map(|counts| counts.window),
        ..Signal::default()
    }
}

fn judged_signal(
    rule: &Arc<publish::Definition>,
    sample: &MetricSample,
    verdict: &Verdict,
) -> Signal {
    Signal {
        state: Some(verdict.state.as_str()),
        since: (verdict.state == State::Stale).then_some(sample.at),
        score: verdict.score.filter(|score| score.is_finite()),
        expected: verdict.expected,
        why: verdict.why.clone(),
        ..recorded(rule, sample)
    }
}

fn incident(known: Option<(Timestamp, Option<f64>)>) -> Option<publish::Incident> {
    let (since, usual) = known?;
    Some(publish::Incident { since, usual })
}

/// The rule and the series of a signal.
pub(super) fn find<'a>(
    monitor: &'a ModelMonitor,
    fixed: &'a Fixed,
    id: &str,
) -> Option<(&'a str, Labels)> {
    let mut rules = defined(monitor, &fixed.rules);
    rules.find_map(|(rule, definition)| {
        let signals = signals_of(rule, definition).into_iter();
        let found = signals.filter(|signal| publish::signal_id(signal) == id);
        let labels = found.map(|signal| signal.labels).next()?;
        Some((rule.key(), labels))
    })
}

fn alerts(monitor: &ModelMonitor, definitions: &Definitions) -> Vec<publish::Alert> {
    let mut all = Vec::new();
    for (rule, definition) in defined(monitor, definitions) {
        let active = monitor.alerts_of(rule).into_iter();
        let active = active.filter(|alert| alert.state != alert::AlertState::Resolved);
        all.extend(active.map(|alert| publish::Alert {
            rule: Arc::clone(definition),
            labels: alert.labels,
            annotations: alert.annotations,
            state: alert.state.as_str(),
            active_at: alert.active_at,
            keep_firing_since: alert.keep_firing_since,
            value: alert.value,
        }));
    }
    all
}

fn groups(monitor: &ModelMonitor, fixed: &Fixed, rules: &RuleSet) -> Vec<publish::Group> {
    let limits = rules.groups.iter().map(|group| group.limit);
    let groups = monitor.groups().iter().zip(&fixed.rules).zip(limits);
    groups
        .map(|((state, rules), limit)| publish::Group {
            limit,
            ..group(state, rules)
        })
        .collect()
}

fn group(state: &GroupState, definitions: &[Arc<publish::Definition>]) -> publish::Group {
    let rules = state.rules().iter().zip(definitions);
    publish::Group {
        name: state.name().to_owned(),
        file: state.file().to_owned(),
        interval: state.interval(),
        limit: 0,
        last: state.last(),
        took: state.rules().iter().map(|rule| rule.health().took).sum(),
        rules: rules
            .map(|(state, definition)| rule(state, definition))
            .collect(),
    }
}

fn definition(group: &str, rule: &Rule) -> publish::Definition {
    let (kind, query) = match rule {
        Rule::Record(recording) => (publish::RuleKind::Record, recording.query()),
        Rule::Alert { expr, .. } => (publish::RuleKind::Alert, expr.text().to_owned()),
        Rule::Watch(watch) => (publish::RuleKind::Watch, watch.expr.text().to_owned()),
    };
    let alert = rule.alert();
    let texts = |pairs: &alert::RuleLabels| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, template)| (name.clone(), template.source().to_owned()))
            .collect()
    };
    let labels = match rule {
        Rule::Record(recording) => {
            let pairs = recording.labels.iter();
            let owned = pairs.map(|label| (label.name.to_string(), label.value.to_string()));
            owned.collect()
        }
        Rule::Alert { alert, .. } => texts(&alert.labels),
        Rule::Watch(watch) => texts(&watch.alert.labels),
    };
    publish::Definition {
        query,
        hold: alert.map(|alert| alert.hold).unwrap_or_default(),
        keep_firing_for: alert.map(|alert| alert.keep_firing_for).unwrap_or_default(),
        annotations: alert
            .map(|alert| texts(&alert.annotations))
            .unwrap_or_default(),
        ..publish::Definition::new(group, rule.name(), kind, labels)
    }
}

fn rule(state: &RuleState, definition: &Arc<publish::Definition>) -> publish::Rule {
    let health = state.health();
    publish::Rule {
        definition: Arc::clone(definition),
        error: health.error.clone(),
        unsupported: health.unsupported.clone(),
        is_empty: health.empty,
        last: health.at,
        took: health.took,
        evaluations: health.evaluations,
        failures: health.failures,
        fired: health.fired,
        series: held_series(state),
        accepted: match state.kind() {
            RuleKind::Watch(watching) => Some(watching.counts().accepted),
            RuleKind::Record(_) | RuleKind::Alert(_) => None,
        },
        held_back: held_back(state),
    }
}

fn held_series(state: &RuleState) -> Option<publish::HeldSeries> {
    let (held, refused) = match state.kind() {
        RuleKind::Watch(watching) => {
            let counts = watching.counts();
            (counts.series, counts.refused)
        }
        RuleKind::Record(recorder) => {
            let (counted, refused) = recorder.distributions()?;
            (counted, refused.total)
        }
        RuleKind::Alert(_) => return None,
    };
    Some(publish::HeldSeries {
        held: held as u64,
        refused,
    })
}

fn held_back(state: &RuleState) -> Option<u64> {
    match state.kind() {
        RuleKind::Watch(watching) => watching.held_back().map(|series| series as u64),
        RuleKind::Record(_) | RuleKind::Alert(_) => None,
    }
}

fn peers(dispatcher: &Dispatcher) -> Vec<publish::Peer> {
    let stats = dispatcher.alertmanagers();
    let urls = numbered(stats.iter().map(|stats| redacted(&stats.url)));
    let stats = stats.into_iter().zip(urls);
    stats
        .map(|(stats, url)| publish::Peer {
            url,
            sent: stats.sent,
            failed: stats.failed,
            dropped: stats.dropped,
            queue_length: stats.queue_length as u64,
            last_error: stats.last_error,
        })
        .collect()
}

/// The published state of the receivers of retraining requests.
pub(crate) fn receivers(stats: Vec<ReceiverStats>) -> Vec<publish::Receiver> {
    stats
        .into_iter()
        .map(|stats| publish::Receiver {
            name: stats.name,
            delivered: stats.delivered,
            failed: stats.failed,
            waiting: stats.waiting as u64,
            dead: stats.dead as u64,
            last_error: stats.last_error,
        })
        .collect()
}
