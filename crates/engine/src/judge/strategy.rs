//! The interface of strategies, and the snapshots of their state.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::Verdict;
use crate::metric::MetricSample;

/// Judges the values of one series, in order of time.
///
/// A sample is judged by what was learned before it. While an incident is open, the strategy from
/// before the incident only [assesses](Self::assess), and a copy goes on learning. Implementations
/// do not panic on any value. NaN gives `insufficient_data`. An infinite value is beyond every
/// limit on its side. Neither changes the state.
pub trait ThresholdStrategy: Send + fmt::Debug {
    /// Judges the sample by what was learned before. What is normal stays as it was; evidence that
    /// adds up over samples may grow.
    fn assess(&mut self, sample: &MetricSample) -> Verdict;

    /// Learns from the sample that was assessed last; nothing if it had no value.
    fn learn(&mut self, sample: &MetricSample);

    /// Judges the sample, then learns from it.
    fn judge(&mut self, sample: &MetricSample) -> Verdict {
        let verdict = self.assess(sample);
        self.learn(sample);
        verdict
    }

    /// A copy with the same state.
    fn duplicate(&self) -> Box<dyn ThresholdStrategy>;

    /// What the strategy knows of the normal level.
    fn level(&self) -> Level {
        Level::Learned
    }

    /// Starts to learn the present level, as a candidate for the new normal; called on the copy
    /// that goes on learning when an incident opens. A strategy that forgets the level before by
    /// itself has nothing to do.
    fn renew(&mut self) {}

    /// The level from before an incident is back; called on a strategy that knows no level. One whose
    /// reference moved during the incident starts over.
    fn recovered(&mut self) {}

    /// Begins to compare a new version of the model with what was learned about the version before:
    /// drops evidence that has added up. Called on a copy for the new version.
    fn begin_trial(&mut self) {}

    /// Whether the samples since [`begin_trial`](Self::begin_trial) show that the level is as it
    /// was; `None` if the strategy has no test for it.
    fn is_as_good(&self) -> Option<bool> {
        None
    }

    /// Everything that was learned, to restore it after a restart.
    fn snapshot(&self) -> Snapshot;

    /// Restores what [`snapshot`](Self::snapshot) returned.
    ///
    /// # Errors
    /// If the snapshot is of another kind or version, or damaged; then nothing changes.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError>;

    /// How long what was learnt about a series is kept after the series was last seen. A week by
    /// default, so that every hour of the week comes again; zero for a strategy that learns
    /// nothing.
    fn idle_retention(&self) -> Duration {
        Duration::from_secs(7 * 86_400)
    }

    /// The time after an event in which only a higher score is a new event. Event lists (`score`)
    /// use it; live, the alert's own state machine does that work.
    fn cooldown(&self) -> Duration {
        Duration::ZERO
    }
}

/// What a strategy knows of the normal level, and so how an incident ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The limits are configured. An incident ends when the strategy says so.
    Fixed,
    /// It is learned. An incident ends at the level from before it.
    Learned,
    /// Unknown: the strategy reports changes. An incident ends within the band of an `ewma` from
    /// before it. Such a strategy may learn in [`assess`](ThresholdStrategy::assess).
    Unknown,
}

/// What a strategy has learned, in a form that can be stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The kind of strategy, as in `type:`.
    pub kind: String,
    /// The version of the format of `data`.
    pub version: u32,
    /// The learned state; opaque.
    pub data: Data,
}

/// JSON as text, which needs less memory than parsed values.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Data(Box<RawValue>);

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Snapshot {
    /// A snapshot of `memory`. If it has no JSON form it is stored as null, which fails to restore.
    #[must_use]
    pub fn of<M: Serialize>(kind: &str, version: u32, memory: &M) -> Self {
        Self {
            kind: kind.to_owned(),
            version,
            data: Data(to_raw_value(memory).unwrap_or_else(|_| RawValue::NULL.to_owned())),
        }
    }

    /// The state in the snapshot.
    ///
    /// # Errors
    /// If the kind or version differs, or the data has another format.
    pub fn open<M: DeserializeOwned>(&self, kind: &str, version: u32) -> Result<M, StrategyError> {
        if self.kind != kind {
            return Err(StrategyError::Kind {
                expected: kind.to_owned(),
                found: self.kind.clone(),
            });
        }
        if self.version != version {
            return Err(StrategyError::Version {
                kind: kind.to_owned(),
                expected: version,
                found: self.version,
            });
        }
        serde_json::from_str(self.data.0.get()).map_err(|source| StrategyError::Damaged {
            kind: kind.to_owned(),
            source,
        })
    }
}

/// Why a snapshot was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// It belongs to another strategy.
    #[error("the stored state is of a {found} strategy, not of {expected}; learning starts over")]
    Kind {
        /// The strategy that was to be restored.
        expected: String,
        /// The strategy that wrote the snapshot.
        found: String,
    },
    /// It has another version.
    #[error(
        "the stored state of {kind} has version {found}, this program writes {expected}; learning starts over"
    )]
    Version {
        /// The strategy.
        kind: String,
        /// The version this program writes.
        expected: u32,
        /// The version in the snapshot.
        found: u32,
    },
    /// Its data has another format.
    #[error("the stored state of {kind} is damaged; learning starts over: {source}")]
    Damaged {
        /// The strategy.
        kind: String,
        /// The error of the JSON parser.
        source: serde_json::Error,
    },
    /// It was learned with other parameters, such as another window.
    #[error(
        "the stored state of {kind} was learned with another {parameter}; learning starts over"
    )]
    Parameters {
        /// The strategy.
        kind: String,
        /// The parameter that differs.
        parameter: &'static str,
    },
}
