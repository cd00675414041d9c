//! The strategy: one judge for one series.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::Verdict;
use crate::metric::MetricSample;

/// Judges the values of one series, in the order of their time.
///
/// Implementations judge a sample by what they knew before it and learn from it afterwards. They
/// never panic on a value: NaN and infinities are answered with `insufficient_data` and change
/// nothing.
pub trait ThresholdStrategy: Send + fmt::Debug {
    /// Judges the sample, then learns from it.
    fn judge(&mut self, sample: &MetricSample) -> Verdict;

    /// Everything that was learnt, to be restored after a restart.
    fn snapshot(&self) -> Snapshot;

    /// Takes what [`snapshot`](Self::snapshot) gave.
    ///
    /// # Errors
    /// When the snapshot is of another kind or version, or damaged; nothing is changed then.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError>;

    /// How long what was learnt about a series is kept after the series was last seen. A week by
    /// default, so that every hour of the week comes again; zero for a strategy that learns
    /// nothing.
    fn idle_retention(&self) -> Duration {
        Duration::from_secs(7 * 86_400)
    }

    /// Rows after an event in which only a higher score is a new event. Event lists (`score`) use
    /// it; live, the alert's own state machine does that work.
    fn cooldown(&self) -> usize {
        0
    }

    /// Bytes held, own size and heap.
    fn memory(&self) -> usize {
        size_of_val(self)
    }
}

/// What a strategy learnt, in a form that can be stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The kind of strategy, as in `type:`.
    pub kind: String,
    /// Version of the shape of `data`.
    pub version: u32,
    /// The learnt state; opaque.
    pub data: Data,
}

/// JSON as it is written: a thousand of them cost no more than their text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Data(Box<RawValue>);

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Snapshot {
    /// A snapshot of `memory`. Memory that has no JSON form is stored as null and refused when it
    /// is restored.
    #[must_use]
    pub fn of<M: Serialize>(kind: &str, version: u32, memory: &M) -> Self {
        Self {
            kind: kind.to_owned(),
            version,
            data: Data(to_raw_value(memory).unwrap_or_else(|_| RawValue::NULL.to_owned())),
        }
    }

    /// The memory inside.
    ///
    /// # Errors
    /// When the kind or version is another one or the data has another shape.
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
    #[error("the stored state is of a {found} strategy, not of {expected}; it is learnt anew")]
    Kind {
        /// The strategy that was to be restored.
        expected: String,
        /// The strategy that wrote the snapshot.
        found: String,
    },
    /// It was written by another version.
    #[error(
        "the stored state of {kind} has version {found}, this program writes {expected}; it is learnt anew"
    )]
    Version {
        /// The strategy.
        kind: String,
        /// The version this program writes.
        expected: u32,
        /// The version in the snapshot.
        found: u32,
    },
    /// It has another shape.
    #[error("the stored state of {kind} is damaged; it is learnt anew: {source}")]
    Damaged {
        /// The strategy.
        kind: String,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// It was learnt with other parameters, such as another window.
    #[error("the stored state of {kind} was learnt with another {parameter}; it is learnt anew")]
    Parameters {
        /// The strategy.
        kind: String,
        /// The parameter that differs.
        parameter: &'static str,
    },
}
