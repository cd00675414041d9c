//! The sources of samples for an evaluation.

use crate::metric::{Labels, Selector, Timestamp};
use crate::series::{Found, Row, SeriesId, SlotRange, Window, next_epoch};

/// A set of series that can be queried.
///
/// The series of a block share their timestamps, so that a time range is converted to a range of
/// slots once per block rather than once per series.
pub trait SeriesSource {
    /// Changes whenever the set of series changes; unique in the process (see [`next_epoch`]).
    fn epoch(&self) -> u64;

    /// Calls `found` with every series that the selector matches, block by block.
    fn select(&self, selector: &Selector, found: &mut Found<'_, SeriesId>);

    /// The slots of a block with times in `(after, until]`.
    fn range(&self, block: u32, after: Timestamp, until: Timestamp) -> SlotRange;

    /// The given slots of the row of a series.
    fn row(&self, id: SeriesId, range: SlotRange) -> Row<'_>;

    /// Whether the evaluation has to end now, as at a time limit. It is asked at least once per
    /// selector and step.
    fn is_interrupted(&self) -> bool {
        false
    }
}

impl SeriesSource for Window {
    fn epoch(&self) -> u64 {
        self.epoch()
    }

    fn select(&self, selector: &Selector, found: &mut Found<'_, SeriesId>) {
        self.select(selector, found);
    }

    fn range(&self, block: u32, after: Timestamp, until: Timestamp) -> SlotRange {
        self.range(block, after, until)
    }

    fn row(&self, id: SeriesId, range: SlotRange) -> Row<'_> {
        self.row(id, range)
    }
}

/// Times and values.
pub type Samples = Vec<(Timestamp, f64)>;

#[derive(Debug)]
struct Whole {
    labels: Labels,
    times: Vec<i64>,
    values: Vec<f64>,
}

/// A fixed set of series, each with its own timestamps, such as history or the input of a test.
#[derive(Debug)]
pub struct Batch {
    series: Vec<Whole>,
    epoch: u64,
}

impl Batch {
    /// A source of these series, with samples in order of time. Their label sets must be different.
    ///
    /// Values may be [`crate::series::STALE`] and [`crate::series::ABSENT`].
    #[must_use]
    pub fn new(series: impl IntoIterator<Item = (Labels, Samples)>) -> Self {
        let split = |(labels, samples): (Labels, Samples)| {
            let (times, values) = samples.into_iter().map(|(t, v)| (t.as_millis(), v)).unzip();
            Whole {
                labels,
                times,
                values,
            }
        };
        Self {
            series: series.into_iter().map(split).collect(),
            epoch: next_epoch(),
        }
    }
}

impl SeriesSource for Batch {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn select(&self, selector: &Selector, found: &mut Found<'_, SeriesId>) {
        for (block, series) in self.series.iter().enumerate() {
            if selector.matches(&series.labels) {
                let block = block as u32;
                found(SeriesId { block, row: 0 }, &series.labels);
            }
        }
    }

    fn range(&self, block: u32, after: Timestamp, until: Timestamp) -> SlotRange {
        let Some(Whole { times, .. }) = self.series.get(block as usize) else {
            return SlotRange::default();
        };
        let to = times.partition_point(|t| *t <= until.as_millis());
        let from = times.partition_point(|t| *t <= after.as_millis()).min(to);
        SlotRange { from, to }
    }

    fn row(&self, id: SeriesId, range: SlotRange) -> Row<'_> {
        let Some(Whole { times, values, .. }) = self.series.get(id.block as usize) else {
            return Row::default();
        };
        Row {
            times: [&times[range.from..range.to], &[]],
            values: [&values[range.from..range.to], &[]],
        }
    }
}
