//! The series that rules record.

use std::collections::HashMap;
use std::time::Duration;

use super::Found;
use super::rows::{Row, Rows, SlotRange};
use super::value::{ABSENT, STALE, measured};
use crate::metric::{Labels, Selector, Timestamp};

/// The recorded series of one rule, by row and generation: those of its last evaluation and those of the present one.
#[derive(Debug, Default)]
struct Output {
    before: Vec<(u32, u32)>,
    now: Vec<(u32, u32)>,
}

/// Series written by rules. A value is visible at once, so that a later rule of the same tick reads it.
#[derive(Debug)]
pub struct RecordedBlock {
    rows: Rows,
    /// Time of the last sample of a row, milliseconds.
    last: Vec<i64>,
    outputs: HashMap<u64, Output>,
    retention: i64,
    max_series: usize,
    refused: u64,
}

impl RecordedBlock {
    pub(super) fn new(retention: Duration, interval: Duration, max_series: usize) -> Self {
        let slots = retention.as_millis() / interval.as_millis().max(1) + 2;
        Self {
            rows: Rows::new(usize::try_from(slots).unwrap_or(usize::MAX).min(4096)),
            last: Vec::new(),
            outputs: HashMap::new(),
            retention: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
            max_series,
            refused: 0,
        }
    }

    /// Makes `at` the newest slot, empty, unless it is already.
    fn open(&mut self, at: i64) {
        if self.rows.last_time() == Some(at) {
            return;
        }
        self.rows.truncate(at);
        let cutoff = at.saturating_sub(self.retention);
        self.rows.trim(cutoff);
        let slot = self.rows.spare_slot();
        let mut evicted = false;
        for row in 0..self.rows.height() {
            if self.rows.labels(row).is_none() {
                continue;
            }
            self.rows.set(row, slot, ABSENT);
            if self.last[row as usize] <= cutoff {
                self.rows.remove(row);
                evicted = true;
            }
        }
        self.rows.push(at);
        if evicted {
            self.rows.sweep();
        }
    }

    /// `false` when the cap on series refuses it.
    pub(super) fn record(
        &mut self,
        owner: u64,
        at: Timestamp,
        labels: &Labels,
        value: f64,
    ) -> bool {
        let at = at.as_millis();
        self.open(at);
        let row = match self.rows.find(labels) {
            Some(row) => row,
            None if self.rows.series() >= self.max_series => {
                self.refused += 1;
                return false;
            }
            None => match self.rows.insert(labels) {
                Some(row) => row,
                None => return false,
            },
        };
        if self.last.len() <= row as usize {
            self.last.resize(row as usize + 1, i64::MIN);
        }
        self.last[row as usize] = at;
        if let Some(slot) = self.rows.newest_slot() {
            self.rows.set(row, slot, measured(value));
        }
        let generation = self.rows.generation(row).unwrap_or_default();
        let output = self.outputs.entry(owner).or_default();
        output.now.push((row, generation));
        true
    }

    /// Marks stale what the rule recorded last time and not this time.
    pub(super) fn end(&mut self, owner: u64, at: Timestamp) {
        let Some(output) = self.outputs.get_mut(&owner) else {
            return;
        };
        output.now.sort_unstable();
        let now = std::mem::take(&mut output.now);
        let before = std::mem::replace(&mut output.before, now.clone());
        if before.is_empty() && now.is_empty() {
            self.outputs.remove(&owner);
            return;
        }
        let at = at.as_millis();
        let gone: Vec<(u32, u32)> = before
            .into_iter()
            .filter(|row| now.binary_search(row).is_err())
            .collect();
        for (row, generation) in gone {
            self.mark_stale(row, generation, at);
        }
    }

    /// A row that another rule wrote in this slot is not stale.
    fn mark_stale(&mut self, row: u32, generation: u32, at: i64) {
        self.open(at);
        if self.rows.generation(row) != Some(generation) {
            return;
        }
        if let Some(slot) = self.rows.newest_slot()
            && super::is_absent(self.rows.get(row, slot))
        {
            self.rows.set(row, slot, STALE);
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.rows.epoch()
    }

    pub(super) fn series(&self) -> usize {
        self.rows.series()
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn memory(&self) -> usize {
        self.rows.memory() + self.last.capacity() * 8
    }

    pub(super) fn set_retention(&mut self, retention: Duration) {
        self.retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    }

    pub(super) fn select(&self, selector: &Selector, found: &mut Found<'_, u32>) {
        self.rows.select(selector, found);
    }

    pub(super) fn range(&self, after: Timestamp, until: Timestamp) -> SlotRange {
        self.rows.range(after, until)
    }

    pub(super) fn row(&self, index: u32, range: SlotRange) -> Row<'_> {
        self.rows.row(index, range)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RecordedBlock;
    use crate::metric::{Labels, Matcher, Selector, Timestamp};
    use crate::series::{is_absent, is_stale};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn newest(recorded: &RecordedBlock, name: &str) -> Option<f64> {
        let selector = Selector::new(vec![Matcher::equal(Labels::NAME, name)]);
        let range = recorded.range(at(-1), at(1000));
        let mut found = None;
        recorded.select(&selector, &mut |row, _| {
            let row = recorded.row(row, range);
            let values = row.values.iter().flat_map(|v| v.iter());
            found = values.filter(|v| !is_absent(**v)).copied().last();
        });
        found
    }

    #[test]
    fn a_recorded_series_that_vanishes_goes_stale_and_an_error_is_no_end() {
        let minute = Duration::from_secs(60);
        let mut recorded = RecordedBlock::new(minute, Duration::from_secs(15), 10);
        let (a, b) = (
            Labels::named("r", [("l", "a")]),
            Labels::named::<&str, &str>("s", []),
        );
        assert!(recorded.record(1, at(0), &a, 1.0));
        assert!(recorded.record(1, at(0), &b, 2.0));
        recorded.end(1, at(0));
        // The evaluation at 15 failed: nothing is said.
        assert!(recorded.record(1, at(30), &a, 3.0));
        recorded.end(1, at(30));
        assert_eq!(newest(&recorded, "r"), Some(3.0));
        assert!(newest(&recorded, "s").is_some_and(is_stale));
        recorded.end(1, at(45));
        assert!(newest(&recorded, "r").is_some_and(is_stale));
    }

    #[test]
    fn the_cap_refuses_a_recorded_series_and_counts_it() {
        let minute = Duration::from_secs(60);
        let mut recorded = RecordedBlock::new(minute, Duration::from_secs(15), 1);
        let named = |name| Labels::named::<&str, &str>(name, []);
        assert!(recorded.record(1, at(0), &named("a"), 1.0));
        assert!(!recorded.record(1, at(0), &named("b"), 1.0));
        assert_eq!(recorded.refused(), 1);
    }
}
