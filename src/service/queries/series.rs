//! Which series there are: the answers of `/api/v1/series`, `labels` and `label/<name>/values`.

use std::collections::BTreeSet;

use crate::metric::{Labels, Selector, Timestamp};
use crate::promql::SeriesSource;
use crate::series::{SeriesId, is_absent, is_stale};

use super::limits::LISTED;
use super::params::Listed;
use super::problem::Problem;
use super::source::Source;

/// The label sets of the series that a request asks for, sorted, each once.
///
/// # Errors
/// If there are too many, or the time is up.
pub(super) fn listed(source: &Source<'_>, asked: &Listed) -> Result<Vec<Labels>, Problem> {
    let everything = [Selector::default()];
    let selectors = if asked.selectors.is_empty() {
        everything.as_slice()
    } else {
        &asked.selectors
    };
    let mut found = BTreeSet::new();
    for selector in selectors {
        let mut series: Vec<(SeriesId, Labels)> = Vec::new();
        source.select(selector, &mut |id, labels| {
            series.push((id, labels.clone()));
        });
        if source.is_interrupted() {
            return Err(Problem::timeout(
                "the search took too long: select fewer series",
            ));
        }
        let within = series
            .into_iter()
            .filter(|(id, _)| has_sample(source, *id, (asked.start, asked.end)));
        found.extend(within.map(|(_, labels)| labels));
        if found.len() > LISTED {
            return Err(Problem::execution(format!(
                "more than {LISTED} series match: select fewer"
            )));
        }
    }
    Ok(found.into_iter().collect())
}

/// Whether a series has a sample between two times.
fn has_sample(source: &Source<'_>, id: SeriesId, (from, to): (Timestamp, Timestamp)) -> bool {
    let before = Timestamp::from_millis(from.as_millis().saturating_sub(1));
    let row = source.row(id, source.range(id.block, before, to));
    let mut values = row.values.iter().flat_map(|piece| piece.iter());
    values.any(|value| !is_absent(*value) && !is_stale(*value))
}

/// The names of the labels of these series.
pub(super) fn names(series: &[Labels]) -> Vec<&str> {
    let names = series.iter().flat_map(Labels::iter).map(|(name, _)| name);
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The values of a label of these series.
pub(super) fn values<'a>(series: &'a [Labels], name: &str) -> Vec<&'a str> {
    let values = series.iter().filter_map(|labels| labels.get(name));
    values.collect::<BTreeSet<_>>().into_iter().collect()
}
