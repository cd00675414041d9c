//! A snapshot as metric families: the list of the documentation, in its order.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::snapshot::{Backfill, Discovery, HeldSeries, Rule, RuleKind, Snapshot};
use super::{Build, process};
use crate::metric::Labels;

/// How a family is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows; the name ends in `_total`.
    Counter,
}

/// One value of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels, without the name.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// Samples under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Gauge or counter.
    pub kind: Kind,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Family {
    pub(super) fn new(kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind,
            samples: Vec::new(),
        }
    }

    fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Gauge, name, help)
    }

    fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Counter, name, help)
    }

    fn push(&mut self, labels: Labels, value: f64) {
        self.samples.push(Sample { labels, value });
    }

    pub(super) fn with(mut self, labels: Labels, value: f64) -> Self {
        self.push(labels, value);
        self
    }
}

/// Every family of a snapshot but those of its signals; those without samples are left out.
pub(super) fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut all = alerts(snapshot);
    all.extend(watches(snapshot));
    all.extend(deliveries(snapshot));
    all.extend(targets(snapshot));
    all.extend(history(snapshot));
    all.extend(process::families());
    all.retain(|family| !family.samples.is_empty());
    all
}

/// A severity that is the same for every alert of the rule stands on the gauge, so that it can be routed by.
fn severity(labels: &Labels, rule: &Rule) -> Labels {
    let written = rule
        .definition
        .labels
        .iter()
        .find(|(name, text)| name == "severity" && !text.contains("{{"));
    written.map_or_else(|| labels.clone(), |(name, text)| labels.with(name, text))
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
fn alerts(snapshot: &Snapshot) -> Vec<Family> {
    let mut active = Family::gauge(
        "sidewatch_active_alerts",
        "Alerts of a rule that are pending or firing.",
    );
    let mut missing = Family::gauge(
        "sidewatch_mapping_missing",
        "Whether a rule's expression found no series at all.",
    );
    let mut failing = Family::gauge(
        "sidewatch_rule_evaluation_failing",
        "Whether the last evaluation of a rule failed.",
    );
    let missed: HashSet<&String> = snapshot.missing.iter().collect();
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    for alert in &snapshot.alerts {
        *counts.entry((&alert.rule, alert.state)).or_default() += 1;
    }
    for rule in snapshot.groups.iter().flat_map(|group| &group.rules) {
        let labels = snapshot.model.with("rule", &rule.definition.name);
        let found = missed.contains(&rule.definition.name);
        missing.push(labels.clone(), f64::from(u8::from(found)));
        failing.push(labels.clone(), f64::from(u8::from(rule.error.is_some())));
        if rule.definition.kind == RuleKind::Record {
            continue;
        }
        for state in ["pending", "firing"] {
            let of = counts.get(&(&*rule.definition.name, state));
            active.push(
                severity(&labels, rule).with("state", state),
                of.copied().unwrap_or(0) as f64,
            );
        }
    }
    // Two rules of one name are one series.
    for family in [&mut active, &mut missing, &mut failing] {
        family
            .samples
            .sort_by(|a, b| a.labels.cmp(&b.labels).then(b.value.total_cmp(&a.value)));
        family
            .samples
            .dedup_by(|later, kept| later.labels == kept.labels);
    }
    vec![active, missing, failing]
}

/// How many series the watches hold. Those of one name are added up.
#[expect(clippy::cast_precision_loss, reason = "counts")]
fn watches(snapshot: &Snapshot) -> Vec<Family> {
    let mut held = Family::gauge(
        "sidewatch_rule_series",
        "Series that a watch judges and remembers.",
    );
    let mut refused = Family::counter(
        "sidewatch_rule_series_refused_total",
        "Samples that a watch did not judge because it holds as many series as it may.",
    );
    let mut counts: BTreeMap<&str, HeldSeries> = BTreeMap::new();
    for rule in snapshot.groups.iter().flat_map(|group| &group.rules) {
        if let Some(of) = rule.series {
            let all = counts.entry(&rule.definition.name).or_default();
            all.held += of.held;
            all.refused += of.refused;
        }
    }
    for (rule, of) in counts {
        let labels = snapshot.model.with("rule", rule);
        held.push(labels.clone(), of.held as f64);
        refused.push(labels, of.refused as f64);
    }
    vec![held, refused]
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
fn deliveries(snapshot: &Snapshot) -> Vec<Family> {
    let mut sent = Family::counter(
        "sidewatch_notifications_sent_total",
        "Alerts that an Alertmanager accepted.",
    );
    let mut failed = Family::counter(
        "sidewatch_notifications_failed_total",
        "Alerts in attempts that failed.",
    );
    let mut dropped = Family::counter(
        "sidewatch_notifications_dropped_total",
        "Alerts that were given up.",
    );
    let mut queue = Family::gauge(
        "sidewatch_notification_queue_length",
        "Alerts that wait for an Alertmanager.",
    );
    for peer in &snapshot.peers {
        let labels = snapshot.model.with("alertmanager", &peer.url);
        sent.push(labels.clone(), peer.sent as f64);
        failed.push(labels.clone(), peer.failed as f64);
        dropped.push(labels.clone(), peer.dropped as f64);
        queue.push(labels, peer.queue_length as f64);
    }
    let mut requests = Family::counter(
        "sidewatch_retraining_requests_total",
        "Retraining requests that arrived.",
    );
    let mut failures = Family::counter(
        "sidewatch_retraining_failures_total",
        "Attempts to ask for retraining that failed.",
    );
    let mut outbox = Family::gauge(
        "sidewatch_retraining_outbox_length",
        "Retraining requests that wait.",
    );
    let mut dead = Family::gauge(
        "sidewatch_retraining_dead_letters",
        "Retraining requests that expired or were refused.",
    );
    for receiver in &snapshot.receivers {
        let labels = snapshot.model.with("receiver", &receiver.name);
        requests.push(labels.clone(), receiver.delivered as f64);
        failures.push(labels.clone(), receiver.failed as f64);
        outbox.push(labels.clone(), receiver.waiting as f64);
        dead.push(labels, receiver.dead as f64);
    }
    vec![
        sent, failed, dropped, queue, requests, failures, outbox, dead,
    ]
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
fn targets(snapshot: &Snapshot) -> Vec<Family> {
    let mut up = Family::gauge(
        "sidewatch_target_up",
        "Whether the last scrape of the target was good.",
    );
    let mut duration = Family::gauge(
        "sidewatch_scrape_duration_seconds",
        "Time the last scrape took.",
    );
    let mut samples = Family::gauge("sidewatch_scrape_samples", "Samples in the last scrape.");
    let mut body = Family::gauge(
        "sidewatch_scrape_body_bytes",
        "Size of the last scrape's body.",
    );
    let mut failures = Family::counter(
        "sidewatch_scrape_failures_total",
        "Scrapes that failed, by reason.",
    );
    let mut refused = Family::counter(
        "sidewatch_series_refused_total",
        "Samples whose series the limit on stored series refused.",
    );
    let mut idle = Family::gauge(
        "sidewatch_target_idle",
        "Whether the target answers but has no traffic.",
    );
    for target in &snapshot.targets {
        let instance = target.labels.get("instance").unwrap_or(&target.url);
        let labels = snapshot.model.with("target", instance);
        if let Some(is_up) = target.up {
            up.push(labels.clone(), f64::from(u8::from(is_up)));
            idle.push(labels.clone(), f64::from(u8::from(target.idle)));
            duration.push(labels.clone(), target.duration.as_secs_f64());
            samples.push(labels.clone(), target.samples as f64);
            body.push(labels.clone(), target.body_bytes as f64);
        }
        for (reason, count) in &target.failures {
            failures.push(labels.with("reason", reason), *count as f64);
        }
        refused.push(labels, target.refused as f64);
    }
    let series = Family::gauge("sidewatch_series", "Series in the window.");
    let mut all = vec![
        up,
        idle,
        duration,
        samples,
        body,
        failures,
        series.with(snapshot.model.clone(), snapshot.series as f64),
        refused,
    ];
    all.extend(
        snapshot
            .discovery
            .iter()
            .flat_map(|of| discovery(snapshot, of)),
    );
    all.extend(process(snapshot));
    all
}

/// How far it learnt from history, and how the clock of the server goes that it asks.
fn history(snapshot: &Snapshot) -> Vec<Family> {
    let mut progress = Family::gauge(
        "sidewatch_backfill_progress_ratio",
        "How much of the history was learnt from, between 0 and 1.",
    );
    let mut state = Family::gauge(
        "sidewatch_backfill_state",
        "Whether the backfill is in this state.",
    );
    let mut skew = Family::gauge(
        "sidewatch_source_clock_skew_seconds",
        "How far the clock of the source is ahead of ours; 0 below one second.",
    );
    if let Some(backfill) = &snapshot.backfill {
        progress.push(snapshot.model.clone(), backfill.progress);
        for name in Backfill::STATES {
            let is = f64::from(u8::from(name == backfill.state));
            state.push(snapshot.model.with("state", name), is);
        }
    }
    if let Some(seconds) = snapshot.source_skew {
        skew.push(snapshot.model.clone(), seconds);
    }
    vec![progress, state, skew]
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
fn discovery(snapshot: &Snapshot, discovery: &Discovery) -> Vec<Family> {
    let targets = Family::gauge(
        "sidewatch_discovered_targets",
        "Addresses at the last answer about the name; 0 is scaled to zero.",
    );
    let lookups = Family::counter(
        "sidewatch_dns_lookups_total",
        "Look-ups of the name that targets are found by.",
    );
    let failures = Family::counter(
        "sidewatch_dns_lookup_failures_total",
        "Look-ups that nobody answered; the targets of the last answer stay.",
    );
    let labels = snapshot.model.with("name", &discovery.name);
    let known = discovery
        .targets
        .map(|count| (labels.clone(), count as f64));
    vec![
        known.into_iter().fold(targets, |family, (labels, count)| {
            family.with(labels, count)
        }),
        lookups.with(labels.clone(), discovery.lookups as f64),
        failures.with(labels, discovery.failures as f64),
    ]
}

/// The process itself: its configuration, its store, its build.
fn process(snapshot: &Snapshot) -> Vec<Family> {
    let durable = Family::gauge(
        "sidewatch_storage_durable",
        "Whether state survives a restart.",
    );
    let reloaded = Family::gauge(
        "sidewatch_config_last_reload_successful",
        "Whether the last reload of the configuration succeeded.",
    );
    let reloaded_at = Family::gauge(
        "sidewatch_config_last_reload_success_timestamp_seconds",
        "When the configuration was last taken up.",
    );
    let build = Family::gauge(
        "sidewatch_build_info",
        "A constant 1 with the version of the program.",
    );
    vec![
        durable.with(
            snapshot.model.clone(),
            f64::from(u8::from(snapshot.durable)),
        ),
        reloaded.with(
            snapshot.model.clone(),
            f64::from(u8::from(snapshot.reload.error.is_none())),
        ),
        reloaded_at.with(
            snapshot.model.clone(),
            snapshot.reload.succeeded_at.as_millis() as f64 / 1000.0,
        ),
        build.with(Labels::new([("version", Build::VERSION)]), 1.0),
    ]
}
