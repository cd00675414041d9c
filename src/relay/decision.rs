//! Which alerts of a notification become requests.

use std::collections::BTreeSet;

use super::message::{Notification, Received};
use crate::alert::{self, Alert};
use crate::config::relay::{Ask, Identity, Relay};
use crate::metric::{Labels, Timestamp};
use crate::notify::RetrainRequest;
use crate::notify::retrain::{Attempt, Decision, GateKey, Gates, Hold, Policy};

/// What became of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Outcome {
    /// It asks for a new model now.
    Requested,
    /// It would, but for the dry run.
    DryRun,
    /// The last request for its series is too recent.
    CoolingDown,
    /// An earlier request is not done.
    InFlight,
    /// `retraining.enabled` is false.
    Disabled,
    /// No entry of `retrain` matches.
    Unmatched,
    /// It names no model.
    NoModel,
    /// It has ended.
    Resolved,
}

impl Outcome {
    /// Every outcome with its word in metrics.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Requested, "requested"),
        (Self::DryRun, "dry_run"),
        (Self::CoolingDown, "cooling_down"),
        (Self::InFlight, "in_flight"),
        (Self::Disabled, "disabled"),
        (Self::Unmatched, "unmatched"),
        (Self::NoModel, "no_model"),
        (Self::Resolved, "resolved"),
    ];
}

/// What a notification leads to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decided {
    /// Requests to send.
    pub requests: Vec<RetrainRequest>,
    /// Requests that are over, because their alert ended.
    pub done: Vec<String>,
    /// One for each alert, in no particular order.
    pub outcomes: Vec<Outcome>,
}

/// An alert that some entry of `retrain` wants, and what it is about.
struct Wanted<'a> {
    alert: &'a Received,
    ask: &'a Ask,
    model: &'a str,
    version: &'a str,
    key: GateKey,
}

/// Decides about every alert of a notification, firing ones first.
pub fn decide(
    relay: &Relay,
    gates: &mut Gates,
    notification: &Notification,
    at: Timestamp,
) -> Decided {
    let mut decided = Decided::default();
    let (mut firing, mut ended) = (Vec::new(), Vec::new());
    for alert in &notification.alerts {
        match wanted(relay, alert) {
            Ok(wanted) if alert.firing => firing.push(wanted),
            Ok(wanted) => ended.push(wanted),
            Err(outcome) => decided.outcomes.push(outcome),
        }
    }
    let active: BTreeSet<GateKey> = firing.iter().map(|wanted| wanted.key.clone()).collect();
    for wanted in firing {
        fire(relay, gates, &wanted, at, &mut decided);
    }
    for wanted in ended {
        decided.outcomes.push(Outcome::Resolved);
        // Another replica may still say so.
        if wanted.ask.resolved_is_done && !active.contains(&wanted.key) {
            decided.done.extend(gates.finish(&wanted.key));
        }
    }
    decided
}

fn wanted<'a>(relay: &'a Relay, alert: &'a Received) -> Result<Wanted<'a>, Outcome> {
    let labels = &alert.labels;
    let mut asks = relay.asks.iter();
    let ask = asks
        .find(|ask| ask.matches(labels))
        .ok_or(Outcome::Unmatched)?;
    let model = labels.get(&relay.labels.model).unwrap_or("");
    if model.is_empty() {
        return Err(Outcome::NoModel);
    }
    Ok(Wanted {
        alert,
        ask,
        model,
        version: labels.get(&relay.labels.version).unwrap_or(""),
        key: GateKey::new(rule(labels), &series(labels, &relay.labels)),
    })
}

fn rule(labels: &Labels) -> &str {
    labels.get("alertname").unwrap_or("")
}

/// What is retrained: the model, whatever its version, and the series.
fn series(labels: &Labels, identity: &Identity) -> Labels {
    labels.retain(|name| {
        name != "alertname"
            && name != identity.version
            && !identity.ignore.iter().any(|ignored| ignored == name)
    })
}

fn fire(
    relay: &Relay,
    gates: &mut Gates,
    wanted: &Wanted<'_>,
    at: Timestamp,
    decided: &mut Decided,
) {
    let retraining = &relay.retraining;
    let cooldown = wanted.ask.cooldown;
    let policy = Policy {
        cooldown,
        after: (1, 1),
        in_flight_timeout: retraining.in_flight_timeout.unwrap_or(cooldown),
        dry_run: retraining.dry_run,
    };
    let attempt = Attempt {
        model: (wanted.model, wanted.version),
        at,
        fired_at: Some(wanted.alert.starts_at),
        enabled: retraining.enabled,
    };
    let gate = gates.gate(&wanted.key);
    gate.verdict(&policy, true);
    let outcome = match gate.decide(&policy, &wanted.key, &attempt, || Ok(false)) {
        Decision::Request { id } => {
            let request = request(id, wanted, at);
            decided.requests.push(request);
            Outcome::Requested
        }
        Decision::DryRun { id } => {
            tracing::info!(rule = wanted.key.rule, model = wanted.model, %id, "would ask for retraining (dry run)");
            Outcome::DryRun
        }
        Decision::Hold(Hold::Disabled) => Outcome::Disabled,
        Decision::Hold(Hold::InFlight { .. }) => Outcome::InFlight,
        Decision::Hold(_) => Outcome::CoolingDown,
    };
    decided.outcomes.push(outcome);
}

/// The request, with what Sidewatch's annotations say about value and score.
fn request(id: String, wanted: &Wanted<'_>, at: Timestamp) -> RetrainRequest {
    let received = wanted.alert;
    let number = |name: &str| {
        let text = received.annotations.get(name)?;
        let number = text.split(' ').next()?.parse::<f64>().ok();
        number.filter(|number| number.is_finite())
    };
    let alert = Alert {
        rule: wanted.key.rule.as_str().into(),
        labels: received.labels.clone(),
        series: wanted.key.series.clone(),
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
        ..RetrainRequest::new(id, (wanted.model, wanted.version), &alert, at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Decided, Outcome, decide};
    use crate::config::relay::{Relay, read_relay};
    use crate::metric::{Labels, Timestamp};
    use crate::notify::retrain::Gates;
    use crate::relay::{Notification, Received};

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
            annotations: Labels::new([
                ("summary", "it drifts"),
                ("value", "0.5 ms"),
                ("score", "1.5"),
            ]),
            starts_at: noon(),
            generator_url: "http://side:9755/".to_owned(),
        }
    }

    fn told(relay: &Relay, gates: &mut Gates, alerts: Vec<Received>, after: Duration) -> Decided {
        let notification = Notification {
            alerts,
            ..Notification::default()
        };
        decide(relay, gates, &notification, noon() + after)
    }

    #[test]
    fn replicas_judges_and_repetitions_are_one_request_per_cooldown() {
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
        let first = told(&relay, &mut gates, replicas(), HOUR);
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
            told(&relay, &mut gates, replicas(), 6 * HOUR)
                .requests
                .is_empty()
        );
        let next = told(&relay, &mut gates, replicas(), 7 * HOUR);
        assert_eq!(next.requests.len(), 1);
        assert_ne!(
            next.requests[0].id, request.id,
            "another epoch, another key"
        );
        // A relay that knows nothing of the first decides the same.
        let again = told(&relay, &mut Gates::default(), replicas(), HOUR);
        assert_eq!(again.requests[0].id, request.id);
    }

    #[test]
    fn models_and_series_have_gates_of_their_own_and_versions_have_not() {
        let (relay, mut gates) = (relay(""), Gates::default());
        let other = alert(true, &[("model_id", "credit")]);
        let decided = told(&relay, &mut gates, vec![alert(true, &[]), other], HOUR);
        assert_eq!(decided.requests.len(), 2);
        let newer = vec![alert(true, &[("model_version", "8")])];
        assert_eq!(
            told(&relay, &mut gates, newer, 2 * HOUR).outcomes,
            [Outcome::CoolingDown]
        );
        let series = vec![alert(true, &[("feature", "age")])];
        assert_eq!(
            told(&relay, &mut gates, series, 2 * HOUR).outcomes,
            [Outcome::Requested]
        );
    }

    #[test]
    fn the_end_of_an_alert_ends_what_is_under_way_unless_another_replica_fires() {
        let relay = relay(", in_flight_timeout: 24h");
        let mut gates = Gates::default();
        let pod = |firing, pod| alert(firing, &[("pod", pod)]);
        let first = told(&relay, &mut gates, vec![pod(true, "a")], HOUR);
        let id = first.requests[0].id.clone();
        let both = vec![pod(true, "b"), pod(false, "a")];
        let held = told(&relay, &mut gates, both, 8 * HOUR);
        assert_eq!(held.outcomes, [Outcome::InFlight, Outcome::Resolved]);
        assert_eq!(held.done, [""; 0]);
        let over = told(&relay, &mut gates, vec![pod(false, "b")], 9 * HOUR);
        assert_eq!(over.done, [id]);
        let again = told(&relay, &mut gates, vec![pod(true, "a")], 10 * HOUR);
        assert_eq!(again.outcomes, [Outcome::Requested]);
    }

    #[test]
    fn what_asks_for_nothing_has_a_name() {
        let mut gates = Gates::default();
        let nameless = alert(true, &[("model_id", "")]);
        let other = alert(true, &[("retrain", "false")]);
        let decided = told(&relay(""), &mut gates, vec![nameless, other], HOUR);
        assert_eq!(decided.outcomes, [Outcome::NoModel, Outcome::Unmatched]);
        let one = || vec![alert(true, &[])];
        let off = relay(", enabled: false");
        assert_eq!(
            told(&off, &mut gates, one(), HOUR).outcomes,
            [Outcome::Disabled]
        );
        let dry = relay(", dry_run: true");
        assert_eq!(
            told(&dry, &mut gates, one(), HOUR).outcomes,
            [Outcome::DryRun]
        );
        assert_eq!(
            told(&dry, &mut gates, one(), 2 * HOUR).outcomes,
            [Outcome::CoolingDown]
        );
    }
}
