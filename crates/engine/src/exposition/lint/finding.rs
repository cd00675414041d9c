//! What a lint finds.

use std::fmt;

/// A rule of OpenMetrics that Prometheus does not enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lint {
    /// A second HELP, TYPE or UNIT line of one family.
    RepeatedMetadata,
    /// Metadata of a family after its samples.
    MetadataAfterSamples,
    /// A family or a set of labels that continues after another one.
    Interleaved,
    /// A name that the family's type does not allow.
    WrongSuffix,
    /// A UNIT line of an info or stateset.
    UnitNotAllowed,
    /// A negative, fractional or missing number where a count belongs.
    BadCount,
    /// A bucket without `le`, a quantile outside of 0 to 1, a stateset without its label.
    BadLabel,
    /// Buckets without `+Inf`, out of order, falling, or different from the count.
    BadBuckets,
    /// A sum without its count or the reverse.
    SumWithoutCount,
    /// An info that is not 1, a state that is neither 0 nor 1.
    BadState,
    /// A family named like the samples of another family.
    ClashingName,
    /// An exemplar on another sample than a counter's total or a bucket.
    MisplacedExemplar,
    /// An exemplar of more than 128 characters.
    LongExemplar,
    /// The same series twice, a timestamp that goes back, or samples with and without timestamps.
    Repeated,
}

impl Lint {
    /// The word for this rule, as in a metric label.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RepeatedMetadata => "repeated_metadata",
            Self::MetadataAfterSamples => "metadata_after_samples",
            Self::Interleaved => "interleaved",
            Self::WrongSuffix => "wrong_suffix",
            Self::UnitNotAllowed => "unit_not_allowed",
            Self::BadCount => "bad_count",
            Self::BadLabel => "bad_label",
            Self::BadBuckets => "bad_buckets",
            Self::SumWithoutCount => "sum_without_count",
            Self::BadState => "bad_state",
            Self::ClashingName => "clashing_name",
            Self::MisplacedExemplar => "misplaced_exemplar",
            Self::LongExemplar => "long_exemplar",
            Self::Repeated => "repeated",
        }
    }
}

/// A violation and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub lint: Lint,
    /// The line, from 1; a violation by the family as a whole is reported at its last sample.
    pub line: usize,
    /// The metric family.
    pub family: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: {}: {}",
            self.line,
            self.family,
            self.lint.as_str()
        )
    }
}
