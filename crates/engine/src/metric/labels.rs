//! Label sets: sorted, unique by name, cheap to clone.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The label that carries the metric's name.
const NAME: &str = "__name__";

/// One name and its value; the value is never empty inside a [`Labels`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// The label's name.
    pub name: Arc<str>,
    /// The label's value.
    pub value: Arc<str>,
}

/// The identity of a series as Prometheus defines it: labels sorted by name, without duplicates or
/// empty values.
///
/// The metric's name is the label `__name__`. Cloning only increments a reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[Label]>);

impl Labels {
    /// The name of the label that carries the metric's name.
    pub const NAME: &'static str = NAME;

    /// No labels at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// Sorts the pairs and drops empty values; of two pairs with the same name the later wins.
    #[must_use]
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let mut labels: Vec<Label> = pairs
            .into_iter()
            .map(|(name, value)| Label {
                name: name.into(),
                value: value.into(),
            })
            .collect();
        labels.reverse();
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        labels.dedup_by(|later, kept| later.name == kept.name);
        labels.retain(|label| !label.value.is_empty());
        Self(labels.into())
    }

    /// Labels with a metric name.
    #[must_use]
    pub fn named<N, V>(name: &str, pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        Self::new(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .chain([(Arc::from(NAME), Arc::from(name))]),
        )
    }

    /// The value of a label, `None` when absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .binary_search_by(|label| (*label.name).cmp(name))
            .ok()
            .map(|at| &*self.0[at].value)
    }

    /// The metric's name, `None` when absent.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.get(NAME)
    }

    /// Names and values in order of name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        self.0.iter().map(|label| (&*label.name, &*label.value))
    }

    /// The labels as a slice, to share their strings.
    #[must_use]
    pub fn as_slice(&self) -> &[Label] {
        &self.0
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same labels without the metric's name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        self.retain(|name| name != NAME)
    }

    /// Only the labels whose name passes.
    #[must_use]
    pub fn retain(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        if self.0.iter().all(|label| keep(&label.name)) {
            return self.clone();
        }
        Self(
            self.0
                .iter()
                .filter(|label| keep(&label.name))
                .cloned()
                .collect(),
        )
    }

    /// The same labels with one set, or removed when the value is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut labels: Vec<Label> = self.0.to_vec();
        let place = labels.binary_search_by(|label| (*label.name).cmp(name));
        match (place, value.is_empty()) {
            (Ok(at), true) => {
                labels.remove(at);
            }
            (Ok(at), false) => labels[at].value = value.into(),
            (Err(_), true) => {}
            (Err(at), false) => labels.insert(
                at,
                Label {
                    name: name.into(),
                    value: value.into(),
                },
            ),
        }
        Self(labels.into())
    }

    /// The same labels with all of `other` set; where both have a label, the value of `other` wins.
    #[must_use]
    pub fn overlaid_with(&self, other: &Self) -> Self {
        self.with_all(&other.0)
    }

    /// The same labels with all of these set, or removed where the value is empty.
    #[must_use]
    pub fn with_all(&self, labels: &[Label]) -> Self {
        if labels.is_empty() {
            return self.clone();
        }
        self.0
            .iter()
            .chain(labels)
            .map(|label| (Arc::clone(&label.name), Arc::clone(&label.value)))
            .collect()
    }

    /// The same labels with those of `other` added that are missing here.
    #[must_use]
    pub fn underlaid_with(&self, other: &Self) -> Self {
        let mut missing = other
            .0
            .iter()
            .filter(|label| self.get(&label.name).is_none())
            .peekable();
        if missing.peek().is_none() {
            return self.clone();
        }
        let mut labels = Vec::with_capacity(self.len() + other.len());
        for label in self.0.iter() {
            while let Some(before) = missing.next_if(|other| other.name < label.name) {
                labels.push(before.clone());
            }
            labels.push(label.clone());
        }
        labels.extend(missing.cloned());
        Self(labels.into())
    }

    /// Prometheus' label fingerprint: FNV-1a 64 over `name 0xff value 0xff` in order of name.
    ///
    /// Alertmanager prints the same number as 16 hexadecimal digits (`LabelsToSignature` in
    /// prometheus/common).
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mut hash = OFFSET;
        let mut add = |bytes: &[u8]| {
            for byte in bytes.iter().chain(&[0xff]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
            }
        };
        for (name, value) in self.iter() {
            add(name.as_bytes());
            add(value.as_bytes());
        }
        hash
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl<N: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self::new(pairs)
    }
}

/// Writes a label value with the three escapes of the exposition format.
fn write_value(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in value.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

fn is_plain_name(name: &str, colon: bool) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(ok)
}

impl fmt::Display for Labels {
    /// As Prometheus prints a series: `name{a="b"}`, UTF-8 names quoted inside the braces, `{}`
    /// when empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        let quoted = name.is_some_and(|name| !is_plain_name(name, true));
        if let Some(name) = name
            && !quoted
        {
            f.write_str(name)?;
            if self.len() == 1 {
                return Ok(());
            }
        }
        f.write_char('{')?;
        let mut first = true;
        if let Some(name) = name
            && quoted
        {
            write_value(f, name)?;
            first = false;
        }
        for (name, value) in self.iter().filter(|(name, _)| *name != NAME) {
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            if is_plain_name(name, false) {
                f.write_str(name)?;
            } else {
                write_value(f, name)?;
            }
            f.write_char('=')?;
            write_value(f, value)?;
        }
        f.write_char('}')
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of label names to values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Labels::new(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::{Label, Labels};

    #[test]
    fn labels_are_sorted_and_unique_and_have_values() {
        let labels = Labels::new([("b", "1"), ("a", "2"), ("b", "3"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"{a="2", b="3"}"#);
    }

    #[test]
    fn the_fingerprint_equals_that_of_alertmanager() {
        let labels = Labels::new([("alertname", "ok")]);
        assert_eq!(format!("{:016x}", labels.fingerprint()), "01167342b0fed1b2");
    }

    #[test]
    fn a_series_prints_as_prometheus_prints_it() {
        let plain = Labels::named("up", [("job", "a\"b")]);
        assert_eq!(plain.to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(Labels::named::<&str, &str>("up", []).to_string(), "up");
        let utf8 = Labels::named("my.metric", [("x.y", "1")]);
        assert_eq!(utf8.to_string(), r#"{"my.metric", "x.y"="1"}"#);
        assert_eq!(Labels::empty().to_string(), "{}");
    }

    #[test]
    fn overlaying_replaces_and_adds() {
        let base = Labels::new([("a", "1"), ("b", "2")]);
        let over = Labels::new([("b", "3"), ("c", "4")]);
        let both = base.overlaid_with(&over);
        assert_eq!(both.to_string(), r#"{a="1", b="3", c="4"}"#);
        assert_eq!(both.with("a", "").get("a"), None);
        let written = [("a", ""), ("b", "5"), ("d", "")].map(|(name, value)| Label {
            name: name.into(),
            value: value.into(),
        });
        assert_eq!(both.with_all(&written).to_string(), r#"{b="5", c="4"}"#);
    }

    #[test]
    fn underlaying_only_adds() {
        let top = Labels::new([("b", "2"), ("d", "4")]);
        let under = Labels::new([("a", "1"), ("b", "other"), ("c", "3"), ("e", "5")]);
        let both = top.underlaid_with(&under);
        assert_eq!(both.to_string(), r#"{a="1", b="2", c="3", d="4", e="5"}"#);
        assert_eq!(both, Labels::new(both.iter()));
        assert_eq!(top.underlaid_with(&top), top);
    }
}
