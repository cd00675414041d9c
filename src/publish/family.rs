//! A metric family: its description, and the samples of one page.

use crate::metric::Labels;

/// How the values of a family behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows; the name ends in `_total`.
    Counter,
}

impl Kind {
    /// The word after `# TYPE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

/// What one unit of a family's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// 1 for yes, 0 for no.
    Flag,
    /// Seconds of a duration.
    Seconds,
    /// Seconds since 1970-01-01 UTC.
    UnixSeconds,
    /// Bytes.
    Bytes,
    /// A share between 0 and 1.
    Ratio,
    /// The distance from normal; 1 is exactly at the limit.
    Score,
    /// The unit of the value that a rule records or judges.
    OfTheSignal,
}

impl Unit {
    /// The unit in a few words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Flag => "1 or 0",
            Self::Seconds => "seconds",
            Self::UnixSeconds => "Unix seconds",
            Self::Bytes => "bytes",
            Self::Ratio => "0 to 1",
            Self::Score => "score",
            Self::OfTheSignal => "that of the signal",
        }
    }
}

/// Which command serves a family, and at which path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServedBy {
    /// `/metrics` of `sidewatch run` (and of `sidewatch demo`).
    Run,
    /// `/metrics` of `sidewatch relay`.
    Relay,
    /// `/metrics` of both.
    RunAndRelay,
    /// `/probe` of `sidewatch run`.
    Probe,
    /// `/metrics` and `/probe` of `sidewatch run`.
    RunAndProbe,
}

impl ServedBy {
    /// Where a reader finds the family, in a few words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Relay => "relay",
            Self::RunAndRelay => "run, relay",
            Self::Probe => "`/probe`",
            Self::RunAndProbe => "run, `/probe`",
        }
    }
}

/// A label of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What its value says, in one phrase.
    pub meaning: &'static str,
}

/// Everything that is known about a family before it has samples. The constants are in
/// [`super::catalogue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// The name.
    pub name: &'static str,
    /// One sentence, which is also the text after `# HELP`.
    pub help: &'static str,
    /// Gauge or counter.
    pub kind: Kind,
    /// The unit of its values.
    pub unit: Unit,
    /// Its labels, without those of the model.
    pub labels: &'static [Label],
    /// Whether it carries the labels of the model.
    pub has_model: bool,
    /// Who serves it.
    pub served_by: ServedBy,
}

impl Description {
    /// A gauge of `sidewatch run` without labels of its own.
    pub(super) const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind: Kind::Gauge,
            unit,
            labels: &[],
            has_model: true,
            served_by: ServedBy::Run,
        }
    }

    /// A counter of `sidewatch run` without labels of its own.
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            kind: Kind::Counter,
            ..Self::gauge(name, Unit::Count, help)
        }
    }

    pub(super) const fn labels(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    pub(super) const fn unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    pub(super) const fn without_model(self) -> Self {
        Self {
            has_model: false,
            ..self
        }
    }

    pub(super) const fn served_by(self, served_by: ServedBy) -> Self {
        Self { served_by, ..self }
    }
}

/// One value of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels, without the name.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// The samples of one family.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// What the family is.
    pub description: &'static Description,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Family {
    /// A family without samples.
    #[must_use]
    pub fn new(description: &'static Description) -> Self {
        Self {
            description,
            samples: Vec::new(),
        }
    }

    /// Adds a sample.
    pub fn push(&mut self, labels: Labels, value: f64) {
        self.samples.push(Sample { labels, value });
    }

    /// The family with one more sample.
    #[must_use]
    pub fn with(mut self, labels: Labels, value: f64) -> Self {
        self.push(labels, value);
        self
    }
}

#[cfg(test)]
impl Family {
    /// Labels of samples that the description does not have.
    pub(crate) fn undescribed_labels(&self) -> Vec<&str> {
        let model = super::catalogue::MODEL.iter();
        let model = model.filter(|_| self.description.has_model);
        let described: Vec<&str> = self
            .description
            .labels
            .iter()
            .chain(model)
            .map(|label| label.name)
            .collect();
        self.samples
            .iter()
            .flat_map(|sample| sample.labels.iter())
            .map(|(name, _)| name)
            .filter(|name| !described.contains(name))
            .collect()
    }
}
