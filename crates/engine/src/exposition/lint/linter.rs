//! A walk over a body, family by family.

use std::collections::HashSet;

use super::family::State;
use super::finding::{Finding, Lint};
use super::sample::Sample;
use crate::exposition::parse::{Family, FamilyType, Parser, Series, SyntaxError};
use crate::exposition::{Exposition, Format};

/// Most findings of one body.
const MAX_FINDINGS: usize = 100;

/// The longest exemplar, in characters of names and values (OpenMetrics 1.0).
const MAX_EXEMPLAR: usize = 128;

/// Finds at most 100 violations of OpenMetrics; none in the text format, which has no such rules.
///
/// # Errors
/// A syntax error, with which the body cannot be ingested either.
pub fn lint(exposition: &Exposition) -> Result<Vec<Finding>, SyntaxError> {
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
