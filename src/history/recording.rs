//! Recorded samples, by series.

use std::collections::HashMap;
use std::time::Duration;

use crate::metric::{Labels, Timestamp};

/// Labels that identify a target, as Prometheus attaches them.
const TARGET_LABELS: [&str; 2] = ["job", "instance"];

/// Series that a scrape adds and that do not come from the target.
const SYNTHETIC: [&str; 3] = [
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// Series of one or several targets over some time.
#[derive(Debug, Default)]
pub struct Recording {
    pub(super) targets: Vec<Labels>,
    pub(super) columns: Vec<Column>,
    by_labels: HashMap<Labels, usize>,
}

/// The role of a series in the replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// A line of the exposition.
    Sample,
    /// Whether the scrape succeeded.
    Up,
    /// How long the scrape took, in seconds.
    Duration,
    /// Ignored: the replay writes this series itself.
    Ignored,
}

/// One series.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) target: usize,
    pub(super) role: Role,
    /// Name and labels as in an exposition, with the blank before the value.
    pub(super) head: Vec<u8>,
    /// Times in milliseconds and values; in order after [`Recording::sort`].
    pub(super) points: Vec<(i64, f64)>,
}

impl Recording {
    /// An empty recording of these targets. Other targets are added with their series.
    #[must_use]
    pub fn with_targets(targets: Vec<Labels>) -> Self {
        Self {
            targets,
            ..Self::default()
        }
    }

    /// The targets, each by its labels `job` and `instance`.
    #[must_use]
    pub fn targets(&self) -> &[Labels] {
        &self.targets
    }

    /// The labels of a series that identify its target.
    #[must_use]
    pub fn target_of(labels: &Labels) -> Labels {
        labels.retain(|name| TARGET_LABELS.contains(&name))
    }

    /// The number of series.
    #[must_use]
    pub fn series(&self) -> usize {
        self.columns.len()
    }

    /// The handle of a series; always the same for the same labels.
    pub fn column(&mut self, labels: &Labels) -> usize {
        if let Some(column) = self.by_labels.get(labels) {
            return *column;
        }
        let own = Self::target_of(labels);
        let known = self.targets.iter().position(|target| *target == own);
        let target = known.unwrap_or_else(|| {
            self.targets.push(own.clone());
            self.targets.len() - 1
        });
        let column = self.columns.len();
        self.columns.push(Column {
            target,
            role: role(labels, &own),
            head: head(&labels.retain(|name| !TARGET_LABELS.contains(&name))),
            points: Vec::new(),
        });
        self.by_labels.insert(labels.clone(), column);
        column
    }

    /// Adds a sample to a series, in any order. Of several samples at one time the last one counts.
    pub fn push(&mut self, column: usize, at: Timestamp, value: f64) {
        if let Some(column) = self.columns.get_mut(column) {
            column.points.push((at.as_millis(), value));
        }
    }

    /// The times of the first and the last sample.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times = || {
            let points = self.columns.iter().flat_map(|column| &column.points);
            points.map(|(at, _)| *at)
        };
        let (first, last) = (times().min()?, times().max()?);
        Some((Timestamp::from_millis(first), Timestamp::from_millis(last)))
    }

    /// The most frequent distance between two samples of a series: the scrape interval.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        let mut counts: HashMap<i64, u64> = HashMap::new();
        for column in &self.columns {
            for pair in column.points.windows(2) {
                // Scrapes are some milliseconds early or late.
                let distance = (pair[1].0 - pair[0].0 + 500).div_euclid(1000) * 1000;
                *counts.entry(distance.max(1000)).or_default() += 1;
            }
        }
        let (distance, _) = counts
            .into_iter()
            .max_by_key(|(distance, count)| (*count, -distance))?;
        Some(Duration::from_millis(u64::try_from(distance).ok()?))
    }

    /// Sorts the samples of each series by time, and the series as a target would write them.
    pub(super) fn sort(&mut self) {
        for column in &mut self.columns {
            if !column.points.is_sorted_by_key(|(at, _)| *at) {
                column.points.sort_by_key(|(at, _)| *at);
            }
        }
        self.by_labels.clear();
        self.columns.retain(|column| column.role != Role::Ignored);
        self.columns.sort_by(|a, b| {
            let key = |column: &Column| (column.target, column.role);
            key(a).cmp(&key(b)).then_with(|| a.head.cmp(&b.head))
        });
    }
}

/// The role of a series. Series without target labels are always samples, whatever their names.
fn role(labels: &Labels, target: &Labels) -> Role {
    if target.is_empty() {
        return Role::Sample;
    }
    match labels.name() {
        Some("up") => Role::Up,
        Some("scrape_duration_seconds") => Role::Duration,
        Some(name) if SYNTHETIC.contains(&name) => Role::Ignored,
        _ => Role::Sample,
    }
}

/// `name{a="b"} ` in the Prometheus text format. A name that is not a plain identifier is quoted
/// within the braces.
fn head(labels: &Labels) -> Vec<u8> {
    let name = labels.name().unwrap_or_default();
    let mut inner: Vec<String> = Vec::with_capacity(labels.len());
    let plain = is_plain(name, true);
    if !plain {
        inner.push(quoted(name));
    }
    for (name, value) in labels.iter().filter(|(name, _)| *name != Labels::NAME) {
        let name = if is_plain(name, false) {
            name.to_owned()
        } else {
            quoted(name)
        };
        inner.push(format!("{name}={}", quoted(value)));
    }
    let name = if plain { name } else { "" };
    if inner.is_empty() {
        return format!("{name} ").into_bytes();
    }
    format!("{name}{{{}}} ", inner.join(",")).into_bytes()
}

fn is_plain(name: &str, colon: bool) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(ok)
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::{Recording, head};
    use crate::metric::{Labels, Timestamp};
    use crate::scrape::Format;
    use crate::scrape::parse::{Parser, Series};

    #[test]
    fn a_series_is_written_as_the_parser_reads_it() {
        let awkward = Labels::named("my.metric", [("a b", "x\\y\"z\n"), ("c", "é")]);
        for labels in [
            awkward,
            Labels::named("up", [("a", "b")]),
            Labels::named("x", [("", "")]),
        ] {
            let mut body = head(&labels);
            body.extend_from_slice(b"1\n");
            let mut series = Series::default();
            let mut parser = Parser::new(&body, Format::Text);
            parser.next_sample(&mut series).unwrap().unwrap();
            let pairs = series
                .labels
                .iter()
                .map(|(n, v)| (n.text(&body).into_owned(), v.text(&body).into_owned()));
            assert_eq!(Labels::named(&series.name.text(&body), pairs), labels);
        }
    }

    #[test]
    fn the_interval_is_the_most_frequent_distance() {
        let mut recording = Recording::default();
        let column = recording.column(&Labels::named("x", [("", "")]));
        for at in [0, 15_003, 29_998, 75_000, 90_001] {
            recording.push(column, Timestamp::from_millis(at), 1.0);
        }
        assert_eq!(recording.interval().unwrap().as_secs(), 15);
    }
}
