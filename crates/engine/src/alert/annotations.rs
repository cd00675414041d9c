//! The texts of an alert.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Texts for people by name, such as `summary`, sorted by name. Unlike a label, a text may be empty.
///
/// Cloning only increments a reference count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Annotations(Arc<Texts>);

/// Names and texts.
type Texts = BTreeMap<Arc<str>, Arc<str>>;

impl Annotations {
    /// Of two texts with the same name the later wins.
    #[must_use]
    pub fn new<N, V>(texts: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let texts = texts.into_iter();
        let texts = texts.map(|(name, text)| (name.into(), text.into()));
        Self(Arc::new(texts.collect()))
    }

    /// The text with a name, `None` when absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| &**text)
    }

    /// Names and texts in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        self.0.iter().map(|(name, text)| (&**name, &**text))
    }

    /// How many texts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same texts with one set.
    #[must_use]
    pub fn with(&self, name: &str, text: &str) -> Self {
        let mut texts = Texts::clone(&self.0);
        texts.insert(name.into(), text.into());
        Self(Arc::new(texts))
    }
}
