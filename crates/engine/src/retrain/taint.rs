//! Times whose observations say nothing about the model, such as a fault of the data before it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Labels, Timestamp};

/// Most times that are remembered for one rule; the oldest leave first.
const MOST: usize = 64;
/// How long a time is remembered.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Why a time is tainted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The rule's `unless` returned something, or could not be evaluated.
    Unless,
    /// The target did not answer.
    TargetDown,
}

impl Cause {
    /// The word for it in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unless => "unless",
            Self::TargetDown => "target_down",
        }
    }
}

/// A time whose observations do not count as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taint {
    /// The series that it concerns: those that have these labels; all if there are none.
    pub target: Labels,
    /// The first evaluation that found the cause.
    pub from: Timestamp,
    /// The last evaluation that found it.
    pub to: Timestamp,
    /// Why.
    pub cause: Cause,
}

impl Taint {
    /// A single failed scrape is no outage.
    fn counts(&self) -> bool {
        self.cause == Cause::Unless || self.to > self.from
    }

    fn concerns(&self, series: &Labels) -> bool {
        let mut target = self.target.iter();
        target.all(|(name, value)| series.get(name) == Some(value))
    }
}

/// The tainted times of one rule, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Taints(Vec<Taint>);

impl Taints {
    /// Notes that an evaluation found a cause. Evaluations at most `gap` apart are one time.
    pub fn note(&mut self, target: &Labels, cause: Cause, at: Timestamp, gap: Duration) {
        let same = |taint: &&mut Taint| {
            taint.cause == cause && taint.target == *target && at <= taint.to + gap
        };
        if let Some(taint) = self.0.iter_mut().rev().find(same) {
            taint.to = taint.to.max(at);
            return;
        }
        self.0.retain(|taint| at.since(taint.to) <= KEPT);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(Taint {
            target: target.clone(),
            from: at,
            to: at,
            cause,
        });
    }

    /// The tainted times of a series that ended after `since`.
    pub fn after<'a>(
        &'a self,
        series: &'a Labels,
        since: Timestamp,
    ) -> impl Iterator<Item = &'a Taint> {
        let known = self.0.iter().filter(|taint| taint.counts());
        known.filter(move |taint| taint.to > since && taint.concerns(series))
    }

    /// Moves the times back after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        for taint in &mut self.0 {
            taint.from = taint.from - by;
            taint.to = taint.to - by;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Cause, MOST, Taints};
    use crate::metric::{Labels, Timestamp};

    const GAP: Duration = Duration::from_secs(30);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn evaluations_in_a_row_are_one_time_and_a_later_one_is_another() {
        let mut taints = Taints::default();
        for seconds in [0, 15, 30, 300, 315] {
            taints.note(&Labels::empty(), Cause::Unless, at(seconds), GAP);
        }
        let series = Labels::new([("model_name", "m")]);
        let spans = |since| -> Vec<_> {
            let found = taints.after(&series, at(since));
            found.map(|taint| (taint.from, taint.to)).collect()
        };
        assert_eq!(spans(-1), [(at(0), at(30)), (at(300), at(315))]);
        assert_eq!(spans(30), [(at(300), at(315))]);
        assert!(spans(315).is_empty());
    }

    #[test]
    fn a_target_that_is_down_taints_its_own_series_from_the_second_scrape_on() {
        let mut taints = Taints::default();
        let a = Labels::new([("instance", "a")]);
        taints.note(&a, Cause::TargetDown, at(0), GAP);
        assert_eq!(taints.after(&a, at(-1)).count(), 0, "one failed scrape");
        taints.note(&a, Cause::TargetDown, at(15), GAP);
        assert_eq!(taints.after(&a, at(-1)).count(), 1);
        assert_eq!(
            taints
                .after(&Labels::new([("instance", "b")]), at(-1))
                .count(),
            0
        );
        assert_eq!(taints.after(&Labels::empty(), at(-1)).count(), 0);
    }

    #[test]
    fn the_number_of_times_is_bounded() {
        let mut taints = Taints::default();
        for n in 0..200 {
            taints.note(&Labels::empty(), Cause::Unless, at(n * 3600), GAP);
        }
        assert_eq!(taints.0.len(), MOST);
    }
}
