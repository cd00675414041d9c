//! A ring of timestamps and the rows of values of the series that share them.

use std::time::Duration;

use super::index::Index;
use super::value::ABSENT;
use crate::metric::{Labels, Timestamp};

/// Rows per allocation: enough that allocations are rare, few enough that little memory is unused.
const PAGE: usize = 64;

/// The slots `from..to`, counted from the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotRange {
    /// The first slot.
    pub from: usize,
    /// One past the last slot.
    pub to: usize,
}

/// Consecutive slots of a row: two pieces, oldest first, because the ring may wrap.
///
/// Values may be [`ABSENT`] or [`super::STALE`]. The pieces of `times` and `values` have equal
/// lengths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row<'a> {
    /// Milliseconds since the Unix epoch.
    pub times: [&'a [i64]; 2],
    /// The values at these times.
    pub values: [&'a [f64]; 2],
}

/// A ring of timestamps and, for every series, a row with one value per timestamp.
#[derive(Debug)]
pub(super) struct Rows {
    times: Vec<i64>,
    /// The ring position of the oldest timestamp.
    start: usize,
    len: usize,
    pages: Vec<Box<[f64]>>,
    /// The labels of the rows.
    pub(super) index: Index,
}

impl Rows {
    /// An empty ring for the scrapes of one retention at this interval; it grows if they are more
    /// frequent.
    pub(super) fn for_times(retention: Duration, interval: Duration) -> Self {
        let slots = retention.as_millis() / interval.as_millis().max(1) + 2;
        Self {
            // A far too short interval must not reserve much memory.
            times: vec![0; usize::try_from(slots).unwrap_or(usize::MAX).min(4096)],
            start: 0,
            len: 0,
            pages: Vec::new(),
            index: Index::new(),
        }
    }

    pub(super) fn last_time(&self) -> Option<i64> {
        let last = self.len.checked_sub(1)?;
        Some(self.times[self.slot(last)])
    }

    pub(super) fn first_time(&self) -> Option<i64> {
        (self.len > 0).then(|| self.times[self.start])
    }

    fn stride(&self) -> usize {
        self.times.len()
    }

    /// The ring position of the `index`-th oldest slot.
    fn slot(&self, index: usize) -> usize {
        let at = self.start + index;
        if at >= self.stride() {
            at - self.stride()
        } else {
            at
        }
    }

    /// The ring position after the newest slot; grows the ring if it is full.
    pub(super) fn spare_slot(&mut self) -> usize {
        if self.len == self.stride() {
            self.grow();
        }
        self.slot(self.len)
    }

    /// Makes the spare slot the newest one, with the time `at`.
    pub(super) fn push(&mut self, at: i64) {
        let slot = self.spare_slot();
        self.times[slot] = at;
        self.len += 1;
    }

    /// Drops the slots at or before `until`.
    pub(super) fn trim(&mut self, until: i64) {
        while self.first_time().is_some_and(|first| first <= until) {
            self.start = self.slot(1);
            self.len -= 1;
        }
    }

    /// Drops the slots at or after `from`, as when the clock was set back.
    pub(super) fn truncate(&mut self, from: i64) {
        while self.last_time().is_some_and(|last| last >= from) {
            self.len -= 1;
        }
    }

    fn grow(&mut self) {
        let (old, stride) = (self.stride(), self.stride() + self.stride() / 4 + 4);
        let mut times: Vec<i64> = (0..self.len).map(|i| self.times[self.slot(i)]).collect();
        times.resize(stride, 0);
        for page in &mut self.pages {
            let mut wider = vec![ABSENT; PAGE * stride].into_boxed_slice();
            for (from, to) in page.chunks_exact(old).zip(wider.chunks_exact_mut(stride)) {
                let (tail, head) = from.split_at(self.start);
                to[..head.len()].copy_from_slice(head);
                to[head.len()..old].copy_from_slice(tail);
            }
            *page = wider;
        }
        self.times = times;
        self.start = 0;
    }

    pub(super) fn set(&mut self, row: u32, slot: usize, value: f64) {
        let (page, at) = self.place(row);
        self.pages[page][at + slot] = value;
    }

    pub(super) fn get(&self, row: u32, slot: usize) -> f64 {
        let (page, at) = self.place(row);
        self.pages[page][at + slot]
    }

    /// The ring position of the newest slot.
    pub(super) fn newest_slot(&self) -> Option<usize> {
        self.len.checked_sub(1).map(|last| self.slot(last))
    }

    /// The page of a row and the offset of its values in it.
    fn place(&self, row: u32) -> (usize, usize) {
        let row = row as usize;
        (row / PAGE, row % PAGE * self.stride())
    }

    /// Adds a row of absent values for labels that have none yet; `None` when there are 2³² rows.
    pub(super) fn insert(&mut self, labels: &Labels) -> Option<u32> {
        let row = self.index.insert(labels)?;
        if row as usize / PAGE >= self.pages.len() {
            let page = vec![ABSENT; PAGE * self.stride()];
            self.pages.push(page.into_boxed_slice());
        } else {
            let (page, at) = self.place(row);
            let stride = self.stride();
            self.pages[page][at..at + stride].fill(ABSENT);
        }
        Some(row)
    }

    /// The slots with times in `(after, until]`.
    pub(super) fn range(&self, after: Timestamp, until: Timestamp) -> SlotRange {
        let count = |limit: i64| {
            let (mut low, mut high) = (0, self.len);
            while low < high {
                let middle = low.midpoint(high);
                if self.times[self.slot(middle)] <= limit {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        let to = count(until.as_millis());
        SlotRange {
            from: count(after.as_millis()).min(to),
            to,
        }
    }

    /// The given slots of a row; empty if the row or the range does not exist.
    pub(super) fn row(&self, row: u32, range: SlotRange) -> Row<'_> {
        let (page, at) = self.place(row);
        let (Some(page), to) = (self.pages.get(page), range.to.min(self.len)) else {
            return Row::default();
        };
        if range.from >= to {
            return Row::default();
        }
        let values = &page[at..at + self.stride()];
        let (first, count) = (self.slot(range.from), to - range.from);
        let head = count.min(self.stride() - first);
        Row {
            times: [
                &self.times[first..first + head],
                &self.times[..count - head],
            ],
            values: [&values[first..first + head], &values[..count - head]],
        }
    }
}
