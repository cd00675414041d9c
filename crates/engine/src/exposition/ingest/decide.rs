//! Decides about a new series: the labels to store it under, or why it is not stored.

use std::borrow::Cow;
use std::sync::Arc;

use super::attach::{Pair, attach};
use super::strings::Strings;
use crate::exposition::limits::excerpt;
use crate::exposition::parse::{Family, FamilyType, Series, canonical_bound};
use crate::exposition::{ExpositionError, Format, ScrapeLimits};
use crate::metric::{Labels, SeriesFilter};

/// The decision about a new series.
#[derive(Debug)]
pub(super) enum Decision {
    /// Store it under these labels, target labels included.
    Store(Labels),
    /// No rule reads it.
    Unselected,
    /// The creation time of another series (OpenMetrics).
    CreationTime,
}

/// The configuration of a target that decisions depend on.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) limits: ScrapeLimits,
    pub(super) target_labels: Labels,
    pub(super) honor_labels: bool,
    pub(super) honor_timestamps: bool,
    pub(super) filter: Arc<SeriesFilter>,
}

/// Why a series makes the scrape fail.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What is wrong with its labels.
    Invalid(String),
    /// It exceeds a limit.
    Limit(ExpositionError),
}

impl Policy {
    /// Checks a series and decides whether and how to store it.
    pub(super) fn decide(
        &self,
        series: &Series,
        body: &[u8],
        family: Family<'_>,
        format: Format,
        strings: &mut Strings,
    ) -> Result<Decision, Refusal> {
        let name = series.name.text(body);
        let pairs = exposed(series, body, &name, family)?;
        let wanted = self.filter.may_want_name(&name);
        if !wanted && self.is_surely_within_limits(&name, &pairs) {
            return Ok(Decision::Unselected);
        }
        let labels = attach(
            &name,
            pairs,
            &self.target_labels,
            self.honor_labels,
            strings,
        );
        self.limits.check(&labels).map_err(Refusal::Limit)?;
        if format == Format::OpenMetrics && family.is_creation_time(&name) {
            return Ok(Decision::CreationTime);
        }
        if wanted && self.filter.wants(&labels) {
            return Ok(Decision::Store(labels));
        }
        Ok(Decision::Unselected)
    }

    /// Whether the labels keep to the limits, whatever the target's labels change about them.
    /// Cheaper than [`ScrapeLimits::check`], and `false` where only that can tell.
    fn is_surely_within_limits(&self, name: &str, pairs: &[Pair<'_>]) -> bool {
        let within = |limit: u64, found: usize| limit == 0 || found as u64 <= limit;
        let limits = &self.limits;
        let fits = |label: &str, value: &str| {
            within(limits.label_name_length, label.len())
                && within(limits.label_value_length, value.len())
        };
        let target = &self.target_labels;
        within(limits.labels, pairs.len() + target.len() + 1)
            && fits(Labels::NAME, name)
            && target.iter().all(|(label, value)| fits(label, value))
            && pairs.iter().all(|(label, value)| {
                // A label that the target has too gets a longer name.
                fits(label, value) && (limits.label_name_length == 0 || target.get(label).is_none())
            })
    }
}

/// Whether the decision about a series depends on its metric family.
pub(super) fn depends_on_family(series: &Series, body: &[u8], format: Format) -> bool {
    let bound = |label: &[u8]| label == b"le" || label == b"quantile";
    series.labels.iter().any(|(name, _)| bound(name.raw(body)))
        || (format == Format::OpenMetrics && series.name.raw(body).ends_with(b"_created"))
}

/// The labels as exposed, bounds in canonical form.
///
/// # Errors
/// A name that is empty or occurs twice.
fn exposed<'a>(
    series: &Series,
    body: &'a [u8],
    name: &str,
    family: Family<'_>,
) -> Result<Vec<Pair<'a>>, Refusal> {
    if name.is_empty() {
        return Err(Refusal::Invalid("the metric name is empty".to_owned()));
    }
    let kind = family.type_of(name);
    let mut pairs: Vec<Pair<'a>> = Vec::with_capacity(series.labels.len());
    for (label, value) in &series.labels {
        let (label, mut value) = (label.text(body), value.text(body));
        if label.is_empty() {
            return Err(Refusal::Invalid("a label name is empty".to_owned()));
        }
        if label == Labels::NAME {
            return Err(not_unique(&label));
        }
        let bound = matches!(
            (kind, &*label),
            (FamilyType::Histogram, "le") | (FamilyType::Summary, "quantile")
        );
        if bound && let Some(canonical) = canonical_bound(&value) {
            value = Cow::Owned(canonical);
        }
        pairs.push((label, value));
    }
    match repeated(&pairs) {
        Some(label) => Err(not_unique(label)),
        None => Ok(pairs),
    }
}

/// A label name that occurs twice. Sorts, because comparing each name with all others is quadratic.
fn repeated<'p>(pairs: &'p [Pair<'_>]) -> Option<&'p str> {
    let mut names: Vec<&str> = pairs.iter().map(|(label, _)| &**label).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(twice[0])
}

fn not_unique(label: &str) -> Refusal {
    Refusal::Invalid(format!("the label name {:?} is not unique", excerpt(label)))
}
