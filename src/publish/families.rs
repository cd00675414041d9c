//! A snapshot as metric families, without the families of the signals.

use std::collections::HashMap;

use super::definition::{RuleKey, RuleKind};
use super::family::Family;
use super::rule_labels::of_rule;
use super::snapshot::{Backfill, Discovery, Snapshot};
use super::{Build, catalogue, process};
use crate::metric::Labels;

/// Every family of a snapshot except those of its signals; families without samples are left out.
pub(super) fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut all = Vec::from(rules(snapshot));
    all.extend(notifications(snapshot));
    all.extend(retraining(snapshot));
    all.extend(targets(snapshot));
    all.extend(
        snapshot
            .discovery
            .iter()
            .flat_map(|found| discovery(snapshot, found)),
    );
    all.extend(sidewatch(snapshot));
    all.extend(history(snapshot));
    all.extend(process::families());
    all.retain(|family| !family.samples.is_empty());
    all
}

/// 1 for true, 0 for false.
pub(super) fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(super) fn count(value: u64) -> f64 {
    value as f64
}

fn rules(snapshot: &Snapshot) -> [Family; 8] {
    let mut active = Family::new(&catalogue::ACTIVE_ALERTS);
    let mut missing = Family::new(&catalogue::MAPPING_MISSING);
    let mut failing = Family::new(&catalogue::RULE_EVALUATION_FAILING);
    let mut unsupported = Family::new(&catalogue::RULE_UNSUPPORTED);
    let mut held = Family::new(&catalogue::RULE_SERIES);
    let mut refused = Family::new(&catalogue::RULE_SERIES_REFUSED);
    let mut accepted = Family::new(&catalogue::BASELINES_ACCEPTED);
    let mut held_back = Family::new(&catalogue::RETRAINING_HELD_BACK);
    let mut alerts: HashMap<(&RuleKey, &str), u64> = HashMap::new();
    for alert in &snapshot.alerts {
        *alerts.entry((&alert.rule.key, alert.state)).or_default() += 1;
    }
    for rule in snapshot.groups.iter().flat_map(|group| &group.rules) {
        let key = &rule.definition.key;
        let labels = of_rule(&snapshot.model, key);
        if rule.definition.kind != RuleKind::Record {
            for state in ["pending", "firing"] {
                let now = alerts.get(&(key, state)).copied().unwrap_or(0);
                active.push(labels.with("state", state), count(now));
            }
        }
        if let Some(of) = rule.series {
            held.push(labels.clone(), count(of.held));
            refused.push(labels.clone(), count(of.refused));
        }
        if let Some(levels) = rule.accepted {
            accepted.push(labels.clone(), count(levels));
        }
        if let Some(series) = rule.held_back {
            held_back.push(labels.clone(), count(series));
        }
        missing.push(
            labels.clone(),
            flag(rule.is_empty && !rule.definition.optional),
        );
        unsupported.push(labels.clone(), flag(rule.unsupported.is_some()));
        failing.push(labels, flag(rule.error.is_some()));
    }
    [
        active,
        missing,
        failing,
        unsupported,
        held,
        refused,
        accepted,
        held_back,
    ]
}

fn notifications(snapshot: &Snapshot) -> [Family; 4] {
    let mut sent = Family::new(&catalogue::NOTIFICATIONS_SENT);
    let mut failed = Family::new(&catalogue::NOTIFICATIONS_FAILED);
    let mut dropped = Family::new(&catalogue::NOTIFICATIONS_DROPPED);
    let mut queue = Family::new(&catalogue::NOTIFICATION_QUEUE);
    for peer in &snapshot.peers {
        let labels = snapshot.model.with("alertmanager", &peer.url);
        sent.push(labels.clone(), count(peer.sent));
        failed.push(labels.clone(), count(peer.failed));
        dropped.push(labels.clone(), count(peer.dropped));
        queue.push(labels, count(peer.queue_length));
    }
    [sent, failed, dropped, queue]
}

fn retraining(snapshot: &Snapshot) -> [Family; 4] {
    let mut delivered = Family::new(&catalogue::RETRAINING_REQUESTS);
    let mut failed = Family::new(&catalogue::RETRAINING_FAILURES);
    let mut waiting = Family::new(&catalogue::RETRAINING_OUTBOX);
    let mut dead = Family::new(&catalogue::RETRAINING_DEAD_LETTERS);
    for receiver in &snapshot.receivers {
        let labels = snapshot.model.with("receiver", &receiver.name);
        delivered.push(labels.clone(), count(receiver.delivered));
        failed.push(labels.clone(), count(receiver.failed));
        waiting.push(labels.clone(), count(receiver.waiting));
        dead.push(labels, count(receiver.dead));
    }
    [delivered, failed, waiting, dead]
}

fn targets(snapshot: &Snapshot) -> [Family; 8] {
    let mut up = Family::new(&catalogue::TARGET_UP);
    let mut idle = Family::new(&catalogue::TARGET_IDLE);
    let mut duration = Family::new(&catalogue::SCRAPE_DURATION);
    let mut samples = Family::new(&catalogue::SCRAPE_SAMPLES);
    let mut body = Family::new(&catalogue::SCRAPE_BODY);
    let mut failures = Family::new(&catalogue::SCRAPE_FAILURES);
    let mut refused = Family::new(&catalogue::SERIES_REFUSED);
    for target in &snapshot.targets {
        let instance = target.labels.get("instance").unwrap_or(&target.url);
        let labels = snapshot.model.with("target", instance);
        if let Some(is_up) = target.up {
            up.push(labels.clone(), flag(is_up));
            idle.push(labels.clone(), flag(target.idle));
            duration.push(labels.clone(), target.duration.as_secs_f64());
            samples.push(labels.clone(), count(target.samples));
            body.push(labels.clone(), count(target.body_bytes));
        }
        for (reason, failed) in &target.failures {
            failures.push(labels.with("reason", reason), count(*failed));
        }
        refused.push(labels, count(target.refused));
    }
    let series =
        Family::new(&catalogue::WINDOW_SERIES).with(snapshot.model.clone(), count(snapshot.series));
    [up, idle, duration, samples, body, failures, series, refused]
}

fn discovery(snapshot: &Snapshot, discovery: &Discovery) -> [Family; 3] {
    let labels = snapshot.model.with("name", &discovery.name);
    let mut targets = Family::new(&catalogue::DISCOVERED_TARGETS);
    if let Some(found) = discovery.targets {
        targets.push(labels.clone(), count(found));
    }
    [
        targets,
        Family::new(&catalogue::DNS_LOOKUPS).with(labels.clone(), count(discovery.lookups)),
        Family::new(&catalogue::DNS_LOOKUP_FAILURES).with(labels, count(discovery.failures)),
    ]
}

fn history(snapshot: &Snapshot) -> [Family; 3] {
    let mut progress = Family::new(&catalogue::BACKFILL_PROGRESS);
    let mut state = Family::new(&catalogue::BACKFILL_STATE_NOW);
    let mut skew = Family::new(&catalogue::SOURCE_CLOCK_SKEW);
    if let Some(backfill) = &snapshot.backfill {
        progress.push(snapshot.model.clone(), backfill.progress);
        for name in Backfill::STATES {
            state.push(
                snapshot.model.with("state", name),
                flag(name == backfill.state),
            );
        }
    }
    if let Some(seconds) = snapshot.source_skew {
        skew.push(snapshot.model.clone(), seconds);
    }
    [progress, state, skew]
}

/// The store, the configuration and the version.
fn sidewatch(snapshot: &Snapshot) -> [Family; 4] {
    let model = || snapshot.model.clone();
    let reload = &snapshot.reload;
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds stay far below 2^53"
    )]
    let reloaded_at = reload.succeeded_at.as_millis() as f64 / 1000.0;
    [
        Family::new(&catalogue::STORAGE_DURABLE).with(model(), flag(snapshot.durable)),
        Family::new(&catalogue::CONFIG_RELOADED).with(model(), flag(reload.error.is_none())),
        Family::new(&catalogue::CONFIG_RELOADED_AT).with(model(), reloaded_at),
        Family::new(&catalogue::BUILD_INFO).with(Labels::new([("version", Build::VERSION)]), 1.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::families;
    use crate::metric::Labels;
    use crate::publish::{
        Backfill, Definition, Discovery, Group, HeldSeries, Peer, Receiver, Rule, RuleKind,
        Snapshot, Target,
    };

    /// A snapshot with a sample in every family.
    fn full() -> Snapshot {
        let rule = Rule {
            definition: Definition::new("g", "R", RuleKind::Watch, Vec::new()).into(),
            series: Some(HeldSeries::default()),
            accepted: Some(0),
            ..Rule::default()
        };
        Snapshot {
            model: Labels::new([("model_id", "m"), ("model_version", "1")]),
            targets: vec![Target {
                up: Some(true),
                failures: vec![("timeout", 1)],
                ..Target::default()
            }],
            groups: vec![Group {
                rules: vec![rule],
                ..Group::default()
            }],
            peers: vec![Peer::default()],
            receivers: vec![Receiver::default()],
            discovery: Some(Discovery {
                targets: Some(1),
                ..Discovery::default()
            }),
            backfill: Some(Backfill::default()),
            source_skew: Some(0.0),
            ..Snapshot::default()
        }
    }

    #[test]
    fn every_label_of_every_family_is_described() {
        let families = families(&full());
        assert!(families.len() > 30, "{}", families.len());
        for family in families {
            let missing = family.undescribed_labels();
            assert!(
                missing.is_empty(),
                "{}: {missing:?}",
                family.description.name
            );
        }
    }
}
