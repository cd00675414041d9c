//! Timestamps shared by a set of series, and a row of values for each of them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::strings::Strings;
use super::value::ABSENT;
use super::{Found, next_epoch};
use crate::metric::{Labels, Selector, Timestamp};

/// Rows in one allocation: large enough to be cheap, small enough to waste little.
const PAGE: usize = 64;

/// The end of a chain of series with one hash.
const NONE: u32 = u32::MAX;

/// Slots `from..to`, oldest first, of one set of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotRange {
    /// The first slot.
    pub from: usize,
    /// One past the last slot.
    pub to: usize,
}

/// A part of a row: two pieces, oldest first, because the ring may wrap.
///
/// Values may be [`ABSENT`] or [`super::STALE`]. The pieces of `times` and `values` have equal lengths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row<'a> {
    /// Milliseconds since the epoch.
    pub times: [&'a [i64]; 2],
    /// The values at these times.
    pub values: [&'a [f64]; 2],
}

#[derive(Debug)]
struct Entry {
    /// Empty for a row that is free.
    labels: Option<Labels>,
    hash: u64,
    generation: u32,
    /// The next series of the same hash.
    next: u32,
}

/// A ring of timestamps and, for every series, a row of values beside it.
#[derive(Debug)]
pub(super) struct Rows {
    times: Vec<i64>,
    /// Where the oldest timestamp is.
    start: usize,
    len: usize,
    pages: Vec<Box<[f64]>>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    first_of_hash: HashMap<u64, u32>,
    by_name: HashMap<Arc<str>, Vec<u32>>,
    hasher: RandomState,
    strings: Strings,
    epoch: u64,
}

impl Rows {
    /// Room for `slots` timestamps before the first growth.
    pub(super) fn new(slots: usize) -> Self {
        Self {
            times: vec![0; slots.max(2)],
            start: 0,
            len: 0,
            pages: Vec::new(),
            entries: Vec::new(),
            free: Vec::new(),
            first_of_hash: HashMap::new(),
            by_name: HashMap::new(),
            hasher: RandomState::new(),
            strings: Strings::default(),
            epoch: next_epoch(),
        }
    }

    /// Changes whenever the set of series changes.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Series stored.
    pub(super) fn series(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// One past the highest row in use.
    pub(super) fn height(&self) -> u32 {
        self.entries.len() as u32
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

    /// Where the `index`-th oldest slot is in the ring.
    fn slot(&self, index: usize) -> usize {
        let at = self.start + index;
        if at >= self.stride() {
            at - self.stride()
        } else {
            at
        }
    }

    /// The ring position after the newest; grows the ring when it is full.
    pub(super) fn spare_slot(&mut self) -> usize {
        if self.len == self.stride() {
            self.grow();
        }
        self.slot(self.len)
    }

    /// Makes the spare slot the newest.
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

    /// Drops the slots at or after `from`: the clock went back.
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

    fn place(&self, row: u32) -> (usize, usize) {
        let row = row as usize;
        (row / PAGE, row % PAGE * self.stride())
    }

    pub(super) fn labels(&self, row: u32) -> Option<&Labels> {
        self.entries.get(row as usize)?.labels.as_ref()
    }

    /// The generation of a row in use.
    pub(super) fn generation(&self, row: u32) -> Option<u32> {
        let entry = self.entries.get(row as usize)?;
        entry.labels.is_some().then_some(entry.generation)
    }

    /// The row of these labels.
    pub(super) fn find(&self, labels: &Labels) -> Option<u32> {
        let hash = self.hasher.hash_one(labels);
        let mut row = *self.first_of_hash.get(&hash)?;
        while row != NONE {
            let entry = &self.entries[row as usize];
            if entry.labels.as_ref() == Some(labels) {
                return Some(row);
            }
            row = entry.next;
        }
        None
    }

    /// A new row for labels that have none; `None` when there are 2³² rows.
    pub(super) fn insert(&mut self, labels: &Labels) -> Option<u32> {
        let hash = self.hasher.hash_one(labels);
        let labels = self.strings.intern(labels);
        let row = match self.free.pop() {
            Some(row) => row,
            None => u32::try_from(self.entries.len())
                .ok()
                .filter(|row| *row != NONE)?,
        };
        if let Some(label) = labels.as_slice().iter().find(|l| &*l.name == Labels::NAME) {
            let rows = self.by_name.entry(Arc::clone(&label.value)).or_default();
            let place = rows.partition_point(|other| *other < row);
            rows.insert(place, row);
        }
        let next = self.first_of_hash.insert(hash, row).unwrap_or(NONE);
        let entry = Entry {
            labels: Some(labels),
            hash,
            generation: 0,
            next,
        };
        match self.entries.get_mut(row as usize) {
            Some(free) => {
                let generation = free.generation;
                *free = Entry {
                    generation,
                    ..entry
                };
            }
            None => self.entries.push(entry),
        }
        if row as usize / PAGE >= self.pages.len() {
            let page = vec![ABSENT; PAGE * self.stride()];
            self.pages.push(page.into_boxed_slice());
        } else {
            let (page, at) = self.place(row);
            let stride = self.stride();
            self.pages[page][at..at + stride].fill(ABSENT);
        }
        self.epoch = next_epoch();
        Some(row)
    }

    /// Frees a row; handles to it become invalid.
    pub(super) fn remove(&mut self, row: u32) {
        let Some(entry) = self.entries.get_mut(row as usize) else {
            return;
        };
        let Some(labels) = entry.labels.take() else {
            return;
        };
        entry.generation = entry.generation.wrapping_add(1);
        let (hash, next) = (entry.hash, entry.next);
        self.unchain(hash, row, next);
        if let Some(name) = labels.name()
            && let Some(rows) = self.by_name.get_mut(name)
        {
            rows.retain(|other| *other != row);
            if rows.is_empty() {
                self.by_name.remove(name);
            }
        }
        self.free.push(row);
        self.epoch = next_epoch();
    }

    fn unchain(&mut self, hash: u64, row: u32, next: u32) {
        let Some(first) = self.first_of_hash.get_mut(&hash) else {
            return;
        };
        if *first == row {
            *first = next;
            if next == NONE {
                self.first_of_hash.remove(&hash);
            }
            return;
        }
        let mut at = *first;
        while at != NONE {
            let entry = &mut self.entries[at as usize];
            if entry.next == row {
                entry.next = next;
                return;
            }
            at = entry.next;
        }
    }

    /// Gives back the strings of removed series.
    pub(super) fn sweep(&mut self) {
        self.strings.sweep();
    }

    /// Calls `found` with the rows the selector matches, in order.
    pub(super) fn select(&self, selector: &Selector, found: &mut Found<'_, u32>) {
        let mut offer = |row: u32| {
            if let Some(labels) = self.labels(row)
                && selector.matches(labels)
            {
                found(row, labels);
            }
        };
        match selector.metric_name() {
            Some("") => (0..self.height()).for_each(offer),
            Some(name) => self
                .by_name
                .get(name)
                .into_iter()
                .flatten()
                .for_each(|row| offer(*row)),
            None => (0..self.height()).for_each(offer),
        }
    }

    /// The slots after `after` and not after `until`.
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

    /// A part of a row; empty when the row or the range is not there.
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

    /// Bytes held, roughly.
    pub(super) fn memory(&self) -> usize {
        let labels: usize = self
            .entries
            .iter()
            .map(|e| e.labels.as_ref().map_or(0, |l| 16 + l.len() * 32))
            .sum();
        let index = self.first_of_hash.capacity() * 17
            + self.by_name.capacity() * 48
            + self.entries.len() * 4;
        self.pages.len() * PAGE * self.stride() * 8
            + self.entries.capacity() * size_of::<Entry>()
            + labels
            + index
            + self.strings.memory()
    }
}
