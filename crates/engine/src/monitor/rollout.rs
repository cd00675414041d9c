//! Rollouts: replicas and versions that have just appeared neither alert nor reset by themselves.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::metric::{Labels, Timestamp};

/// Labels that name the version of a model, the first that is there counts.
const VERSIONS: [&str; 2] = ["model_version", "version"];

/// What a tick knows of replicas that come and go.
#[derive(Debug, Default)]
pub(super) struct Rollout {
    /// How long something counts as new.
    pub(super) grace: Duration,
    /// Whether a new version starts from what was learnt about the one before.
    pub(super) carry: bool,
    /// There is nothing to scrape.
    pub(super) idle: bool,
    /// Every target answered: who is not seen is not there.
    pub(super) complete: bool,
    /// Instances that have been gone for longer than the grace.
    pub(super) gone: HashSet<String>,
    /// Instances that appeared less than the grace ago.
    pub(super) young: HashSet<String>,
}

/// The versions that a watch has seen.
#[derive(Debug, Default)]
pub(super) struct Versions(HashMap<String, Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// When it appeared; `None` when it was there from the start.
    since: Option<Timestamp>,
    last: Timestamp,
}

impl Versions {
    /// Takes in the series of a tick. The versions of the first are not new: it is unknown how long
    /// they have been there.
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

    /// Whether another version of the same thing has taken the place of this series for longer than
    /// the grace.
    ///
    /// `present` holds the kin of every series that is there now.
    pub(super) fn is_superseded(
        &self,
        series: &Labels,
        present: &HashSet<Labels>,
        at: Timestamp,
        grace: Duration,
    ) -> bool {
        let last = version(series).and_then(|version| self.0.get(version));
        let gone = last.is_some_and(|seen| at.since(seen.last) >= grace);
        gone && kin(series).is_some_and(|model| present.contains(&model))
    }

    /// Whether no version was ever seen.
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
    /// Whether a series belongs to a replica that is gone for good.
    pub(super) fn is_gone(&self, labels: &Labels) -> bool {
        let is_gone = |instance| self.gone.contains(instance);
        !self.gone.is_empty() && labels.get("instance").is_some_and(is_gone)
    }

    /// Whether a series belongs to a replica or a version that is new.
    pub(super) fn is_young(&self, versions: &Versions, labels: &Labels, at: Timestamp) -> bool {
        let is_young = |instance| self.young.contains(instance);
        (!self.young.is_empty() && labels.get("instance").is_some_and(is_young))
            || versions.is_young(labels, at, self.grace)
    }
}

/// The version in a series' labels, when there is one.
pub(super) fn version(labels: &Labels) -> Option<&str> {
    VERSIONS.iter().find_map(|name| labels.get(name))
}

/// The series of another version of the same thing: equal but for the version. `None` for a series
/// without a version.
pub(super) fn kin(labels: &Labels) -> Option<Labels> {
    let name = VERSIONS.iter().find(|name| labels.get(name).is_some())?;
    Some(labels.with(name, ""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Rollout, Versions, kin};
    use crate::metric::{Labels, Timestamp};

    const GRACE: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn series(version: &str) -> Labels {
        Labels::new([("model_name", "m"), ("model_version", version)])
    }

    #[test]
    fn a_version_is_new_for_the_grace_unless_it_was_there_from_the_start() {
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
    fn a_version_is_superseded_when_another_one_has_long_taken_its_place() {
        let mut versions = Versions::default();
        versions.note([series("1"), series("2")].iter(), at(0), GRACE);
        versions.note([series("1")].iter(), at(300), GRACE);
        let present = [kin(&series("1")).unwrap()].into();
        let gone = |version, seconds| {
            versions.is_superseded(&series(version), &present, at(seconds), GRACE)
        };
        assert!(!gone("2", 299));
        assert!(gone("2", 300));
        assert!(!gone("1", 300));
        // That of another model says nothing about this one.
        let other = series("2").with("model_name", "other");
        assert!(!versions.is_superseded(&other, &present, at(300), GRACE));
    }

    #[test]
    fn a_series_of_a_young_replica_is_young() {
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
    fn versions_of_one_model_are_kin() {
        assert_eq!(kin(&series("1")), kin(&series("2")));
        assert_eq!(kin(&Labels::new([("model_name", "m")])), None);
    }
}
