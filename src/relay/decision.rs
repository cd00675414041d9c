//! Decides which alerts of a notification become retraining requests.

use std::collections::BTreeSet;

use super::message::{Notification, Received};
use crate::alert::{self, Alert};
use crate::config::relay::{Ask, Identity, Relay};
use crate::metric::{Labels, Timestamp};
use crate::notify::RetrainRequest;
use crate::notify::retrain::{Attempt, Decision, GateKey, Gates, Hold, Policy};

/// The outcome of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub(crate) enum Outcome {
    /// Retraining was requested.
    Requested,
    /// Retraining would have been requested, but `retraining.dry_run` is true.
    DryRun,
    /// The cool-down after the last request for its series has not ended.
    CoolingDown,
    /// An earlier request for its series is still in flight.
    InFlight,
    /// `retraining.enabled` is false.
    Disabled,
    /// No entry of `retrain` matches.
    Unmatched,
    /// It has no model label.
    NoModel,
    /// It is resolved.
    Resolved,
    /// It is not valid: its labels are too long, or it has no time.
    Refused,
}

impl Outcome {
    /// All outcomes with their values of the label `outcome`.
    pub(crate) const ALL: [(Self, &'static str); 9] = [
        (Self::Requested, "requested"),
        (Self::DryRun, "dry_run"),
        (Self::CoolingDown, "cooling_down"),
        (Self::InFlight, "in_flight"),
        (Self::Disabled, "disabled"),
        (Self::Unmatched, "unmatched"),
        (Self::NoModel, "no_model"),
        (Self::Resolved, "resolved"),
        (Self::Refused, "refused"),
    ];
}

/// The result of a notification.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Decisions {
    /// Requests to send.
    pub(super) requests: Vec<RetrainRequest>,
    /// Ids of requests that are done because their alert is resolved.
    pub(super) done: Vec<String>,
    /// One outcome for each alert, in no particular order.
    pub(super) outcomes: Vec<Outcome>,
}

/// An alert that matches an entry of `retrain`, and its model.
struct MatchedAlert<'a> {
    alert: &'a Received,
    entry: &'a Ask,
    model: &'a str,
    version: &'a str,
    key: GateKey,
}

/// Decides about every alert of a notification, firing alerts first.
pub(super) fn decide(
    relay: &Relay,
    gates: &mut Gates,
    notification: &Notification,
    at: Timestamp,
) -> Decisions {
    let mut decisions = Decisions::default();
    let (mut firing, mut resolved) = (Vec::new(), Vec::new());
    for alert in &notification.alerts {
        match match_alert(relay, alert) {
            Ok(matched) if alert.firing => firing.push(matched),
            Ok(matched) => resolved.push(matched),
            Err(outcome) => decisions.outcomes.push(outcome),
        }
    }
    let active: BTreeSet<GateKey> = firing.iter().map(|matched| matched.key.clone()).collect();
    for matched in firing {
        decide_firing(relay, gates, &matched, at, &mut decisions);
    }
    for matched in resolved {
        decisions.outcomes.push(Outcome::Resolved);
        // The alert of another replica may still be firing.
        if matched.entry.resolved_is_done && !active.contains(&matched.key) {
            decisions.done.extend(gates.finish(&matched.key));
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

fn decide_firing(
    relay: &Relay,
    gates: &mut Gates,
    matched: &MatchedAlert<'_>,
    at: Timestamp,
    decisions: &mut Decisions,
) {
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
    };
    let gate = gates.gate(&matched.key);
    gate.verdict(&policy, &matched.key.series, true);
    let outcome = match gate.decide(&policy, &matched.key, &attempt, || Ok(false)) {
        Decision::Request { id } => {
            decisions.requests.push(request(id, matched, at));
            Outcome::Requested
        }
        Decision::DryRun { id } => {
            tracing::info!(rule = matched.key.rule, model = matched.model, %id, "would request retraining (dry run)");
            Outcome::DryRun
        }
        Decision::Hold(Hold::Disabled) => Outcome::Disabled,
        Decision::Hold(Hold::InFlight { .. }) => Outcome::InFlight,
        Decision::Hold(_) => Outcome::CoolingDown,
    };
    decisions.outcomes.push(outcome);
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

    use super::{Decisions, Outcome, decide};
    use crate::alert::Annotations;
    use crate::config::relay::{Relay, read_relay};
    use crate::metric::{Labels, Timestamp};
    use crate::notify::retrain::Gates;
    use crate::relay::message::{Notification, Received};

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
        alerts: Vec<Received>,
        after: Duration,
    ) -> Decisions {
        let notification = Notification {
            alerts,
            ..Notification::default()
        };
        decide(relay, gates, &notification, noon() + after)
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
        let both = vec![pod(true, "b"), pod(false, "a")];
        let held = decide_after(&relay, &mut gates, both, 8 * HOUR);
        assert_eq!(held.outcomes, [Outcome::InFlight, Outcome::Resolved]);
        assert_eq!(held.done, [""; 0]);
        let over = decide_after(&relay, &mut gates, vec![pod(false, "b")], 9 * HOUR);
        assert_eq!(over.done, [id]);
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
}
