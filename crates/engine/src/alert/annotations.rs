//! The texts of an alert.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// Texts for people by name, such as `summary`, sorted by name. Unlike a label, a text may be empty.
///
/// Cloning only increments a reference count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Texts")]
pub struct Annotations(Arc<[Text]>);

/// A name and its text.
type Text = (Arc<str>, Arc<str>);

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
        texts.collect::<Texts>().into()
    }

    /// The same texts, in the memory of another alert's where they are equal: the alerts of one rule
    /// have all names and many texts in common.
    #[must_use]
    pub(super) fn sharing(self, other: &Self) -> Self {
        let share = |(name, text): &Text| match other.find(name) {
            Some(known) if known.1 == *text => known.clone(),
            Some((known, _)) => (Arc::clone(known), Arc::clone(text)),
            None => (Arc::clone(name), Arc::clone(text)),
        };
        Self(self.0.iter().map(share).collect())
    }

    fn find(&self, name: &str) -> Option<&Text> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(name));
        at.ok().and_then(|at| self.0.get(at))
    }

    /// The text with a name, `None` when absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|(_, text)| &**text)
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
        let mut texts: Texts = self.0.iter().cloned().collect();
        texts.insert(name.into(), text.into());
        texts.into()
    }
}

impl Default for Annotations {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl From<Texts> for Annotations {
    fn from(texts: Texts) -> Self {
        Self(texts.into_iter().collect())
    }
}

impl Serialize for Annotations {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Annotations;

    #[test]
    fn texts_are_sorted_and_of_equal_names_the_last_counts() {
        let texts = Annotations::new([("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(texts.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!((texts.get("b"), texts.get("c")), (Some("3"), None));
        let more = texts.with("c", "4").with("a", "5");
        assert_eq!(
            more.iter().collect::<Vec<_>>(),
            [("a", "5"), ("b", "3"), ("c", "4")]
        );
        let json = serde_json::to_string(&more).unwrap();
        assert_eq!(json, r#"{"a":"5","b":"3","c":"4"}"#);
        assert_eq!(serde_json::from_str::<Annotations>(&json).unwrap(), more);
    }

    #[test]
    fn shared_texts_are_the_same_texts() {
        let one = Annotations::new([("a", "1"), ("b", "2")]);
        let other = Annotations::new([("b", "2"), ("a", "3"), ("c", "4")]);
        let shared = other.clone().sharing(&one);
        assert_eq!(shared, other);
        assert!(Arc::ptr_eq(&shared.0[0].0, &one.0[0].0), "the name");
        assert!(Arc::ptr_eq(&shared.0[1].1, &one.0[1].1), "the equal text");
    }
}
