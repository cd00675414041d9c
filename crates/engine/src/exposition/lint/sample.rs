//! A sample as the lint looks at it.

use crate::exposition::parse::{ByteSpan, Series};

/// A sample with its labels in order of name.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
    pub(super) at: Option<i64>,
}

impl Sample {
    pub(super) fn new(series: &Series, body: &[u8], value: f64, at: Option<i64>) -> Self {
        let pair = |(name, value): &(ByteSpan, ByteSpan)| {
            (name.text(body).into_owned(), value.text(body).into_owned())
        };
        let mut labels: Vec<_> = series.labels.iter().map(pair).collect();
        labels.sort();
        Self {
            name: series.name.text(body).into_owned(),
            labels,
            value,
            at,
        }
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(label, _)| label == name)
            .map(|(_, value)| value.as_str())
    }
}
