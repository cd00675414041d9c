//! Label matchers and selectors, with Prometheus' semantics.

use std::fmt;

use regex::Regex;

use super::Labels;
use super::pattern::{PatternError, anchored};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl fmt::Display for MatchOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        })
    }
}

/// One label matcher. A missing label has the value "".
#[derive(Debug, Clone)]
pub struct Matcher {
    name: Box<str>,
    op: MatchOp,
    value: Box<str>,
    regex: Option<Regex>,
    /// The number that an equality matcher on `le` or `quantile` compares with.
    bound: Option<f64>,
}

/// `le` and `quantile` are compared as numbers: `le="1"` and `le="1.0"` name the same bucket.
fn bound(name: &str, value: &str) -> Option<f64> {
    matches!(name, "le" | "quantile").then(|| value.parse().ok())?
}

impl Matcher {
    /// Builds a matcher; regular expressions are those of [`anchored`].
    ///
    /// # Errors
    /// Why the value is no regular expression.
    pub fn try_new(name: &str, op: MatchOp, value: &str) -> Result<Self, PatternError> {
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(anchored(value)?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        let bound = regex.is_none().then(|| bound(name, value)).flatten();
        Ok(Self {
            name: name.into(),
            op,
            value: value.into(),
            regex,
            bound,
        })
    }

    /// `name="value"`, which cannot fail.
    #[must_use]
    pub fn equal(name: &str, value: &str) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
            bound: bound(name, value),
        }
    }

    /// The label's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comparison.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern as written.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    #[expect(clippy::float_cmp, reason = "two spellings of one number")]
    fn same_bound(&self, value: &str) -> bool {
        self.bound
            .is_some_and(|bound| value.parse::<f64>().is_ok_and(|other| other == bound))
    }

    /// Whether a label with this value matches; pass "" for a missing label.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => *self.value == *value || self.same_bound(value),
        };
        found == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

impl Eq for Matcher {}

impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.name, self.op, &self.value).hash(state);
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op, self.value)
    }
}

/// The matchers of a vector selector; a series must match all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    matchers: Vec<Matcher>,
}

impl Selector {
    /// A selector of these matchers.
    #[must_use]
    pub fn new(matchers: Vec<Matcher>) -> Self {
        Self { matchers }
    }

    /// The matchers as written.
    #[must_use]
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// The metric's name when the selector pins it with `=`.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.matchers
            .iter()
            .find(|m| m.name() == Labels::NAME && m.op() == MatchOp::Equal)
            .map(Matcher::value)
    }

    /// Whether a series with these labels matches.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers
            .iter()
            .all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
    }

    /// Whether a series of this name could match, whatever its other labels.
    #[must_use]
    pub fn may_match_name(&self, name: &str) -> bool {
        self.matchers
            .iter()
            .filter(|m| m.name() == Labels::NAME)
            .all(|m| m.matches(name))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        f.write_str(name.unwrap_or(""))?;
        let rest: Vec<String> = self
            .matchers
            .iter()
            .filter(|m| !(m.name() == Labels::NAME && m.op() == MatchOp::Equal))
            .map(ToString::to_string)
            .collect();
        if rest.is_empty() && name.is_some() {
            return Ok(());
        }
        write!(f, "{{{}}}", rest.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::{MatchOp, Matcher};

    #[test]
    fn the_spelling_of_a_bound_does_not_matter() {
        let bound = |name, value, found| Matcher::equal(name, value).matches(found);
        assert!(bound("le", "1", "1.0") && bound("le", "1.0", "1"));
        assert!(bound("quantile", "0.5", "0.50") && bound("le", "+Inf", "+Inf"));
        assert!(!bound("le", "1", "2.0") && !bound("version", "1", "1.0"));
        let not = Matcher::try_new("le", MatchOp::NotEqual, "1").unwrap();
        assert!(!not.matches("1.0"));
    }

    #[test]
    fn a_negated_matcher_matches_a_missing_label() {
        let not = Matcher::try_new("l", MatchOp::NotEqual, "x").unwrap();
        assert!(not.matches(""));
        assert!(!not.matches("x"));
    }
}
