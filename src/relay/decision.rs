//! Decides which alerts of a notification become retraining requests.

use std::collections::BTreeSet;

use super::limits::{Limits, MAX_GATES};
use super::message::Received;
use super::outcome::Outcome;
use crate::alert::{self, Alert};
use crate::config::relay::{Ask, Identity, Relay};
use crate::metric::{Labels, Timestamp};
use crate::notify::RetrainRequest;
use crate::notify::retrain::{Attempt, Decision, GateKey, Gates, Hold, Policy};

/// The result of some alerts of a notification.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Decisions {
    /// Requests to send.
    pub(super) requests: Vec<RetrainRequest>,
    /// One outcome for each alert, in no particular order.
    pub(super) outcomes: Vec<Outcome>,
}

impl Decisions {
    /// Adds the outcome of a firing alert.
    fn take(
        &mut self,
        (outcome, id): (Outcome, Option<String>),
        matched: &MatchedAlert<'_>,
        at: Timestamp,
    ) {
        self.outcomes.push(outcome);
        self.requests.extend(id.map(|id| request(id, matched, at)));
    }
}

/// An alert that matches an entry of `retrain`, and its model.
struct MatchedAlert<'a> {
    alert: &'a Received,
    entry: &'a Ask,
    model: &'a str,
    version: &'a str,
    key: GateKey,
}

/// What the alerts of a notification that are decided already say about requests in flight. An alert
/// may be resolved for one replica while that of another replica, later in the notification, fires.
#[derive(Debug, Default)]
pub(super) struct Ends {
    active: BTreeSet<GateKey>,
    resolved: BTreeSet<GateKey>,
}

impl Ends {
    /// Ends the requests whose alerts are resolved and fire nowhere. Returns their ids.
    pub(super) fn finish(&self, gates: &mut Gates) -> Vec<String> {
        let ended = self.resolved.difference(&self.active);
        ended.filter_map(|key| gates.finish(key)).collect()
    }
}

/// Decides about some alerts of a notification, firing alerts first.
pub(super) fn decide(
    relay: &Relay,
    gates: &mut Gates,
    alerts: &[Received],
    ends: &mut Ends,
    at: Timestamp,
) -> Decisions {
    let limits = Limits::new(relay, gates, at, MAX_GATES);
    decide_within(limits, relay, gates, alerts, ends, at)
}

fn decide_within(
    mut limits: Limits<'_>,
    relay: &Relay,
    gates: &mut Gates,
    alerts: &[Received],
    ends: &mut Ends,
    at: Timestamp,
) -> Decisions {
    let mut decisions = Decisions::default();
    let (mut firing, mut resolved) = (Vec::new(), Vec::new());
    for alert in alerts {
        match match_alert(relay, alert) {
            Ok(matched) if alert.firing => firing.push(matched),
            Ok(matched) => resolved.push(matched),
            Err(outcome) => decisions.outcomes.push(outcome),
        }
    }
    let is_in_flight = |gates: &Gates, key: &GateKey| {
        gates
            .get(key)
            .is_some_and(|gate| gate.in_flight().is_some())
    };
    for matched in firing {
        let outcome = decide_firing(relay, gates, &mut limits, &matched, at);
        decisions.take(outcome, &matched, at);
        if is_in_flight(gates, &matched.key) {
            ends.active.insert(matched.key);
        }
    }
    for matched in resolved {
        decisions.outcomes.push(Outcome::Resolved);
        if matched.entry.resolved_is_done && is_in_flight(gates, &matched.key) {
            ends.resolved.insert(matched.key);
        }
    }
    decisions
}

fn match_alert<'a>(relay: &'a Relay, alert: &'a Received) -> Result<MatchedAlert<'a>, Outcome> {
    let labels = &alert.labels;
    let entry = relay
        .asks
        .iter()
        .find(|entry| entry.matches(labels))
        .ok_or(Outcome::Unmatched)?;
    let model = labels.get(&relay.labels.model).unwrap_or("");
    if model.is_empty() {
        return Err(Outcome::NoModel);
    }
    Ok(MatchedAlert {
        alert,
        entry,
        model,
        version: labels.get(&relay.labels.version).unwrap_or(""),
        key: GateKey::new(rule(labels), &series(labels, &relay.labels)),
    })
}

fn rule(labels: &Labels) -> &str {
    labels.get("alertname").unwrap_or("")
}

/// The labels that identify what is retrained: all except the version and the ignored labels.
fn series(labels: &Labels, identity: &Identity) -> Labels {
    labels.retain(|name| {
        name != "alertname"
            && name != identity.version
            && !identity.ignore.iter().any(|ignored| ignored == name)
    })
}

/// The outcome of a firing alert, and the id of its request.
fn decide_firing(
    relay: &Relay,
    gates: &mut Gates,
    limits: &mut Limits<'_>,
    matched: &MatchedAlert<'_>,
    at: Timestamp,
) -> (Outcome, Option<String>) {
    let retraining = &relay.retraining;
    let cooldown = matched.entry.cooldown;
    let policy = Policy {
        cooldown,
        after: (1, 1),
        in_flight_timeout: retraining.in_flight_timeout.unwrap_or(cooldown),
        dry_run: retraining.dry_run,
    };
    let attempt = Attempt {
        model: (matched.model, matched.version),
        series: &matched.key.series,
        at,
        fired_at: Some(matched.alert.starts_at),
        enabled: retraining.enabled,
        limit: None,
    };
    let (rule, model) = (matched.key.rule.as_str(), matched.model);
    let limited = limits.holding(rule, model, gates.get(&matched.key));
    if gates.get(&matched.key).is_none() {
        if !retraining.enabled {
            return (Outcome::Disabled, None);
        }
        // An alert that is held back takes no place.
        if let Some(outcome) = limited {
            return (outcome, None);
        }
        if !limits.make_room(gates, &matched.key) {
            return (Outcome::Limited, None);
        }
    }
    let gate = gates.gate(&matched.key);
    gate.verdict(&policy, &matched.key.series, true);
    let is_counted = gate.asked_within_hour(at);
    let limit = limited.map(|_| limits.total().limit());
    let attempt = Attempt { limit, ..attempt };
    let hourly = limits.of_model(rule, model);
    let decision = gates.decide(&policy, &matched.key, &attempt, hourly, || Ok(false));
    if matches!(decision, Decision::Request { .. } | Decision::DryRun { .. }) && !is_counted {
        limits.total().count();
    }
    match decision {
        Decision::Request { id } => (Outcome::Requested, Some(id)),
        Decision::DryRun { id } => {
            tracing::info!(rule, model, %id, "would request retraining (dry run)");
            (Outcome::DryRun, None)
        }
        Decision::Hold(Hold::Disabled) => (Outcome::Disabled, None),
        Decision::Hold(Hold::InFlight { .. }) => (Outcome::InFlight, None),
        Decision::Hold(Hold::Limited { .. }) => (limited.unwrap_or(Outcome::Limited), None),
        Decision::Hold(_) => (Outcome::CoolingDown, None),
    }
}

/// The request for an alert. Value and score come from the annotations of a Sidewatch alert.
fn request(id: String, matched: &MatchedAlert<'_>, at: Timestamp) -> RetrainRequest {
    let received = matched.alert;
    let number = |name: &str| {
        let text = received.annotations.get(name)?.split(' ').next()?;
        text.parse::<f64>().ok().filter(|number| number.is_finite())
    };
    let alert = Alert {
        rule: matched.key.rule.as_str().into(),
        labels: received.labels.clone(),
        series: matched.key.series.clone(),
        annotations: received.annotations.clone(),
        state: alert::AlertState::Firing,
        value: number("value").unwrap_or(f64::NAN),
        active_at: received.starts_at,
        fired_at: Some(received.starts_at),
        resolved_at: None,
        keep_firing_since: None,
        no_data_since: None,
        ends_at: None,
        generator_url: received.generator_url.as_str().into(),
        explanation: None,
    };
    RetrainRequest {
        score: number("score"),
        ..RetrainRequest::new(id, (matched.model, matched.version), &alert, at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Decisions, Ends, Limits, Outcome, decide, decide_within};
    use crate::alert::Annotations;
    use crate::config::relay::{Relay, read_relay};
    use crate::metric::{Labels, Timestamp};
    use crate::notify::retrain::Gates;
    use crate::relay::message::Received;

    const HOUR: Duration = Duration::from_secs(3600);

    fn relay(more: &str) -> Relay {
        let text = format!(
            "retrain: [{{matchers: ['retrain=\"true\"'], cooldown: 6h, resolved_is_done: true}}]\n\
             retraining: {{webhooks: [{{url: 'http://x'}}]{more}}}\n"
        );
        read_relay("relay.yaml", &text, &|_| None).unwrap()
    }

    fn noon() -> Timestamp {
        Timestamp::from_millis(1_795_521_600_000)
    }

    fn alert(firing: bool, pairs: &[(&str, &str)]) -> Received {
        let base = [
            ("alertname", "Drift"),
            ("model_id", "fraud"),
            ("retrain", "true"),
        ];
        Received {
            firing,
            labels: Labels::new(base.into_iter().chain(pairs.iter().copied())),
            annotations: Annotations::new([
                ("summary", "it drifts"),
                ("value", "0.5 ms"),
                ("score", "1.5"),
            ]),
            starts_at: noon(),
            generator_url: "http://side:9755/".to_owned(),
        }
    }

    fn decide_after(
        relay: &Relay,
        gates: &mut Gates,
        alerts: impl IntoIterator<Item = Received>,
        after: Duration,
    ) -> Decisions {
        let alerts: Vec<Received> = alerts.into_iter().collect();
        decide(relay, gates, &alerts, &mut Ends::default(), noon() + after)
    }

    #[test]
    fn replicas_and_repetitions_lead_to_one_request_per_cooldown() {
        let (relay, mut gates) = (relay(""), Gates::default());
        let replicas = || {
            vec![
                alert(
                    true,
                    &[("pod", "fraud-0"), ("replica", "a"), ("model_version", "7")],
                ),
                alert(
                    true,
                    &[("pod", "fraud-1"), ("replica", "b"), ("model_version", "7")],
                ),
            ]
        };
        let first = decide_after(&relay, &mut gates, replicas(), HOUR);
        assert_eq!(first.requests.len(), 1);
        assert_eq!(first.outcomes, [Outcome::Requested, Outcome::CoolingDown]);
        let request = &first.requests[0];
        assert_eq!(
            (request.model_id.as_str(), request.model_version.as_str()),
            ("fraud", "7")
        );
        assert_eq!((request.value, request.score), (Some(0.5), Some(1.5)));
        assert_eq!(request.reason, "it drifts");
        assert!(
            decide_after(&relay, &mut gates, replicas(), 6 * HOUR)
                .requests
                .is_empty()
        );
        let next = decide_after(&relay, &mut gates, replicas(), 7 * HOUR);
        assert_eq!(next.requests.len(), 1);
        assert_ne!(
            next.requests[0].id, request.id,
            "each cool-down period has its own key"
        );
        // A relay without the state of the first one makes the same decision.
        let again = decide_after(&relay, &mut Gates::default(), replicas(), HOUR);
        assert_eq!(again.requests[0].id, request.id);
    }

    #[test]
    fn each_model_and_series_has_its_own_gate_whatever_the_version() {
        let (relay, mut gates) = (relay(""), Gates::default());
        let other = alert(true, &[("model_id", "credit")]);
        let decisions = decide_after(&relay, &mut gates, vec![alert(true, &[]), other], HOUR);
        assert_eq!(decisions.requests.len(), 2);
        let newer = vec![alert(true, &[("model_version", "8")])];
        assert_eq!(
            decide_after(&relay, &mut gates, newer, 2 * HOUR).outcomes,
            [Outcome::CoolingDown]
        );
        let series = vec![alert(true, &[("feature", "age")])];
        assert_eq!(
            decide_after(&relay, &mut gates, series, 2 * HOUR).outcomes,
            [Outcome::Requested]
        );
    }

    #[test]
    fn a_request_is_done_when_no_replica_fires_any_more() {
        let relay = relay(", in_flight_timeout: 24h");
        let mut gates = Gates::default();
        let pod = |firing, pod| alert(firing, &[("pod", pod)]);
        let first = decide_after(&relay, &mut gates, vec![pod(true, "a")], HOUR);
        let id = first.requests[0].id.clone();
        // The alerts may be decided at once, or one after the other in any order.
        for order in [vec![2], vec![1, 1]] {
            for mut alerts in [
                vec![pod(true, "b"), pod(false, "a")],
                vec![pod(false, "a"), pod(true, "b")],
            ] {
                let mut ends = Ends::default();
                for count in &order {
                    let some: Vec<Received> = alerts.drain(..count).collect();
                    let at = noon() + 8 * HOUR;
                    let held = decide(&relay, &mut gates, &some, &mut ends, at);
                    assert_eq!(held.requests, []);
                }
                assert_eq!(ends.finish(&mut gates), [""; 0]);
            }
        }
        let mut ends = Ends::default();
        decide(
            &relay,
            &mut gates,
            &[pod(false, "b")],
            &mut ends,
            noon() + 9 * HOUR,
        );
        assert_eq!(ends.finish(&mut gates), [id]);
        let again = decide_after(&relay, &mut gates, vec![pod(true, "a")], 10 * HOUR);
        assert_eq!(again.outcomes, [Outcome::Requested]);
    }

    #[test]
    fn every_alert_without_a_request_has_an_outcome() {
        let mut gates = Gates::default();
        let nameless = alert(true, &[("model_id", "")]);
        let other = alert(true, &[("retrain", "false")]);
        let decisions = decide_after(&relay(""), &mut gates, vec![nameless, other], HOUR);
        assert_eq!(decisions.outcomes, [Outcome::NoModel, Outcome::Unmatched]);
        let one = || vec![alert(true, &[])];
        let off = relay(", enabled: false");
        assert_eq!(
            decide_after(&off, &mut gates, one(), HOUR).outcomes,
            [Outcome::Disabled]
        );
        let dry = relay(", dry_run: true");
        assert_eq!(
            decide_after(&dry, &mut gates, one(), HOUR).outcomes,
            [Outcome::DryRun]
        );
        assert_eq!(
            decide_after(&dry, &mut gates, one(), 2 * HOUR).outcomes,
            [Outcome::CoolingDown]
        );
    }

    /// One notification with alerts of a model on these users, at noon, with room for ten gates.
    fn flood(relay: &Relay, gates: &mut Gates, model: &str, users: usize) -> Vec<Outcome> {
        let users: Vec<String> = (0..users).map(|user| user.to_string()).collect();
        let alerts = users
            .iter()
            .map(|user| alert(true, &[("model_id", model), ("user", user)]));
        let alerts: Vec<Received> = alerts.collect();
        let (limits, mut ends) = (Limits::new(relay, gates, noon(), 10), Ends::default());
        decide_within(limits, relay, gates, &alerts, &mut ends, noon()).outcomes
    }

    fn requested(outcomes: &[Outcome]) -> usize {
        let requested = |outcome: &&Outcome| **outcome == Outcome::Requested;
        outcomes.iter().filter(requested).count()
    }

    #[test]
    fn a_model_that_fills_all_places_leaves_room_for_the_others() {
        let (relay, mut gates) = (relay(", hourly_limit: 0"), Gates::default());
        assert_eq!(requested(&flood(&relay, &mut gates, "fraud", 30)), 10);
        assert_eq!(gates.len(), 10);
        assert_eq!(requested(&flood(&relay, &mut gates, "credit", 1)), 1);
        let again = flood(&relay, &mut gates, "credit", 1);
        assert_eq!(again, [Outcome::CoolingDown]);
        // Two models that need all places share them.
        assert_eq!(requested(&flood(&relay, &mut gates, "credit", 30)), 4);
        assert_eq!(requested(&flood(&relay, &mut gates, "risk", 30)), 4);
        assert_eq!(gates.len(), 10);
    }

    #[test]
    fn ten_thousand_label_sets_of_a_model_become_twenty_requests_an_hour() {
        let (relay, mut gates) = (relay(""), Gates::default());
        let labels: Vec<String> = (0..10_000).map(|user| user.to_string()).collect();
        let storm = || {
            let alerts = labels.iter().map(|user| alert(true, &[("user", user)]));
            alerts.collect::<Vec<_>>()
        };
        let first = decide_after(&relay, &mut gates, storm(), HOUR);
        assert_eq!((first.requests.len(), gates.len()), (20, 20));
        let limited = |outcome: &&Outcome| **outcome == Outcome::Limited;
        assert_eq!(first.outcomes.iter().filter(limited).count(), 9_980);
        let other = alert(true, &[("model_id", "credit")]);
        let honest = decide_after(&relay, &mut gates, vec![other], HOUR);
        assert_eq!(honest.requests.len(), 1);
        let repeated = decide_after(&relay, &mut gates, storm(), HOUR + HOUR / 2);
        assert_eq!(repeated.requests.len(), 0);
        // What still fires an hour later requests retraining then.
        let later = decide_after(&relay, &mut gates, storm(), 2 * HOUR);
        assert_eq!(later.requests.len(), 20);
        assert!(!later.requests.iter().any(|request| {
            let mut before = first.requests.iter();
            before.any(|first| first.labels == request.labels)
        }));
    }

    #[test]
    fn ten_thousand_models_become_two_hundred_requests_an_hour() {
        let (relay, mut gates) = (relay(""), Gates::default());
        let storm = || {
            let models = (0..10_000).map(|model| model.to_string());
            let alerts = models.map(|model| alert(true, &[("model_id", &model)]));
            alerts.collect::<Vec<_>>()
        };
        let count = |decisions: &Decisions, outcome| {
            let of_this = decisions.outcomes.iter().filter(|other| **other == outcome);
            of_this.count()
        };
        let first = decide_after(&relay, &mut gates, storm(), HOUR);
        assert_eq!((first.requests.len(), gates.len()), (200, 200));
        assert_eq!(count(&first, Outcome::TotalLimited), 9_800);
        // Neither another rule nor a series whose cool-down is over gets past the limit.
        let other = vec![alert(true, &[("alertname", "Other")])];
        let held = decide_after(&relay, &mut gates, other, HOUR);
        assert_eq!(held.outcomes, [Outcome::TotalLimited]);
        let later = decide_after(&relay, &mut gates, storm(), 8 * HOUR);
        assert_eq!(later.requests.len(), 200);
        assert_eq!(count(&later, Outcome::TotalLimited), 9_800);
    }
}
