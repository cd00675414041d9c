//! Limits of a scrape; exceeding one rejects the whole scrape.

use std::fmt;

/// Limits of one scrape; 0 means no limit, as in Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeLimits {
    /// Bytes of the decompressed body; a body of exactly this size is rejected too.
    pub body_size: u64,
    /// Samples of one scrape.
    pub samples: u64,
    /// Labels of one series, target labels and name included.
    pub labels: u64,
    /// Bytes of a label's name.
    pub label_name_length: u64,
    /// Bytes of a label's value.
    pub label_value_length: u64,
}

impl ScrapeLimits {
    /// The limits unless the configuration says otherwise. The bodies of usual model servers stay
    /// far below them: a few thousand samples, some twenty labels, values of some hundred bytes.
    pub const DEFAULT: Self = Self {
        body_size: 64 << 20,
        samples: 200_000,
        labels: 128,
        label_name_length: 512,
        label_value_length: 4096,
    };

    /// No limit at all, for bodies of one's own.
    pub const NONE: Self = Self {
        body_size: 0,
        samples: 0,
        labels: 0,
        label_name_length: 0,
        label_value_length: 0,
    };
}

impl Default for ScrapeLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One of the settings in [`ScrapeLimits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`ScrapeLimits::body_size`].
    BodySize,
    /// [`ScrapeLimits::samples`].
    Samples,
    /// [`ScrapeLimits::labels`].
    Labels,
    /// [`ScrapeLimits::label_name_length`].
    LabelNameLength,
    /// [`ScrapeLimits::label_value_length`].
    LabelValueLength,
}

impl Limit {
    /// The setting's name in a scrape configuration.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BodySize => "body_size_limit",
            Self::Samples => "sample_limit",
            Self::Labels => "label_limit",
            Self::LabelNameLength => "label_name_length_limit",
            Self::LabelValueLength => "label_value_length_limit",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
