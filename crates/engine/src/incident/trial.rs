//! A new version of a model, compared with the one before it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::judge::Verdict;
use crate::metric::Timestamp;

/// Without a test of its own, a strategy finds a version as good as the one before after this time
/// without an anomalous value, and after this many judged values.
const QUIET: Duration = Duration::from_secs(3600);
const LEAST: u32 = 20;

/// The comparison of a version with the one before it. Until it has a result, the version is judged
/// by what was normal for the one before, and teaches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The version before.
    pub from: String,
    /// The result so far.
    pub result: TrialResult,
    /// The time of the first value since an anomalous one.
    quiet_since: Option<Timestamp>,
    /// Judged values since an anomalous one.
    judged: u32,
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialResult {
    /// Not decided yet.
    Trial,
    /// The alert fires.
    Worse,
    /// The values are as they were.
    AsGood,
}

impl TrialResult {
    /// Every result, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Trial, Self::Worse, Self::AsGood];

    /// The word for it in labels and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trial => "trial",
            Self::Worse => "worse",
            Self::AsGood => "as_good",
        }
    }
}

impl Trial {
    /// A comparison with this version, which begins now.
    #[must_use]
    pub fn against(version: &str) -> Self {
        Self {
            from: version.to_owned(),
            result: TrialResult::Trial,
            quiet_since: None,
            judged: 0,
        }
    }

    /// Whether the version teaches what is normal.
    pub(super) fn teaches(&self) -> bool {
        self.result == TrialResult::AsGood
    }

    /// Notes a verdict outside of an incident; `is_as_good` is the strategy's own test.
    pub(super) fn note(&mut self, verdict: &Verdict, at: Timestamp, is_as_good: Option<bool>) {
        if self.teaches() || verdict.score.is_none() {
            return;
        }
        if verdict.is_anomalous() {
            self.again();
            return;
        }
        self.judged = self.judged.saturating_add(1);
        let since = *self.quiet_since.get_or_insert(at);
        let is_quiet = self.judged >= LEAST && at.since(since) >= QUIET;
        if is_as_good.unwrap_or(is_quiet) {
            self.result = TrialResult::AsGood;
        }
    }

    /// The alert fires.
    pub(super) fn is_worse(&mut self) {
        self.result = TrialResult::Worse;
    }

    /// Starts over, as after the end of an incident.
    pub(super) fn again(&mut self) {
        self.result = TrialResult::Trial;
        self.quiet_since = None;
        self.judged = 0;
    }

    /// Moves the times back after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.quiet_since = self.quiet_since.map(|at| at - by);
    }
}
