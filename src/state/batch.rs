//! A batch of changes for one transaction.

use serde::Serialize;

use super::{Error, payload};

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The alerts of a rule.
    Alerts,
    /// Retraining gates: verdicts, cool-downs, requests in flight.
    Gates,
    /// A retraining request that is being delivered.
    Outbox,
    /// The state of a strategy.
    Strategy,
    /// The counts of a drift rule, including its learned reference.
    Baseline,
    /// Anything else.
    Meta,
}

impl Kind {
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Alerts => "alerts/",
            Self::Gates => "gates/",
            Self::Outbox => "outbox/",
            Self::Strategy => "strategy/",
            Self::Baseline => "baseline/",
            Self::Meta => "meta/",
        }
    }

    pub(super) fn key(self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }
}

/// A key and its new payload; `None` removes the record.
pub(super) type Change = (String, Option<Vec<u8>>);

/// Changes that are committed together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(super) changes: Vec<Change>,
    pub(super) lazy: bool,
}

impl Batch {
    /// An empty batch; its commit waits for the disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch that may be lost in a crash; it reaches the disk with the next batch that
    /// waits for the disk.
    #[must_use]
    pub fn lazy() -> Self {
        Self {
            lazy: true,
            ..Self::default()
        }
    }

    /// Writes a record.
    ///
    /// # Errors
    /// When the value cannot be encoded as JSON.
    pub fn put<T: Serialize>(
        &mut self,
        kind: Kind,
        name: &str,
        value: &T,
    ) -> Result<&mut Self, Error> {
        let key = kind.key(name);
        let bytes = payload::encode(value).map_err(|error| Error::Encode {
            key: key.clone(),
            reason: error.to_string(),
        })?;
        self.changes.push((key, Some(bytes)));
        Ok(self)
    }

    /// Removes a record.
    pub fn delete(&mut self, kind: Kind, name: &str) -> &mut Self {
        self.changes.push((kind.key(name), None));
        self
    }
}
