//! Finds violations of OpenMetrics that Prometheus accepts.
//!
//! Ingestion follows Prometheus and accepts them; the lint reports them to the owner of a target.
//! It is slow and meant for `check` and a target's first scrape, not for every scrape.

mod family;

use std::collections::HashSet;
use std::fmt;

use super::parse::{Error, Family, FamilyType, Parser, Series};
use super::{Exposition, Format};

use family::State;

/// Most findings of one body.
const MAX_FINDINGS: usize = 100;

/// The longest exemplar, in characters of names and values (OpenMetrics 1.0).
const MAX_EXEMPLAR: usize = 128;

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

/// Finds at most 100 violations of OpenMetrics; none in the text format, which has no such rules.
///
/// # Errors
/// A syntax error, with which the body cannot be ingested either.
pub fn lint(exposition: &Exposition) -> Result<Vec<Finding>, Error> {
    if exposition.format != Format::OpenMetrics {
        return Ok(Vec::new());
    }
    let body: &[u8] = &exposition.body;
    let mut linter = Linter::default();
    let mut parser = Parser::new(body, Format::OpenMetrics);
    let mut series = Series::default();
    let mut metadata_from = 0;
    loop {
        let more = parser.seek_sample()?;
        linter.metadata(body, metadata_from..parser.at());
        if !more {
            linter.close();
            return Ok(linter.findings);
        }
        parser.series(&mut series)?;
        let suffix = parser.suffix()?;
        metadata_from = parser.at();
        let sample = Sample::new(&series, body, suffix.value, suffix.at);
        let exemplar = parser.exemplar();
        let length: usize = exemplar
            .iter()
            .map(|(name, value)| name.text(body).chars().count() + value.text(body).chars().count())
            .sum();
        linter.line += 1;
        linter.sample(&sample);
        if !exemplar.is_empty() && !linter.present.may_have_exemplar() {
            linter.find(Lint::MisplacedExemplar);
        }
        if length > MAX_EXEMPLAR {
            linter.find(Lint::LongExemplar);
        }
    }
}

/// A sample with its labels in order of name.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
    at: Option<i64>,
}

impl Sample {
    fn new(series: &Series, body: &[u8], value: f64, at: Option<i64>) -> Self {
        let pair = |(name, value): &(super::parse::Span, super::parse::Span)| {
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

    fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(label, _)| label == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The state of a lint: the findings, the current family and the names of the earlier ones.
#[derive(Debug, Default)]
struct Linter {
    findings: Vec<Finding>,
    line: usize,
    last_sample: usize,
    present: State,
    closed: HashSet<String>,
    /// Sample names of closed families, with their suffixes.
    claimed: HashSet<String>,
}

impl Linter {
    fn find(&mut self, lint: Lint) {
        self.find_at(lint, self.line);
    }

    fn find_at(&mut self, lint: Lint, line: usize) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding {
                lint,
                line,
                family: self.present.name.clone(),
            });
        }
    }

    /// Reads the metadata lines between two samples.
    fn metadata(&mut self, body: &[u8], range: std::ops::Range<usize>) {
        let text = String::from_utf8_lossy(body.get(range).unwrap_or_default());
        for line in text.lines() {
            self.line += 1;
            let mut words = line.splitn(4, ' ').skip(1);
            let (Some(keyword), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            let name = name.trim_matches('"');
            if self.present.name != name {
                self.open(name);
            } else if self.present.has_samples() {
                self.find(Lint::MetadataAfterSamples);
            }
            if !self.present.metadata.insert(keyword.to_owned()) {
                self.find(Lint::RepeatedMetadata);
            }
            if keyword == "TYPE" {
                let word = words.next().unwrap_or("").as_bytes();
                self.present.kind = FamilyType::from_openmetrics(word).unwrap_or_default();
            }
            let unitless = matches!(self.present.kind, FamilyType::Info | FamilyType::StateSet);
            if unitless && self.present.metadata.contains("UNIT") {
                self.find(Lint::UnitNotAllowed);
            }
        }
    }

    fn open(&mut self, name: &str) {
        self.close();
        self.present = State::new(name);
        if self.closed.contains(name) {
            self.find(Lint::Interleaved);
        } else if self.claimed.contains(name) {
            self.find(Lint::ClashingName);
        }
    }

    fn close(&mut self) {
        for lint in self.present.finish() {
            self.find_at(lint, self.last_sample);
        }
        let name = &self.present.name;
        let claimed: Vec<String> = self
            .present
            .kind
            .suffixes()
            .iter()
            .map(|suffix| format!("{name}{suffix}"))
            .collect();
        let clashes = claimed.iter().any(|name| self.closed.contains(name));
        self.closed.insert(name.clone());
        self.claimed.extend(claimed);
        if clashes {
            self.find_at(Lint::ClashingName, self.last_sample);
        }
    }

    fn sample(&mut self, sample: &Sample) {
        let family = Family {
            name: &self.present.name,
            kind: self.present.kind,
        };
        let belongs =
            sample.name == family.name || family.type_of(&sample.name) != FamilyType::Unknown;
        if !belongs {
            self.open(&sample.name);
        }
        self.last_sample = self.line;
        for lint in self.present.sample(sample) {
            self.find(lint);
        }
    }
}

#[cfg(test)]
mod tests;
