//! Rollouts: replicas and versions that have just appeared neither alert nor reset by themselves.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::settings::Baseline;
use crate::metric::{Labels, Timestamp};

/// Labels that name the version of a model; the first that a series has counts.
const VERSIONS: [&str; 2] = ["model_version", "version"];

/// Replicas and versions that appeared or left, as of one tick.
#[derive(Debug, Default)]
pub(super) struct Rollout {
    /// How long a replica or version counts as new.
    pub(super) grace: Duration,
    /// What a new version starts from.
    pub(super) baseline: Baseline,
    /// There is nothing to scrape.
    pub(super) idle: bool,
    /// Every target answered, so a series that was not scraped does not exist.
    pub(super) complete: bool,
    /// The labels of every target, and whether its last scrape succeeded.
    pub(super) targets: Vec<(Labels, bool)>,
    /// The records without values because their last evaluation failed, or that of a record which
    /// they read.
    pub(super) failed_records: Vec<String>,
    /// Instances that have been absent for longer than the grace period.
    pub(super) gone: HashSet<String>,
    /// Instances that appeared less than the grace period ago.
    pub(super) young: HashSet<String>,
}

/// The versions that a watch has seen.
#[derive(Debug, Default)]
pub(super) struct Versions(HashMap<String, Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// When it appeared; `None` if it was present from the start.
    since: Option<Timestamp>,
    last: Timestamp,
}

impl Versions {
    /// Adds the series of a tick. The versions of the first tick do not count as new, since their
    /// age is unknown.
    pub(super) fn note<'a>(
        &mut self,
        series: impl Iterator<Item = &'a Labels>,
        at: Timestamp,
        grace: Duration,
    ) {
        let first = self.0.is_empty();
        for version in series.filter_map(version) {
            let since = (!first).then_some(at);
            match self.0.get_mut(version) {
                Some(seen) => seen.last = at,
                None => {
                    self.0.insert(version.to_owned(), Seen { since, last: at });
                }
            }
        }
        let remembered = (grace * 2).max(Duration::from_secs(3600));
        self.0.retain(|_, seen| at.since(seen.last) <= remembered);
    }

    /// Whether another version of the same model replaced this series longer than the grace period
    /// ago.
    ///
    /// `present` holds the [`model_labels`] of every present series.
    pub(super) fn is_superseded(
        &self,
        series: &Labels,
        present: &HashSet<Labels>,
        at: Timestamp,
        grace: Duration,
    ) -> bool {
        let last = version(series).and_then(|version| self.0.get(version));
        let gone = last.is_some_and(|seen| at.since(seen.last) >= grace);
        gone && model_labels(series).is_some_and(|model| present.contains(&model))
    }

    /// Whether no series had a version so far.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_young(&self, labels: &Labels, at: Timestamp, grace: Duration) -> bool {
        if self.is_empty() {
            return false;
        }
        let seen = version(labels).and_then(|version| self.0.get(version));
        let since = seen.and_then(|seen| seen.since);
        since.is_some_and(|since| at.since(since) < grace)
    }
}

impl Rollout {
    /// Whether a series belongs to a replica that has been absent for the grace period.
    pub(super) fn is_gone(&self, labels: &Labels) -> bool {
        let is_gone = |instance| self.gone.contains(instance);
        !self.gone.is_empty() && labels.get("instance").is_some_and(is_gone)
    }

    /// Whether a series without a value would have been exported if it existed: the last scrapes
    /// of its targets succeeded.
    ///
    /// Its targets are those with the same `instance` and `job`. A series that carries neither, or
    /// the values of no target, may come from every target.
    pub(super) fn is_absent(&self, series: &Labels) -> bool {
        let names = ["instance", "job"];
        let names = names.iter().filter(|name| series.get(name).is_some());
        let is_own = |target: &Labels| {
            let mut names = names.clone();
            names.all(|name| target.get(name) == series.get(name))
        };
        let own = self.targets.iter().filter(|(target, _)| is_own(target));
        if own.clone().next().is_some() {
            own.clone().all(|(_, is_up)| *is_up)
        } else {
            self.complete
        }
    }

    /// Whether a series belongs to a replica or a version that is new.
    pub(super) fn is_young(&self, versions: &Versions, labels: &Labels, at: Timestamp) -> bool {
        let is_young = |instance| self.young.contains(instance);
        (!self.young.is_empty() && labels.get("instance").is_some_and(is_young))
            || versions.is_young(labels, at, self.grace)
    }
}

/// The version in a series' labels, if any.
pub(super) fn version(labels: &Labels) -> Option<&str> {
    VERSIONS.iter().find_map(|name| labels.get(name))
}

/// A series' labels without the version: equal for all versions of one model. `None` for a series
/// without a version.
pub(super) fn model_labels(labels: &Labels) -> Option<Labels> {
    let name = VERSIONS.iter().find(|name| labels.get(name).is_some())?;
    Some(labels.with(name, ""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Rollout, Versions, model_labels};
    use crate::metric::{Labels, Timestamp};

    const GRACE: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_series_is_absent_if_the_targets_that_exported_it_answer() {
        let target = |instance: &str, is_up: bool| {
            let labels = Labels::new([("instance", instance), ("job", "vllm")]);
            (labels, is_up)
        };
        let rollout = Rollout {
            targets: vec![target("a", true), target("b", false)],
            complete: false,
            ..Rollout::default()
        };
        let is_absent =
            |pairs: &[(&str, &str)]| rollout.is_absent(&Labels::new(pairs.iter().copied()));
        assert!(is_absent(&[("instance", "a"), ("job", "vllm")]));
        assert!(is_absent(&[("instance", "a"), ("model", "m")]));
        assert!(!is_absent(&[("instance", "b"), ("job", "vllm")]));
        assert!(!is_absent(&[("job", "vllm")]));
        assert!(!is_absent(&[("model", "m")]));
        assert!(!is_absent(&[("instance", "elsewhere")]));
    }

    fn series(version: &str) -> Labels {
        Labels::new([("model_name", "m"), ("model_version", version)])
    }

    #[test]
    fn a_version_is_new_for_the_grace_period_unless_it_was_present_from_the_start() {
        let rollout = Rollout {
            grace: GRACE,
            ..Rollout::default()
        };
        let mut versions = Versions::default();
        versions.note([series("1")].iter(), at(0), GRACE);
        versions.note([series("1"), series("2")].iter(), at(60), GRACE);
        assert!(!rollout.is_young(&versions, &series("1"), at(60)));
        assert!(rollout.is_young(&versions, &series("2"), at(359)));
        assert!(!rollout.is_young(&versions, &series("2"), at(360)));
        assert!(!rollout.is_young(&versions, &Labels::empty(), at(60)));
    }

    #[test]
    fn a_version_is_superseded_when_another_one_replaced_it_a_grace_period_ago() {
        let mut versions = Versions::default();
        versions.note([series("1"), series("2")].iter(), at(0), GRACE);
        versions.note([series("1")].iter(), at(300), GRACE);
        let present = [model_labels(&series("1")).unwrap()].into();
        let gone = |version, seconds| {
            versions.is_superseded(&series(version), &present, at(seconds), GRACE)
        };
        assert!(!gone("2", 299));
        assert!(gone("2", 300));
        assert!(!gone("1", 300));
        // A series of another model does not supersede this one.
        let other = series("2").with("model_name", "other");
        assert!(!versions.is_superseded(&other, &present, at(300), GRACE));
    }

    #[test]
    fn a_series_of_a_new_replica_is_new() {
        let rollout = Rollout {
            young: ["10.0.0.1:80".to_owned()].into(),
            ..Rollout::default()
        };
        let of = |instance| Labels::new([("instance", instance)]);
        let versions = Versions::default();
        assert!(rollout.is_young(&versions, &of("10.0.0.1:80"), at(0)));
        assert!(!rollout.is_young(&versions, &of("10.0.0.2:80"), at(0)));
    }

    #[test]
    fn versions_of_one_model_have_equal_model_labels() {
        assert_eq!(model_labels(&series("1")), model_labels(&series("2")));
        assert_eq!(model_labels(&Labels::new([("model_name", "m")])), None);
    }
}
