//! Files of measured calibrations: the share of class 1 in each bucket of scores.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::baseline::{counts, measured};
use super::yaml::{Document, to_yaml};
use crate::describe::Node;
use crate::map::estimate::Calibration;
use crate::metric::Labels;
use crate::runtime::read_settled;

/// The version of the file's layout.
const VERSION: u64 = 1;
/// Longest file.
const MAX_BYTES: u64 = 8 << 20;

/// A file of calibrations, by the name of the record.
#[derive(Debug, Serialize)]
pub(crate) struct CalibrationFile {
    version: u64,
    calibrations: BTreeMap<String, Vec<CalibrationSeries>>,
}

/// The calibration of one series.
#[derive(Debug, Serialize)]
pub(crate) struct CalibrationSeries {
    pub(crate) labels: Labels,
    /// The labelled predictions that it was measured on.
    pub(crate) labelled: f64,
    /// The share of class 1, by the upper bound of the bucket.
    pub(crate) shares: BTreeMap<String, f64>,
}

impl CalibrationFile {
    /// A file with these calibrations.
    pub(crate) fn new(calibrations: BTreeMap<String, Vec<CalibrationSeries>>) -> Self {
        Self {
            version: VERSION,
            calibrations,
        }
    }

    /// The text of the file.
    ///
    /// # Errors
    /// If it cannot be written as YAML.
    pub(crate) fn text(&self) -> Result<String, String> {
        to_yaml(self)
    }
}

/// The calibrations of one record, and the text of the file.
///
/// # Errors
/// The first problems of the file, on one line.
pub(super) fn read_calibrations(
    path: &Path,
    record: &str,
) -> Result<(Vec<Calibration>, String), String> {
    let file = path.display().to_string();
    let bytes = read_settled(path, MAX_BYTES).map_err(|error| {
        format!("{file} cannot be read: {error}; record it with sidewatch baseline --labels")
    })?;
    let text = String::from_utf8(bytes).map_err(|error| format!("{file}: {error}"))?;
    Ok((parse(&file, &text, record)?, text))
}

fn parse(file: &str, text: &str, record: &str) -> Result<Vec<Calibration>, String> {
    let said = |problems: super::Problems| {
        let all = problems.as_slice().iter().map(ToString::to_string);
        all.collect::<Vec<_>>().join("; ")
    };
    let document = Document::parse(file, text).map_err(|problem| problem.to_string())?;
    let reader = document.reader();
    let records = measured(&reader, VERSION, "calibrations");
    let own = records.into_iter().find(|(name, _)| *name == record);
    let found = own.map(|(_, node)| {
        let series = node.list().unwrap_or_default();
        series.iter().filter_map(series_of).collect()
    });
    document
        .problems(reader.finish())
        .into_result(())
        .map_err(said)?;
    found.ok_or_else(|| format!("{file} has no calibration of {record}"))
}

fn series_of(node: &Node<'_>) -> Option<Calibration> {
    let mut fields = node.fields()?;
    let labels: Labels = fields.labels("labels");
    fields.required("labelled").and_then(|node| node.number());
    let shares = fields.required("shares").and_then(|node| {
        let shares = counts(&node)?;
        let wrong = shares
            .iter()
            .find(|(_, share)| !(0.0..=1.0).contains(*share));
        if let Some((bound, share)) = wrong {
            node.problem_below(bound, format!("must be 0 to 1, got {share}"));
        }
        Some(shares)
    });
    fields.finish();
    Some(Calibration::new(labels, &shares?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{CalibrationFile, CalibrationSeries, parse};
    use crate::metric::Labels;

    #[test]
    fn what_is_written_is_read_and_mistakes_name_their_place() {
        let series = CalibrationSeries {
            labels: Labels::new([("model_name", "m")]),
            labelled: 1000.0,
            shares: [("0.5", 0.2), ("+Inf", 0.9)]
                .map(|(bound, share)| (bound.to_owned(), share))
                .into(),
        };
        let file = CalibrationFile::new(BTreeMap::from([("a".to_owned(), vec![series])]));
        let text = file.text().unwrap();
        let read = parse("c.yaml", &text, "a").unwrap();
        assert_eq!(read[0].labels.get("model_name"), Some("m"));
        let mut shares = read[0].shares.clone();
        shares.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(shares, [(0.5, 0.2), (f64::INFINITY, 0.9)]);
        let other = parse("c.yaml", &text, "b").unwrap_err();
        assert_eq!(other, "c.yaml has no calibration of b");
        let wrong = parse("c.yaml", &text.replace("0.2", "2"), "a").unwrap_err();
        assert!(wrong.contains("must be 0 to 1, got 2"), "{wrong}");
    }
}
