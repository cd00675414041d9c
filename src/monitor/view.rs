//! What the outside may look at, made from a monitor after a tick.

use std::sync::Arc;

use super::model_monitor::{GroupState, ModelMonitor};
use super::outlets::Outlets;
use super::rule::{Kind, RuleState};
use super::source::Asked;
use super::target::TargetState;
use super::traffic::still_instances;
use crate::alert;
use crate::config::rules::Rule;
use crate::judge::Verdict;
use crate::metric::{Labels, MetricSample, Timestamp};
use crate::notify::retrain::ReceiverStats;
use crate::publish::{self, Signal, Snapshot};
use crate::runtime::http::redacted;

/// What stays the same from one configuration to the next, shared by every snapshot.
#[derive(Debug)]
pub(super) struct Fixed {
    sources: Arc<[publish::Source]>,
    /// The rules of each group, in order.
    rules: Vec<Vec<Arc<publish::Definition>>>,
}

impl Fixed {
    /// Of the configuration under which the monitor runs now.
    pub(super) fn of(monitor: &ModelMonitor) -> Self {
        let shown = |source: &crate::config::Source| publish::Source {
            file: source.file.clone(),
            text: source.redacted(),
            is_settings: source.is_settings,
        };
        let groups = monitor.groups.iter();
        Self {
            sources: monitor.config.sources.iter().map(shown).collect(),
            rules: groups
                .map(|group| group.rules.iter().map(definition).map(Arc::new).collect())
                .collect(),
        }
    }
}

/// Everything that is shown, as of `at`.
pub(super) fn snapshot(
    monitor: &ModelMonitor,
    outlets: &Outlets,
    fixed: &Fixed,
    (durable, reload): (bool, publish::Reload),
    at: Timestamp,
) -> Snapshot {
    let rules = || monitor.groups.iter().flat_map(|group| &group.rules);
    Snapshot {
        at,
        model: monitor.config.settings.model.labels(),
        targets: targets(monitor, at)
            .into_iter()
            .chain(monitor.asked.as_ref().map(source))
            .collect(),
        backfill: monitor.backfill.clone(),
        source_skew: monitor
            .asked
            .as_ref()
            .map(|asked| asked.skew_millis as f64 / 1000.0),
        signals: rules().flat_map(signals).collect(),
        alerts: alerts(monitor),
        groups: groups(monitor, fixed),
        peers: peers(outlets),
        receivers: receivers(outlets.receivers()),
        series: monitor.window.series() as u64,
        missing: rules()
            .filter(|rule| rule.health.empty)
            .map(|rule| rule.rule.name().to_owned())
            .collect(),
        config_hash: monitor.context.config_hash.clone(),
        durable,
        reload,
        sources: Arc::clone(&fixed.sources),
        interval: monitor.config.settings.global.scrape_interval,
        timeout: monitor.config.settings.global.scrape_timeout,
        discovery: None,
    }
}

/// What one scrape told, and whether everything went well.
pub(super) fn probed(monitor: &ModelMonitor, at: Timestamp) -> (Snapshot, bool) {
    let rules = || monitor.groups.iter().flat_map(|group| &group.rules);
    let snapshot = Snapshot {
        at,
        model: monitor.config.settings.model.labels(),
        targets: monitor.targets.iter().map(target).collect(),
        signals: rules().flat_map(signals).collect(),
        ..Snapshot::default()
    };
    let up = snapshot
        .targets
        .iter()
        .all(|target| target.up == Some(true));
    let evaluated = rules().all(|rule| rule.health.error.is_none());
    (snapshot, up && evaluated)
}

fn targets(monitor: &ModelMonitor, at: Timestamp) -> Vec<publish::Target> {
    let rules = monitor.groups.iter().flat_map(|group| &group.rules);
    let counted = rules.flat_map(RuleState::ranges);
    let still = still_instances(&monitor.window, counted, at);
    let shown = monitor.targets.iter().map(|state| {
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
    let last = target.last.as_ref();
    publish::Target {
        url: redacted(&target.url),
        labels: target.labels.clone(),
        up: last.map(|last| last.error.is_none()),
        last_scrape: last.map(|last| last.at),
        duration: last.map(|last| last.duration).unwrap_or_default(),
        samples: last.map_or(0, |last| last.counts.samples),
        body_bytes: last.map_or(0, |last| last.body_bytes as u64),
        error: last.and_then(|last| last.error.clone()),
        idle: false,
        failures: target.failures.clone(),
        refused: target.refused_total,
    }
}

/// The server that is asked in the place of targets, as the one target that there is.
fn source(asked: &Asked) -> publish::Target {
    let host = asked.url.split("://").nth(1).unwrap_or(&asked.url);
    let host = host.split('/').next().unwrap_or_default();
    publish::Target {
        url: asked.url.clone(),
        labels: Labels::new([("instance", host.rsplit('@').next().unwrap_or(host))]),
        up: Some(asked.error.is_none()),
        last_scrape: Some(asked.at),
        duration: asked.took,
        samples: asked.samples,
        error: asked.error.clone(),
        ..publish::Target::default()
    }
}

fn signals(rule: &RuleState) -> Vec<Signal> {
    match (&rule.rule, &rule.kind) {
        (Rule::Record(recording), Kind::Record(samples, _)) if recording.metric.is_some() => {
            let name: Arc<str> = recording.name.as_str().into();
            let samples = samples.iter();
            samples.map(|sample| recorded(&name, sample)).collect()
        }
        (Rule::Watch(watch), Kind::Watch(watching)) => {
            let judged = watching.judged.iter();
            judged
                .map(|(sample, verdict)| judged_signal(&watch.alert.name, sample, verdict))
                .collect()
        }
        _ => Vec::new(),
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
    for (group, state) in monitor.groups.iter().enumerate() {
        for (index, rule) in state.rules.iter().enumerate() {
            let Some((definition, tracker)) = rule.alerting() else {
                continue;
            };
            let active = tracker.alerts(definition, &monitor.context).into_iter();
            let active = active.filter(|alert| alert.state != alert::State::Resolved);
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
    let groups = monitor.groups.iter().zip(&fixed.rules);
    groups.map(|(state, rules)| group(state, rules)).collect()
}

fn group(state: &GroupState, definitions: &[Arc<publish::Definition>]) -> publish::Group {
    let rules = state.rules.iter().zip(definitions);
    publish::Group {
        name: state.group.name.clone(),
        file: state.group.file.clone(),
        interval: state.interval,
        last: state.last,
        took: state.rules.iter().map(|rule| rule.health.took).sum(),
        rules: rules
            .map(|(state, definition)| rule(state, definition))
            .collect(),
    }
}

fn definition(state: &RuleState) -> publish::Definition {
    let (kind, query, alert) = match &state.rule {
        Rule::Record(recording) => (publish::RuleKind::Record, recording.query(), None),
        Rule::Alert { expr, alert } => (
            publish::RuleKind::Alert,
            expr.text().to_owned(),
            Some(alert),
        ),
        Rule::Watch(watch) => (
            publish::RuleKind::Watch,
            watch.expr.text().to_owned(),
            Some(&watch.alert),
        ),
    };
    let texts = |pairs: &alert::RuleLabels| {
        pairs
            .iter()
            .map(|(name, template)| (name.clone(), template.source().to_owned()))
            .collect()
    };
    publish::Definition {
        name: state.rule.name().to_owned(),
        kind,
        query,
        hold: alert.map(|alert| alert.hold).unwrap_or_default(),
        keep_firing_for: alert.map(|alert| alert.keep_firing_for).unwrap_or_default(),
        labels: match (&state.rule, alert) {
            (_, Some(alert)) => texts(&alert.labels),
            (Rule::Record(recording), None) => {
                let pairs = recording.labels.iter();
                let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
                owned.collect()
            }
            _ => Vec::new(),
        },
        annotations: alert
            .map(|alert| texts(&alert.annotations))
            .unwrap_or_default(),
    }
}

fn rule(state: &RuleState, definition: &Arc<publish::Definition>) -> publish::Rule {
    publish::Rule {
        definition: Arc::clone(definition),
        error: state.health.error.clone(),
        last: state.health.at,
        took: state.health.took,
        evaluations: state.health.counts.0,
        failures: state.health.counts.1,
        fired: state.health.counts.2,
    }
}

fn peers(outlets: &Outlets) -> Vec<publish::Peer> {
    let stats = outlets.alertmanagers().into_iter();
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

/// What is shown of those who are asked for new models.
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
