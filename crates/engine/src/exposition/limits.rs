//! Limits of a scrape; exceeding one rejects the whole scrape.

use super::{ExpositionError, Limit};
use crate::metric::Labels;

/// Most characters of a name in a message.
const MAX_EXCERPT: usize = 40;

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

impl ScrapeLimits {
    /// Checks the labels of a series.
    ///
    /// # Errors
    /// There are too many labels, or one is too long.
    pub fn check(&self, labels: &Labels) -> Result<(), ExpositionError> {
        let name = excerpt(labels.name().unwrap_or(""));
        over(Limit::Labels, self.labels, labels.len(), &|| {
            format!("the number of labels of {name}")
        })?;
        for (label, value) in labels.iter() {
            let (name_limit, value_limit) = (self.label_name_length, self.label_value_length);
            over(Limit::LabelNameLength, name_limit, label.len(), &|| {
                format!(
                    "the length of the label name {:?} of {name}",
                    excerpt(label)
                )
            })?;
            over(Limit::LabelValueLength, value_limit, value.len(), &|| {
                format!("the length of label {} of {name}", excerpt(label))
            })?;
        }
        Ok(())
    }

    /// Checks the series of a server's answer: their number and their labels.
    ///
    /// # Errors
    /// The answer exceeds [`Self::samples`], or a series the limits on labels.
    pub fn check_answer<'a>(
        &self,
        mut series: impl ExactSizeIterator<Item = &'a Labels>,
    ) -> Result<(), ExpositionError> {
        over(Limit::Samples, self.samples, series.len(), &|| {
            "the number of series in the answer".to_owned()
        })?;
        series.try_for_each(|labels| self.check(labels))
    }
}

/// The start of a text that a target chose, for a message.
pub(super) fn excerpt(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_EXCERPT).map(|(at, _)| at);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn over(
    setting: Limit,
    limit: u64,
    found: usize,
    what: &dyn Fn() -> String,
) -> Result<(), ExpositionError> {
    if limit == 0 || found as u64 <= limit {
        return Ok(());
    }
    Err(ExpositionError::Limit {
        setting,
        limit,
        found: found as u64,
        what: what(),
    })
}

impl Default for ScrapeLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
