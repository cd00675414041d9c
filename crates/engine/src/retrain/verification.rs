//! Whether the model that was trained after a request is better than the one before.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::summary::{Comparison, Summary};
use crate::metric::{Direction, Timestamp};

/// Values of a new version before it is compared, so that a single one proves nothing.
const LEAST_VALUES: u32 = 5;
/// A version is better once its verdicts were normal for this long, and this often.
const CALM: (Duration, u32) = (Duration::from_secs(3600), 20);
/// A version without values for longer was rolled back.
const GONE: Duration = Duration::from_secs(3600);
/// Most versions that are remembered.
const MOST: usize = 8;
/// How long a verification without values is kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// How new versions are compared with those before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verify {
    /// After so many versions in a row that are no better, retraining is requested no more.
    pub at_most: u32,
    /// How long a request waits for a new version before it may be repeated.
    pub within: Duration,
    /// Longest time that a new version is compared.
    pub compared_for: Duration,
}

impl Default for Verify {
    fn default() -> Self {
        Self {
            at_most: 2,
            within: Duration::from_secs(7 * 86_400),
            compared_for: Duration::from_secs(86_400),
        }
    }
}

/// A version of the model and its values.
#[derive(Debug, Clone, PartialEq, Hash, Serialize, Deserialize)]
pub struct Tried {
    /// The version.
    pub version: String,
    since: Timestamp,
    /// Its values.
    pub values: Summary,
    /// How it compares with the version before it, once that is known.
    pub result: Option<Comparison>,
}

impl Tried {
    fn new(version: &str, since: Timestamp) -> Self {
        Self {
            version: version.to_owned(),
            since,
            values: Summary::default(),
            result: None,
        }
    }
}

/// One judged value of a version.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The version of the series.
    pub version: &'a str,
    /// The value.
    pub value: f64,
    /// Whether it was anomalous.
    pub is_anomalous: bool,
    /// The time that the value covers: values closer together are not independent.
    pub window: Duration,
    /// How long the values of a new version are left out at its start.
    pub grace: Duration,
    /// The time of the value.
    pub at: Timestamp,
}

/// The versions since the first request of an incident.
#[derive(Debug, Clone, PartialEq, Hash, Serialize, Deserialize)]
pub struct Verification {
    /// The version that retraining was requested for first, and those that came after it. The last
    /// one runs now.
    versions: Vec<Tried>,
    /// The last request.
    requested_at: Timestamp,
    /// The last request waits for a new version.
    waits: bool,
    calm_since: Option<Timestamp>,
    calm: u32,
}

impl Eq for Verification {}

/// Why no request may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// The last request waits for a new version.
    Awaited,
    /// The version that runs now is being compared with the one before.
    Compared,
    /// The series is of a version that another one has replaced.
    Replaced,
    /// Retraining did not help so far.
    Useless,
}

impl Verification {
    /// Begins with a request for this version.
    pub(super) fn new(version: &str, at: Timestamp) -> Self {
        Self {
            versions: vec![Tried::new(version, at)],
            requested_at: at,
            waits: true,
            calm_since: None,
            calm: 0,
        }
    }

    /// Another request was made.
    pub(super) fn requested(&mut self, at: Timestamp) {
        self.requested_at = at;
        self.waits = true;
    }

    /// The pipeline reported the request as done, perhaps without a new version.
    pub(super) fn done(&mut self) {
        self.waits = false;
    }

    /// Takes a value in. Returns whether the present version has been normal for so long that the
    /// incident is over.
    pub(super) fn see(&mut self, seen: Seen<'_>) -> bool {
        let is_known = self
            .versions
            .iter()
            .any(|tried| tried.version == seen.version);
        if !is_known {
            self.versions.push(Tried::new(seen.version, seen.at));
            if self.versions.len() > MOST {
                self.versions.remove(0);
            }
            self.waits = false;
            self.calm_since = None;
            self.calm = 0;
        }
        let is_first = self.versions.len() == 1;
        let warm_up = seen.grace.max(seen.window);
        let Some(now) = self.versions.last_mut() else {
            return false;
        };
        if now.version != seen.version {
            let last = now.values.last().unwrap_or(now.since);
            if seen.at > last + GONE + warm_up * 2 {
                self.roll_back(seen.version);
            }
            return false;
        }
        if is_first || seen.at >= now.since + warm_up {
            now.values.add(seen.value, seen.at, seen.window);
        }
        if seen.is_anomalous {
            self.calm_since = None;
            self.calm = 0;
            return false;
        }
        let since = *self.calm_since.get_or_insert(seen.at);
        self.calm = self.calm.saturating_add(1);
        self.calm >= CALM.1 && seen.at.since(since) >= CALM.0
    }

    /// Compares the version that runs now with the one before it, if a firing alert is about it and
    /// enough of its values are known. Returns a result that is new.
    pub(super) fn compare(
        &mut self,
        version: &str,
        direction: Direction,
        verify: Verify,
        at: Timestamp,
    ) -> Option<Comparison> {
        let [.., before, now] = self.versions.as_mut_slice() else {
            return None;
        };
        if now.version != version || now.result.is_some() {
            return None;
        }
        let is_over = at >= now.since + verify.compared_for;
        if now.values.count() < LEAST_VALUES && !is_over {
            return None;
        }
        let result = now.values.compared_with(&before.values, direction);
        now.result = Some(result);
        Some(result)
    }

    /// Forgets the versions after this one, which runs again.
    fn roll_back(&mut self, version: &str) {
        let place = self
            .versions
            .iter()
            .position(|tried| tried.version == version);
        self.versions
            .truncate(place.map_or(0, |place| place + 1).max(1));
        self.waits = false;
    }

    /// The latest versions in a row that were found no better, oldest first. A version that is still
    /// being compared does not count.
    #[must_use]
    pub fn no_better(&self) -> &[Tried] {
        let pending = self.versions.iter().rev();
        let pending = pending.take_while(|tried| tried.result.is_none()).count();
        let settled = &self.versions[..self.versions.len() - pending];
        let is_none =
            |tried: &&Tried| matches!(tried.result, Some(Comparison::NoBetter | Comparison::Worse));
        let count = settled.iter().rev().take_while(is_none).count();
        &settled[settled.len() - count..]
    }

    /// The version before those that were found no better.
    #[must_use]
    pub fn before(&self) -> Option<&Tried> {
        let first = &self.no_better().first()?.version;
        let place = self
            .versions
            .iter()
            .position(|tried| tried.version == *first)?;
        self.versions.get(place.checked_sub(1)?)
    }

    /// Whether retraining is requested no more.
    #[must_use]
    pub fn is_useless(&self, verify: Verify) -> bool {
        self.no_better().len() >= verify.at_most as usize
    }

    /// Whether the present version is worse than the one before.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        let now = self.versions.last();
        now.is_some_and(|now| now.result == Some(Comparison::Worse))
    }

    /// Why no request may be made for a series of this version; `None` if one may.
    pub(super) fn holds(&self, version: &str, verify: Verify, at: Timestamp) -> Option<Unverified> {
        let now = self.versions.last()?;
        if now.version != version {
            return Some(Unverified::Replaced);
        }
        if self.versions.len() > 1 && now.result.is_none() {
            return Some(Unverified::Compared);
        }
        if self.is_useless(verify) {
            return Some(Unverified::Useless);
        }
        let is_awaited = self.waits && at < self.requested_at + verify.within;
        is_awaited.then_some(Unverified::Awaited)
    }

    /// Until when it is kept without new values.
    pub(super) fn kept_until(&self) -> Timestamp {
        let last = self.versions.iter().filter_map(|tried| tried.values.last());
        last.fold(self.requested_at, Timestamp::max) + KEPT
    }

    /// Moves the times back after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.requested_at = self.requested_at - by;
        self.calm_since = self.calm_since.map(|at| at - by);
        for tried in &mut self.versions {
            tried.since = tried.since - by;
            tried.values.set_back(by);
        }
    }
}
