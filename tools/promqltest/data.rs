//! The data that scripts load.

use std::cell::Cell;
use std::collections::BTreeMap;

use sidewatch_engine::metric::{Labels, Selector, Timestamp};
use sidewatch_engine::promql::{Batch, SeriesSource};
use sidewatch_engine::series::{Found, Row, SeriesId, SlotRange, is_absent};

use super::script::Loaded;

/// Everything loaded since the last `clear`.
#[derive(Debug, Default)]
pub(crate) struct Store {
    samples: BTreeMap<Labels, BTreeMap<i64, f64>>,
    /// Series with native histograms or start timestamps.
    foreign: Vec<Labels>,
    batch: Option<Batch>,
}

impl Store {
    pub(crate) fn load(&mut self, series: Vec<Loaded>) {
        self.batch = None;
        for series in series {
            if series.foreign {
                self.foreign.push(series.labels);
                continue;
            }
            let samples = self.samples.entry(series.labels).or_default();
            let times = (0..).map(|i| i * series.step);
            samples.extend(
                times
                    .zip(series.values)
                    .filter(|(_, value)| !is_absent(*value)),
            );
        }
    }

    /// The store as a source; `touched` is set when a selector matches what we do not evaluate.
    pub(crate) fn source<'a>(&'a mut self, touched: &'a Cell<bool>) -> Source<'a> {
        let samples = &self.samples;
        let batch = self.batch.get_or_insert_with(|| {
            let timed = |points: &BTreeMap<i64, f64>| {
                points
                    .iter()
                    .map(|(t, v)| (Timestamp::from_millis(*t), *v))
                    .collect()
            };
            Batch::new(
                samples
                    .iter()
                    .map(|(labels, points)| (labels.clone(), timed(points))),
            )
        });
        Source {
            batch,
            foreign: &self.foreign,
            touched,
        }
    }
}

/// A store that tells when something foreign was selected.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    batch: &'a Batch,
    foreign: &'a [Labels],
    touched: &'a Cell<bool>,
}

impl SeriesSource for Source<'_> {
    fn epoch(&self) -> u64 {
        self.batch.epoch()
    }

    fn select(&self, selector: &Selector, found: &mut Found<'_, SeriesId>) {
        if self.foreign.iter().any(|labels| selector.matches(labels)) {
            self.touched.set(true);
        }
        self.batch.select(selector, found);
    }

    fn range(&self, block: u32, after: Timestamp, until: Timestamp) -> SlotRange {
        self.batch.range(block, after, until)
    }

    fn row(&self, id: SeriesId, range: SlotRange) -> Row<'_> {
        self.batch.row(id, range)
    }
}
