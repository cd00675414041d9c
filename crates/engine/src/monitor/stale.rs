//! Signals that were judged and have no value now. They are listed, so that their silence is seen;
//! they neither begin nor end an alert.

use std::collections::HashSet;
use std::time::Duration;

use crate::judge::{State, Verdict};
use crate::metric::{Labels, MetricSample, Timestamp};

/// How long a signal without a value and without an alert is listed.
const LISTED: Duration = Duration::from_secs(3600);

/// A value and its verdict. The sample of a stale signal is its last one.
pub(super) type Judged = (MetricSample, Verdict);

/// The stale signals after an evaluation, at most `limit`: those judged `before` that are not
/// `present`, for an hour or while `is_kept` says so.
pub(super) fn stale(
    before: Vec<Judged>,
    present: &[Judged],
    at: Timestamp,
    limit: usize,
    is_kept: impl Fn(&Labels) -> bool,
) -> Vec<Judged> {
    let missing = missing(before, present);
    let listed = missing.into_iter().filter(|(sample, verdict)| {
        let was_judged = match verdict.state {
            State::Ok | State::Anomalous | State::Stale => true,
            State::WarmingUp | State::InsufficientData | State::Idle => false,
        };
        was_judged && (at.since(sample.at) <= LISTED || is_kept(&sample.labels))
    });
    let listed = listed.map(|(sample, verdict)| {
        if verdict.state == State::Stale {
            return (sample, verdict);
        }
        let why = format!("there has been no value since {}", sample.at);
        (sample, Verdict::stale(why))
    });
    listed.take(limit).collect()
}

/// The signals of the last evaluation whose series are not present.
fn missing(mut before: Vec<Judged>, present: &[Judged]) -> Vec<Judged> {
    let is_same = |(a, b): (&Judged, &Judged)| a.0.labels == b.0.labels;
    let same = before.iter().zip(present).take_while(|pair| is_same(*pair));
    if same.count() == present.len() {
        // The usual case: the same series in the same order, before those that were stale already.
        return before.split_off(present.len());
    }
    let present: HashSet<&Labels> = present.iter().map(|(sample, _)| &sample.labels).collect();
    before.retain(|(sample, _)| !present.contains(&sample.labels));
    before
}

#[cfg(test)]
mod tests {
    use super::{Judged, stale};
    use crate::judge::{State, Verdict};
    use crate::metric::{Labels, Metric, MetricSample, Timestamp};

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    fn judged(pod: &str, at: i64, state: State) -> Judged {
        let labels = Labels::named("x", [("pod", pod)]);
        let verdict = Verdict {
            state,
            ..Verdict::insufficient("")
        };
        let sample = MetricSample::new(Metric::Custom, labels, 7.0, minute(at));
        (sample, verdict)
    }

    fn pods(listed: &[Judged]) -> Vec<&str> {
        let pods = listed.iter().map(|(sample, _)| sample.labels.get("pod"));
        pods.map(Option::unwrap).collect()
    }

    #[test]
    fn a_missing_series_keeps_its_last_value_and_the_time_of_it() {
        let before = vec![judged("a", 0, State::Ok), judged("b", 0, State::Anomalous)];
        let present = [judged("b", 1, State::Ok)];
        let first = stale(before, &present, minute(1), 10, |_| false);
        let [(sample, verdict)] = first.as_slice() else {
            panic!("{first:?}");
        };
        assert_eq!(
            (sample.at, sample.value.to_bits()),
            (minute(0), 7_f64.to_bits())
        );
        assert_eq!(verdict.state, State::Stale);
        assert_eq!(
            verdict.why,
            "there has been no value since 1970-01-01T00:00:00.000Z"
        );
        let before = present.into_iter().chain(first).collect();
        let present = [judged("b", 2, State::Ok)];
        let later = stale(before, &present, minute(2), 10, |_| false);
        assert_eq!(later[0].0.at, minute(0));
    }

    #[test]
    fn a_series_that_returns_is_not_stale() {
        let before = vec![judged("b", 1, State::Ok), judged("a", 0, State::Stale)];
        let present = [judged("a", 2, State::Ok), judged("b", 2, State::Ok)];
        assert!(stale(before, &present, minute(2), 10, |_| true).is_empty());
    }

    #[test]
    fn a_stale_signal_is_listed_for_an_hour_or_as_long_as_its_alert_is_open() {
        let before = || vec![judged("a", 0, State::Stale), judged("b", 0, State::Stale)];
        let is_b = |labels: &Labels| labels.get("pod") == Some("b");
        assert_eq!(
            pods(&stale(before(), &[], minute(60), 10, is_b)),
            ["a", "b"]
        );
        assert_eq!(pods(&stale(before(), &[], minute(61), 10, is_b)), ["b"]);
        assert_eq!(stale(before(), &[], minute(60), 1, is_b).len(), 1);
    }

    #[test]
    fn a_series_that_was_never_judged_does_not_become_stale() {
        for state in [State::WarmingUp, State::InsufficientData, State::Idle] {
            let before = vec![judged("a", 0, state)];
            assert!(stale(before, &[], minute(1), 10, |_| true).is_empty());
        }
    }
}
