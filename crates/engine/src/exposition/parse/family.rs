//! The metric family that the last `# TYPE` line opened.

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FamilyType {
    /// `untyped`, `unknown` or no `# TYPE` line.
    #[default]
    Unknown,
    /// A cumulative count.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Cumulative buckets.
    Histogram,
    /// Buckets that are not cumulative over time (OpenMetrics).
    GaugeHistogram,
    /// Quantiles.
    Summary,
    /// Labels about the target (OpenMetrics).
    Info,
    /// One of several states (OpenMetrics).
    StateSet,
}

impl FamilyType {
    /// The type of this word in text 0.0.4 and 1.0.0.
    pub(super) fn from_text(word: &[u8]) -> Option<Self> {
        match word {
            b"counter" => Some(Self::Counter),
            b"gauge" => Some(Self::Gauge),
            b"histogram" => Some(Self::Histogram),
            b"summary" => Some(Self::Summary),
            b"untyped" => Some(Self::Unknown),
            _ => None,
        }
    }

    /// The type of this word in OpenMetrics.
    pub(in crate::exposition) fn from_openmetrics(word: &[u8]) -> Option<Self> {
        match word {
            b"unknown" => Some(Self::Unknown),
            b"gaugehistogram" => Some(Self::GaugeHistogram),
            b"info" => Some(Self::Info),
            b"stateset" => Some(Self::StateSet),
            b"untyped" => None,
            other => Self::from_text(other),
        }
    }

    /// The suffixes of the sample names of this type.
    pub(in crate::exposition) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Histogram => &["_bucket", "_sum", "_count", "_created"],
            Self::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
            Self::Summary => &["_sum", "_count", "_created"],
            Self::Info => &["_info"],
            Self::Unknown | Self::Gauge | Self::StateSet => &[],
        }
    }
}

/// A family: the name and type of the last `# TYPE` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Family<'a> {
    /// The family's name as written, quotes removed.
    pub name: &'a str,
    /// Its type.
    pub kind: FamilyType,
}

impl Family<'_> {
    /// The type of a sample with this name: the family's if it belongs to the family, unknown
    /// otherwise.
    #[must_use]
    pub fn type_of(&self, sample: &str) -> FamilyType {
        match sample.strip_prefix(self.name) {
            Some("") => self.kind,
            Some(suffix) if self.kind.suffixes().contains(&suffix) => self.kind,
            _ => FamilyType::Unknown,
        }
    }

    /// Whether a sample with this name is the creation time of a series (OpenMetrics).
    #[must_use]
    pub(crate) fn is_creation_time(&self, sample: &str) -> bool {
        sample.ends_with("_created")
            && self.type_of(sample) != FamilyType::Unknown
            && sample.len() > self.name.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, FamilyType};

    #[test]
    fn a_type_does_not_apply_to_another_family() {
        let family = Family {
            name: "a",
            kind: FamilyType::Histogram,
        };
        assert_eq!(family.type_of("a_bucket"), FamilyType::Histogram);
        assert_eq!(family.type_of("a"), FamilyType::Histogram);
        assert_eq!(family.type_of("ab_bucket"), FamilyType::Unknown);
        assert_eq!(family.type_of("b_bucket"), FamilyType::Unknown);
    }

    #[test]
    fn creation_times_belong_to_counters_histograms_and_summaries() {
        let counter = Family {
            name: "a",
            kind: FamilyType::Counter,
        };
        assert!(counter.is_creation_time("a_created"));
        assert!(!counter.is_creation_time("a_total"));
        let gauge = Family {
            name: "a_created",
            kind: FamilyType::Gauge,
        };
        assert!(!gauge.is_creation_time("a_created"));
    }
}
