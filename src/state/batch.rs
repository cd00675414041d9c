//! Changes that happen together or not at all.

use serde::Serialize;

use super::Error;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The alerts of a rule.
    Alerts,
    /// Retraining gates: verdicts, cool-downs, what is under way.
    Gates,
    /// A retraining request on its way to a receiver.
    Outbox,
    /// The state of a strategy.
    Strategy,
    /// What a drift rule counted, its learnt reference included.
    Baseline,
    /// Anything else the process wants to find again.
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

/// A key and what it becomes, `None` for nothing.
pub(super) type Change = (String, Option<Vec<u8>>);

/// Changes for one transaction.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(super) changes: Vec<Change>,
    pub(super) lazy: bool,
}

impl Batch {
    /// No changes yet; committing waits for the disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch that need not survive a crash by itself: it reaches the disk with the next one that does.
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
    /// When the value is no JSON.
    pub fn put<T: Serialize>(
        &mut self,
        kind: Kind,
        name: &str,
        value: &T,
    ) -> Result<&mut Self, Error> {
        let key = kind.key(name);
        let bytes = serde_json::to_vec(value).map_err(|error| Error::Encode {
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

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
