//! The limit on the series of one rule and model that request retraining within an hour.

use super::gate::{Attempt, Decision, Policy};
use super::key::GateKey;
use super::{Gate, Gates};
use crate::metric::Timestamp;

/// The series of one rule and model that requested retraining within the last hour, and their limit.
///
/// The gates hold the times of the requests, so the count survives restarts and reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hourly {
    limit: usize,
    asked: usize,
    held_back: usize,
}

impl Hourly {
    /// Most series of a rule and model within an hour, unless configured.
    pub const DEFAULT: usize = 20;

    /// A limit under which no series has requested yet; a `limit` of 0 admits all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            asked: 0,
            held_back: 0,
        }
    }

    /// The limit of a rule, with the series that requested within the hour before `at`.
    #[must_use]
    pub fn of_rule(gates: &Gates, rule: &str, limit: usize, at: Timestamp) -> Self {
        let asked = gates
            .of_rule(rule)
            .filter(|(_, gate)| gate.asked_within_hour(at));
        Self {
            asked: asked.count(),
            ..Self::new(limit)
        }
    }

    /// Counts a series that requested.
    pub fn count(&mut self) {
        self.asked += 1;
    }

    /// How many series may request within an hour.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether a series may request now. One that requested within the hour is counted already.
    #[must_use]
    pub fn admits(&self, gate: Option<&Gate>, at: Timestamp) -> bool {
        self.limit == 0
            || self.asked < self.limit
            || gate.is_some_and(|gate| gate.asked_within_hour(at))
    }

    /// How many series the limit held back.
    #[must_use]
    pub fn held_back(&self) -> usize {
        self.held_back
    }

    /// Counts a series that the limit held back.
    pub fn hold_back(&mut self) {
        self.held_back += 1;
    }
}

impl Gates {
    /// Decides as [`Gate::decide`], under the limit of the gate's rule and model, and under the
    /// attempt's own.
    pub fn decide(
        &mut self,
        policy: &Policy,
        key: &GateKey,
        attempt: &Attempt<'_>,
        hourly: &mut Hourly,
        veto: impl FnOnce() -> Result<bool, String>,
    ) -> Decision {
        let gate = self.gate(key);
        let is_counted = gate.asked_within_hour(attempt.at);
        let limit = (!hourly.admits(Some(gate), attempt.at)).then_some(hourly.limit);
        let limit = limit.or(attempt.limit);
        let attempt = Attempt { limit, ..*attempt };
        let decision = gate.decide(policy, key, &attempt, veto);
        match &decision {
            Decision::Request { .. } | Decision::DryRun { .. } if !is_counted => hourly.count(),
            Decision::Hold(super::Hold::Limited { .. }) => hourly.hold_back(),
            Decision::Request { .. } | Decision::DryRun { .. } | Decision::Hold(_) => {}
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Hourly;
    use crate::metric::{Labels, Timestamp};
    use crate::retrain::gate::HOUR;
    use crate::retrain::{Attempt, Decision, GateKey, Gates, Policy};

    const LIMIT: usize = 3;

    fn policy(cooldown: Duration) -> Policy {
        Policy {
            cooldown,
            in_flight_timeout: cooldown,
            ..Policy::default()
        }
    }

    /// One evaluation in which all of these users fire; returns those that requested.
    fn evaluate(gates: &mut Gates, policy: &Policy, users: &[u32], at: Timestamp) -> Vec<u32> {
        let mut hourly = Hourly::of_rule(gates, "Low", LIMIT, at);
        let mut asked = Vec::new();
        for user in users {
            let series = Labels::new([("user", user.to_string())]);
            let key = GateKey::new("Low", &series);
            gates.gate(&key).verdict(policy, &series, true);
            let attempt = Attempt {
                model: ("m", "1"),
                series: &series,
                at,
                fired_at: Some(at),
                enabled: true,
                limit: None,
            };
            let decision = gates.decide(policy, &key, &attempt, &mut hourly, || Ok(false));
            if matches!(decision, Decision::Request { .. }) {
                asked.push(*user);
            }
        }
        let waiting = users.len() - asked.len();
        assert!(hourly.held_back() <= waiting);
        asked
    }

    #[test]
    fn a_storm_requests_no_more_than_the_limit_in_any_hour_and_what_waits_requests_later() {
        let (mut gates, policy) = (Gates::default(), Policy::default());
        let start = Timestamp::from_millis(1_700_000_000_000);
        let storm: Vec<u32> = (0..10).collect();
        let minute = Duration::from_secs(60);
        let mut requests: Vec<(u32, Timestamp)> = Vec::new();
        for tick in 0..300 {
            let at = start + minute * tick;
            let asked = evaluate(&mut gates, &policy, &storm, at);
            requests.extend(asked.into_iter().map(|user| (user, at)));
        }
        for (_, at) in &requests {
            let within = requests
                .iter()
                .filter(|(_, other)| other >= at && other.since(*at) < HOUR);
            assert!(within.count() <= LIMIT, "{requests:?}");
        }
        let mut users: Vec<u32> = requests.iter().map(|(user, _)| *user).collect();
        users.sort_unstable();
        assert_eq!(users, storm, "every series requested once");
    }

    #[test]
    fn a_series_that_requested_within_the_hour_is_not_counted_twice() {
        let cooldown = Duration::from_secs(600);
        let policy = policy(cooldown);
        let mut gates = Gates::default();
        let start = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(evaluate(&mut gates, &policy, &[1, 2, 3], start), [1, 2, 3]);
        let later = start + cooldown;
        assert_eq!(evaluate(&mut gates, &policy, &[3, 4], later), [3]);
    }

    #[test]
    fn the_sweep_keeps_the_gates_that_the_limit_counts() {
        let cooldown = Duration::from_secs(60);
        let policy = policy(cooldown);
        let mut gates = Gates::default();
        let start = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(evaluate(&mut gates, &policy, &[1, 2, 3], start), [1, 2, 3]);
        let later = start + Duration::from_secs(1800);
        gates.sweep("Low", &policy, later, |_| true);
        gates.forget(cooldown, cooldown, later);
        assert!(evaluate(&mut gates, &policy, &[4], later).is_empty());
        let after = start + HOUR;
        assert_eq!(evaluate(&mut gates, &policy, &[4], after), [4]);
    }

    #[test]
    fn each_rule_has_a_limit_of_its_own() {
        let (mut gates, policy) = (Gates::default(), Policy::default());
        let start = Timestamp::from_millis(1_700_000_000_000);
        evaluate(&mut gates, &policy, &[1, 2, 3], start);
        let full = Hourly::of_rule(&gates, "Low", LIMIT, start);
        assert!(!full.admits(None, start));
        for other in [
            Hourly::of_rule(&gates, "Lowest", LIMIT, start),
            Hourly::of_rule(&gates, "Lo", LIMIT, start),
            Hourly::new(LIMIT),
            Hourly::of_rule(&gates, "Low", 0, start),
        ] {
            assert!(other.admits(None, start));
        }
    }
}
