//! Files of recorded drift references.

use std::collections::BTreeMap;

use super::problem::Problems;
use super::yaml::{Document, to_yaml};
use crate::describe::{Node, Reader};
use crate::map::drift::{BaselineFile, BaselineSeries, LearntReference, References, Spread};
use crate::metric::Labels;

/// Reads a whole file of references.
///
/// # Errors
/// Every problem of the file at once.
pub(crate) fn read_baselines(file: &str, text: &str) -> Result<BaselineFile, Problems> {
    let document = Document::parse(file, text)?;
    let reader = document.reader();
    let rules = rules(&reader).into_iter().map(|(name, node)| {
        let series = node.list().unwrap_or_default();
        let series = series
            .iter()
            .filter_map(|node| Some(series_of(node)?.0))
            .collect();
        (name.to_owned(), series)
    });
    let file = BaselineFile {
        version: BaselineFile::VERSION,
        rules: rules.collect(),
    };
    document.problems(reader.finish()).into_result(file)
}

/// The text of a file of references.
///
/// # Errors
/// If it cannot be written as YAML.
pub(crate) fn write_baselines(file: &BaselineFile) -> Result<String, String> {
    to_yaml(file)
}

/// The references of one rule.
pub(super) fn read_references(file: &str, text: &str, rule: &str) -> Result<References, Problems> {
    let document = Document::parse(file, text)?;
    let reader = document.reader();
    let own = rules(&reader).into_iter().find(|(name, _)| *name == rule);
    let references = match own {
        Some((_, own)) => {
            let series = own.list().unwrap_or_default();
            series
                .iter()
                .filter_map(|node| {
                    let (series, baseline) = series_of(node)?;
                    Some((series.labels, baseline))
                })
                .collect()
        }
        None => {
            let root = reader.root();
            root.problem_below("rules", format!("there is no reference for {rule}"));
            References::new()
        }
    };
    document.problems(reader.finish()).into_result(references)
}

fn rules<'a>(reader: &'a Reader<'a>) -> Vec<(&'a str, Node<'a>)> {
    measured(reader, u64::from(BaselineFile::VERSION), "rules")
}

/// The entries below `key` in a file of this version, by the name of the record.
pub(super) fn measured<'a>(
    reader: &'a Reader<'a>,
    version: u64,
    key: &'static str,
) -> Vec<(&'a str, Node<'a>)> {
    let Some(mut fields) = reader.root().fields() else {
        return Vec::new();
    };
    if let Some(written) = fields.required("version")
        && written.count().is_some_and(|written| written != version)
    {
        written.problem(format!("must be {version}"));
    }
    let entries = fields.required(key).and_then(|node| node.entries());
    fields.finish();
    entries.unwrap_or_default()
}

fn series_of(node: &Node<'_>) -> Option<(BaselineSeries, LearntReference)> {
    let mut fields = node.fields()?;
    let labels: Labels = fields.labels("labels");
    let total = fields.required("total").and_then(|node| node.number());
    let buckets = fields.required("buckets").and_then(|node| counts(&node));
    let spread = fields.get("spread").map(|node| spread(&node));
    fields.finish();
    let series = BaselineSeries {
        labels,
        total: total?,
        buckets: buckets?,
        spread: spread.flatten(),
    };
    match series.baseline() {
        Ok(baseline) => Some((series, baseline)),
        Err(problem) => {
            node.problem(problem);
            None
        }
    }
}

/// How much the windows of a reference differed.
fn spread(node: &Node<'_>) -> Option<Spread> {
    let mut fields = node.fields()?;
    let mut number = |name: &'static str| fields.required(name).and_then(|node| node.number());
    let (overdispersion, range) = (number("overdispersion"), number("range"));
    let mut count = |name: &'static str| fields.required(name).and_then(|node| node.count());
    let (pieces, left_out) = (count("pieces"), count("left_out"));
    fields.finish();
    Some(Spread {
        overdispersion: overdispersion?,
        range: range?,
        pieces: usize::try_from(pieces?).ok()?,
        left_out: usize::try_from(left_out?).ok()?,
    })
}

/// Observations by bucket.
pub(super) fn counts(node: &Node<'_>) -> Option<BTreeMap<String, f64>> {
    let counts = node.entries()?.into_iter();
    Some(
        counts
            .filter_map(|(name, node)| Some((name.to_owned(), node.number()?)))
            .collect(),
    )
}
