//! Properties of every sequence of evaluations.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{
    AlertKind, AlertRule, AlertState, Condition, Context, NoData, Observation, Outcome, Tracker,
};
use crate::metric::{Labels, Timestamp};

const RESEND: Duration = Duration::from_secs(60);

/// One evaluation: a failure, or a condition for each of three series (`None`: not listed).
type Step = Option<[Option<Condition>; 3]>;

fn condition() -> impl Strategy<Value = Option<Condition>> {
    prop_oneof![
        4 => Just(Some(Condition::Active)),
        3 => Just(Some(Condition::Healthy)),
        1 => Just(Some(Condition::Unsure)),
        1 => Just(Some(Condition::NoData)),
        1 => Just(None),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => [condition(), condition(), condition()].prop_map(Some),
        1 => Just(None),
    ]
}

fn rule() -> impl Strategy<Value = AlertRule> {
    let no_data = prop_oneof![Just(NoData::Keep), Just(NoData::Alert), Just(NoData::Ok)];
    let kind = prop_oneof![Just(AlertKind::Alert), Just(AlertKind::Watch)];
    (0u64..5, 0u64..4, 0usize..4, no_data, kind).prop_map(|(hold, keep, limit, no_data, kind)| {
        AlertRule {
            name: "R".into(),
            kind,
            hold: Duration::from_secs(hold * 15),
            keep_firing_for: Duration::from_secs(keep * 15),
            limit,
            no_data,
            interval: Duration::from_secs(15),
            ..AlertRule::default()
        }
    })
}

fn outcome(step: &Step) -> Outcome {
    let Some(conditions) = step else {
        return Outcome::Failed("broken".to_owned());
    };
    let listed = conditions.iter().enumerate();
    let observations = listed.filter_map(|(n, condition)| {
        let condition = (*condition)?;
        let labels = Labels::named("x", [("n", n.to_string())]);
        Some(Observation {
            condition,
            ..Observation::active(labels, 1.0)
        })
    });
    Outcome::Observed(observations.collect())
}

fn at(step: usize) -> Timestamp {
    Timestamp::from_millis(1_000_000 + i64::try_from(step).unwrap_or(0) * 15_000)
}

fn states(tracker: &Tracker, rule: &AlertRule) -> BTreeMap<Labels, AlertState> {
    let alerts = tracker.alerts(rule, &Context::default());
    alerts
        .into_iter()
        .map(|alert| (alert.labels, alert.state))
        .collect()
}

proptest! {
    #[test]
    fn alerts_follow_the_state_machine(rule in rule(), steps in prop::collection::vec(step(), 1..40)) {
        let context = Context::default();
        let mut tracker = Tracker::new();
        let mut sent: BTreeMap<Labels, AlertState> = BTreeMap::new();
        for (n, step) in steps.iter().enumerate() {
            let before = states(&tracker, &rule);
            let changes = tracker.evaluate(&rule, at(n), outcome(step), &context);
            let after = states(&tracker, &rule);
            if step.is_none() {
                prop_assert_eq!(&before, &after, "a failed evaluation changes nothing");
                prop_assert!(changes.error.is_some());
            }
            for alert in tracker.alerts(&rule, &context) {
                if let Some(fired) = alert.fired_at {
                    prop_assert!(fired.since(alert.active_at) >= rule.hold || alert.labels.get("n").is_none());
                }
                prop_assert_eq!(alert.state == AlertState::Pending, alert.fired_at.is_none());
                prop_assert_eq!(alert.state == AlertState::Resolved, alert.resolved_at.is_some());
            }
            if rule.limit > 0 {
                let active = after.iter().filter(|(labels, state)| labels.get("n").is_some() && **state != AlertState::Resolved);
                prop_assert!(active.count() <= rule.limit);
            }
            // Every firing alert that was sent is also sent when it resolves.
            for alert in tracker.due(&rule, at(n), RESEND, &context) {
                prop_assert!(alert.ends_at.is_some_and(|end| end >= alert.starts_at()));
                sent.insert(alert.labels.clone(), alert.state);
            }
            let lossy = rule.kind == AlertKind::Alert && rule.limit > 0;
            if !lossy {
                for (labels, state) in &sent {
                    let now = after.get(labels);
                    let agrees = match state {
                        AlertState::Firing => now == Some(&AlertState::Firing),
                        AlertState::Resolved | AlertState::Pending => now != Some(&AlertState::Firing),
                    };
                    prop_assert!(agrees, "{} was sent as {:?} and is {:?}", labels, state, now);
                }
            }
        }
    }

    #[test]
    fn a_restart_at_any_moment_changes_no_later_state(
        rule in rule(),
        steps in prop::collection::vec(step(), 2..30),
        cut in 0usize..30,
    ) {
        let context = Context::default();
        let (mut steady, mut restarted) = (Tracker::new(), Tracker::new());
        for (n, step) in steps.iter().enumerate() {
            steady.evaluate(&rule, at(n), outcome(step), &context);
            restarted.evaluate(&rule, at(n), outcome(step), &context);
            if n == cut {
                let stored = serde_json::to_string(&restarted.snapshot()).map_err(|e| TestCaseError::fail(e.to_string()))?;
                let read = serde_json::from_str(&stored).map_err(|e| TestCaseError::fail(e.to_string()))?;
                restarted = Tracker::restore(read);
            }
            prop_assert_eq!(states(&steady, &rule), states(&restarted, &rule));
        }
    }

    #[test]
    fn missing_data_and_failures_never_resolve_a_watch_that_keeps(
        steps in prop::collection::vec(prop_oneof![Just(None), Just(Some([Some(Condition::NoData); 3])), Just(Some([None; 3])), Just(Some([Some(Condition::Unsure); 3]))], 1..30),
    ) {
        let context = Context::default();
        let rule = AlertRule { kind: AlertKind::Watch, ..AlertRule::default() };
        let mut tracker = Tracker::new();
        tracker.evaluate(&rule, at(0), outcome(&Some([Some(Condition::Active); 3])), &context);
        for (n, step) in steps.iter().enumerate() {
            tracker.evaluate(&rule, at(n + 1), outcome(step), &context);
            prop_assert_eq!(tracker.count(AlertState::Firing), 3);
        }
    }
}
