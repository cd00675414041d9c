//! Builds the published snapshot from a monitor after a tick.

use std::sync::Arc;

use super::dispatcher::Dispatcher;
use super::remote::RoundStats;
use crate::alert;
use crate::config::Config;
use crate::judge::Verdict;
use crate::metric::{Labels, MetricSample, Timestamp};
use crate::monitor::{GroupState, ModelMonitor, RuleKind, RuleState, TargetState};
use crate::notify::retrain::ReceiverStats;
use crate::publish::{self, Signal, Snapshot};
use crate::rules::Rule;
use crate::runtime::http::redacted;

/// The parts that only a reload changes, shared by all snapshots.
#[derive(Debug)]
pub(super) struct Fixed {
    sources: Arc<[publish::Source]>,
    /// The rules of each group, in order.
    rules: Vec<Vec<Arc<publish::Definition>>>,
}

impl Fixed {
    /// Of the current configuration.
    pub(super) fn of(config: &Config) -> Self {
        let shown = |source: &crate::config::Source| publish::Source {
            file: source.file.clone(),
            text: source.redacted(),
            is_settings: source.is_settings,
        };
        let groups = config.rules.groups.iter();
        Self {
            sources: config.sources.iter().map(shown).collect(),
            rules: groups
                .map(|group| group.rules.iter().map(definition).map(Arc::new).collect())
                .collect(),
        }
    }
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
    let settings = &around.config.settings;
    let missing = monitor.rules().filter(|rule| rule.health().empty);
    Snapshot {
        at,
        model: settings.model.labels(),
        targets: targets(monitor, at)
            .into_iter()
            .chain(around.round.map(source))
            .collect(),
        backfill: around.backfill.cloned(),
        source_skew: around.round.map(|round| round.skew_millis as f64 / 1000.0),
        signals: monitor.rules().flat_map(signals).collect(),
        alerts: alerts(monitor),
        groups: groups(monitor, around.fixed),
        peers: peers(around.dispatcher),
        receivers: receivers(around.dispatcher.receivers()),
        series: monitor.series() as u64,
        missing: missing.map(|rule| rule.name().to_owned()).collect(),
        config_hash: around.config_hash.to_owned(),
        durable: around.durable,
        reload: around.reload.clone(),
        sources: Arc::clone(&around.fixed.sources),
        interval: settings.global.scrape_interval,
        timeout: settings.global.scrape_timeout,
        discovery: around.discovery,
    }
}

/// The results of one scrape, and whether it succeeded.
pub(super) fn probed(config: &Config, monitor: &ModelMonitor, at: Timestamp) -> (Snapshot, bool) {
    let snapshot = Snapshot {
        at,
        model: config.settings.model.labels(),
        targets: monitor.target_states().iter().map(target).collect(),
        signals: monitor.rules().flat_map(signals).collect(),
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

fn signals(rule: &RuleState) -> Vec<Signal> {
    match rule.kind() {
        RuleKind::Record(recorder) if recorder.recording().metric.is_some() => {
            let name: Arc<str> = recorder.recording().name.as_str().into();
            let samples = recorder.samples().iter();
            samples.map(|sample| recorded(&name, sample)).collect()
        }
        RuleKind::Watch(watching) => {
            let name = &watching.watch().alert.name;
            let judged = watching.judged().iter();
            judged
                .map(|(sample, verdict)| judged_signal(name, sample, verdict))
                .collect()
        }
        RuleKind::Record(_) | RuleKind::Alert(_) => Vec::new(),
    }
}

fn recorded(name: &Arc<str>, sample: &MetricSample) -> Signal {
    Signal {
        metric: Some(Arc::clone(name)),
        kind: sample.metric.clone(),
        labels: sample.labels.clone(),
        value: Some(sample.value).filter(|value| value.is_finite()),
        ..Signal::default()
    }
}

fn judged_signal(name: &Arc<str>, sample: &MetricSample, verdict: &Verdict) -> Signal {
    Signal {
        rule: Some(Arc::clone(name)),
        metric: None,
        kind: sample.metric.clone(),
        labels: sample.labels.clone(),
        value: Some(sample.value).filter(|value| value.is_finite()),
        state: Some(verdict.state.as_str()),
        score: verdict.score.filter(|score| score.is_finite()),
        expected: verdict.expected,
        why: verdict.why.clone(),
        ..Signal::default()
    }
}

fn alerts(monitor: &ModelMonitor) -> Vec<publish::Alert> {
    let mut all = Vec::new();
    for (group, state) in monitor.groups().iter().enumerate() {
        for (index, rule) in state.rules().iter().enumerate() {
            let active = monitor.alerts_of(rule).into_iter();
            let active = active.filter(|alert| alert.state != alert::AlertState::Resolved);
            all.extend(active.map(|alert| publish::Alert {
                rule: alert.rule.to_string(),
                place: (group, index),
                labels: alert.labels,
                annotations: alert.annotations,
                state: alert.state.as_str(),
                active_at: alert.active_at,
                keep_firing_since: alert.keep_firing_since,
                value: alert.value,
            }));
        }
    }
    all
}

fn groups(monitor: &ModelMonitor, fixed: &Fixed) -> Vec<publish::Group> {
    let groups = monitor.groups().iter().zip(&fixed.rules);
    groups.map(|(state, rules)| group(state, rules)).collect()
}

fn group(state: &GroupState, definitions: &[Arc<publish::Definition>]) -> publish::Group {
    let rules = state.rules().iter().zip(definitions);
    publish::Group {
        name: state.name().to_owned(),
        file: state.file().to_owned(),
        interval: state.interval(),
        last: state.last(),
        took: state.rules().iter().map(|rule| rule.health().took).sum(),
        rules: rules
            .map(|(state, definition)| rule(state, definition))
            .collect(),
    }
}

fn definition(rule: &Rule) -> publish::Definition {
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
            let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            owned.collect()
        }
        Rule::Alert { alert, .. } => texts(&alert.labels),
        Rule::Watch(watch) => texts(&watch.alert.labels),
    };
    publish::Definition {
        name: rule.name().to_owned(),
        kind,
        query,
        hold: alert.map(|alert| alert.hold).unwrap_or_default(),
        keep_firing_for: alert.map(|alert| alert.keep_firing_for).unwrap_or_default(),
        labels,
        annotations: alert
            .map(|alert| texts(&alert.annotations))
            .unwrap_or_default(),
    }
}

fn rule(state: &RuleState, definition: &Arc<publish::Definition>) -> publish::Rule {
    let health = state.health();
    publish::Rule {
        definition: Arc::clone(definition),
        error: health.error.clone(),
        last: health.at,
        took: health.took,
        evaluations: health.evaluations,
        failures: health.failures,
        fired: health.fired,
        series: held_series(state),
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

fn peers(dispatcher: &Dispatcher) -> Vec<publish::Peer> {
    let stats = dispatcher.alertmanagers().into_iter();
    stats
        .map(|stats| publish::Peer {
            url: redacted(&stats.url),
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
