//! The series that rules record.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Found;
use super::rows::{Row, Rows, SlotRange};
use super::value::{ABSENT, STALE, measured};
use crate::metric::{Labels, Selector, Timestamp, millis};

/// The recorded series of one rule, by row and generation: those of its last evaluation and those
/// of the current one.
#[derive(Debug, Default)]
struct Output {
    before: Vec<(u32, u32)>,
    now: Vec<(u32, u32)>,
}

/// The value of `instance` of series that have no such label.
const NO_TARGET: &str = "";

fn target_of(labels: &Labels) -> &str {
    labels.get("instance").unwrap_or(NO_TARGET)
}

/// Series written by rules. A value is visible at once, so that a later rule of the same tick can
/// read it.
#[derive(Debug)]
pub(super) struct RecordedBlock {
    rows: Rows,
    /// Time of the last sample of each row, in milliseconds.
    last: Vec<i64>,
    outputs: HashMap<u64, Output>,
    /// How many rows are about each target, by its label `instance`; rows without it are counted
    /// together.
    of_target: HashMap<Arc<str>, usize>,
    retention: i64,
    /// Most rows about one target, so that one cannot take the places of the others.
    max_series: usize,
}

impl RecordedBlock {
    pub(super) fn new(retention: Duration, interval: Duration, max_series: usize) -> Self {
        Self {
            rows: Rows::for_times(retention, interval),
            last: Vec::new(),
            outputs: HashMap::new(),
            of_target: HashMap::new(),
            retention: millis(retention),
            max_series,
        }
    }

    /// Starts an empty slot at `at`, unless the newest slot is already at this time.
    fn open(&mut self, at: i64) {
        if self.rows.last_time() == Some(at) {
            return;
        }
        self.rows.truncate(at);
        let cutoff = at.saturating_sub(self.retention);
        self.rows.trim(cutoff);
        let slot = self.rows.spare_slot();
        let mut evicted = false;
        for row in 0..self.rows.index.height() {
            if self.rows.index.labels(row).is_none() {
                continue;
            }
            self.rows.set(row, slot, ABSENT);
            if self.last[row as usize] <= cutoff {
                self.evict(row);
                evicted = true;
            }
        }
        self.rows.push(at);
        if evicted {
            self.rows.index.sweep();
        }
    }

    fn evict(&mut self, row: u32) {
        let labels = self.rows.index.labels(row);
        let target = labels.map_or(NO_TARGET, target_of);
        if let Some(rows) = self.of_target.get_mut(target) {
            *rows = rows.saturating_sub(1);
            if *rows == 0 {
                self.of_target.remove(target);
            }
        }
        self.rows.index.remove(row);
    }

    /// Adds a row; `None` when the target has as many as it may, or all targets together have.
    fn insert(&mut self, labels: &Labels, targets: usize) -> Option<u32> {
        let target = target_of(labels);
        let of_target = self.of_target.get(target).copied().unwrap_or(0);
        let all = self.max_series.saturating_mul(targets.max(1));
        if of_target >= self.max_series || self.rows.index.series() >= all {
            return None;
        }
        let row = self.rows.insert(labels)?;
        self.of_target.insert(target.into(), of_target + 1);
        Some(row)
    }

    /// Stores a value; `false` when the limit on series refuses it. The limit holds for each of so
    /// many `targets`.
    pub(super) fn record(
        &mut self,
        owner: u64,
        at: Timestamp,
        (labels, value): (&Labels, f64),
        targets: usize,
    ) -> bool {
        let at = at.as_millis();
        self.open(at);
        let row = match self.rows.index.find(labels) {
            Some(row) => row,
            None => match self.insert(labels, targets) {
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
        let generation = self.rows.index.generation(row).unwrap_or_default();
        let output = self.outputs.entry(owner).or_default();
        output.now.push((row, generation));
        true
    }

    /// Marks the series stale that the rule recorded last time and not this time.
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
        for (row, generation) in before {
            if now.binary_search(&(row, generation)).is_err() {
                self.mark_stale(row, generation, at);
            }
        }
    }

    /// Marks a row stale, unless another rule has written to it in this slot.
    fn mark_stale(&mut self, row: u32, generation: u32, at: i64) {
        self.open(at);
        if self.rows.index.generation(row) != Some(generation) {
            return;
        }
        if let Some(slot) = self.rows.newest_slot()
            && super::is_absent(self.rows.get(row, slot))
        {
            self.rows.set(row, slot, STALE);
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.rows.index.epoch()
    }

    pub(super) fn series(&self) -> usize {
        self.rows.index.series()
    }

    pub(super) fn set_limits(&mut self, retention: Duration, max_series: usize) {
        self.retention = millis(retention);
        self.max_series = max_series;
    }

    pub(super) fn select(&self, selector: &Selector, found: &mut Found<'_, u32>) {
        self.rows.index.select(selector, found);
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
            let values = recorded.row(row, range).values;
            found = values
                .iter()
                .flat_map(|piece| piece.iter())
                .copied()
                .rfind(|value| !is_absent(*value));
        });
        found
    }

    #[test]
    fn a_recorded_series_that_disappears_becomes_stale_but_not_on_an_error() {
        let minute = Duration::from_secs(60);
        let mut recorded = RecordedBlock::new(minute, Duration::from_secs(15), 10);
        let (a, b) = (
            Labels::named("r", [("l", "a")]),
            Labels::named::<&str, &str>("s", []),
        );
        assert!(recorded.record(1, at(0), (&a, 1.0), 1));
        assert!(recorded.record(1, at(0), (&b, 2.0), 1));
        recorded.end(1, at(0));
        // The evaluation at 15 failed, so `end` is not called.
        assert!(recorded.record(1, at(30), (&a, 3.0), 1));
        recorded.end(1, at(30));
        assert_eq!(newest(&recorded, "r"), Some(3.0));
        assert!(newest(&recorded, "s").is_some_and(is_stale));
        recorded.end(1, at(45));
        assert!(newest(&recorded, "r").is_some_and(is_stale));
    }

    #[test]
    fn the_limit_refuses_a_recorded_series() {
        let minute = Duration::from_secs(60);
        let mut recorded = RecordedBlock::new(minute, Duration::from_secs(15), 1);
        let named = |name| Labels::named::<&str, &str>(name, []);
        assert!(recorded.record(1, at(0), (&named("a"), 1.0), 1));
        assert!(!recorded.record(1, at(0), (&named("b"), 1.0), 1));
        assert_eq!(recorded.series(), 1);
    }

    #[test]
    fn one_target_cannot_take_the_places_of_another() {
        let minute = Duration::from_secs(60);
        let mut recorded = RecordedBlock::new(minute, Duration::from_secs(15), 2);
        let of = |target: &str, n: u32| {
            Labels::named("r", [("instance", target.to_owned()), ("n", n.to_string())])
        };
        let mut record =
            |seconds, labels: &Labels| recorded.record(1, at(seconds), (labels, 1.0), 2);
        assert!(record(0, &of("a", 1)) && record(0, &of("a", 2)));
        assert!(!record(0, &of("a", 3)), "its own limit");
        assert!(record(0, &of("b", 1)) && record(0, &of("b", 2)));
        assert!(!record(0, &of("c", 1)), "there are two targets only");
        assert!(record(90, &of("a", 3)), "the earlier ones are evicted");
    }
}
