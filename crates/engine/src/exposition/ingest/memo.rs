//! The lines of the last scrape, in their order, with the decision about each series.

use hashbrown::HashTable;

use crate::metric::SeriesRef;
use crate::metric::hash_bytes;

/// What happens to the samples of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not decided yet, or the rules have changed since.
    Undecided,
    /// They are stored.
    Stored,
    /// The same series occurs earlier in the scrape, possibly written differently.
    Duplicate,
    /// The limit on stored series refused it.
    Refused,
    /// No rule reads it.
    Unselected,
    /// An OpenMetrics creation time, which is not a series of its own.
    CreationTime,
}

/// One line of the last scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    start: u32,
    len: u32,
    /// The handle of the stored series; only valid for `Stored` and `Duplicate`.
    pub(super) series: SeriesRef,
    /// Hash of the family that the decision depends on, 0 when it depends on none.
    pub(super) context: u32,
    pub(super) state: State,
}

/// The handle of entries that are not stored.
pub(super) const NOWHERE: SeriesRef = SeriesRef {
    index: u32::MAX,
    generation: u32::MAX,
};

/// The series bytes of the last scrape and the decisions about them.
///
/// While a scrape is read, bytes are only added, so that the lines of the last and the current
/// scrape can share them; unused bytes are dropped between scrapes.
#[derive(Debug, Default)]
pub(super) struct Memo {
    bytes: Vec<u8>,
    pub(super) entries: Vec<Entry>,
}

impl Memo {
    /// The bytes of an entry.
    #[inline]
    pub(super) fn bytes_of(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize..entry.end()]
    }

    /// Where the series ends in `body` if the entry's bytes are at `at`, followed by a blank.
    #[inline]
    pub(super) fn match_at(&self, entry: &Entry, body: &[u8], at: usize) -> Option<usize> {
        let end = at + entry.len as usize;
        if body.get(end) != Some(&b' ') {
            return None;
        }
        (body[at..end] == *self.bytes_of(entry)).then_some(end)
    }

    /// Reserves capacity for the series bytes of a first scrape.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Adds series bytes and returns an undecided entry for them.
    pub(super) fn add(&mut self, series_bytes: &[u8]) -> Entry {
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let entry = Entry {
            start: short(self.bytes.len()),
            len: short(series_bytes.len()),
            series: NOWHERE,
            context: 0,
            state: State::Undecided,
        };
        self.bytes.extend_from_slice(series_bytes);
        entry
    }

    /// The number of bytes, to return to with [`Memo::undo`].
    pub(super) fn mark(&self) -> usize {
        self.bytes.len()
    }

    /// Drops the bytes added since `mark`.
    pub(super) fn undo(&mut self, mark: usize) {
        self.bytes.truncate(mark);
    }

    /// Replaces the lines by those of a new scrape.
    pub(super) fn replace(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
        self.tidy();
    }

    /// Drops the lines from index `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.entries.len() {
            self.entries.truncate(len);
            self.tidy();
        }
    }

    /// Drops unused bytes once they outweigh the used ones, and frees unused capacity.
    fn tidy(&mut self) {
        let used: usize = self.entries.iter().map(|entry| entry.len as usize).sum();
        // Offsets have 32 bits and must be able to address another body besides these bytes.
        if self.bytes.len() / 2 > used || self.bytes.len() > 1 << 31 {
            let mut bytes = Vec::with_capacity(used);
            for entry in &mut self.entries {
                let start = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                bytes.extend_from_slice(&self.bytes[entry.start as usize..entry.end()]);
                entry.start = start;
            }
            self.bytes = bytes;
        }
        if self.bytes.capacity() > self.bytes.len() + self.bytes.len() / 4 {
            self.bytes.shrink_to_fit();
        }
        if self.entries.capacity() > self.entries.len() + self.entries.len() / 4 {
            self.entries.shrink_to_fit();
        }
    }

    /// Marks every line as undecided.
    pub(super) fn forget_decisions(&mut self) {
        for entry in &mut self.entries {
            entry.state = State::Undecided;
            entry.series = NOWHERE;
        }
    }
}

impl Entry {
    /// The same line with a decision.
    pub(super) fn decided(self, state: State, series: SeriesRef, context: u32) -> Self {
        Self {
            state,
            series,
            context,
            ..self
        }
    }

    fn end(&self) -> usize {
        self.start as usize + self.len as usize
    }
}

/// Finds a line by its series bytes; built only when a line has moved.
#[derive(Debug)]
pub(super) struct Index {
    table: HashTable<u32>,
    seed: u64,
}

impl Index {
    /// Of lines with equal series bytes only the first is indexed: entries with equal hashes would
    /// make building quadratic.
    pub(super) fn new(memo: &Memo, seed: u64) -> Self {
        let mut table = HashTable::with_capacity(memo.entries.len());
        let bytes_of = |slot: u32| memo.bytes_of(&memo.entries[slot as usize]);
        for (slot, entry) in (0_u32..).zip(&memo.entries) {
            let bytes = memo.bytes_of(entry);
            table
                .entry(
                    hash_bytes(bytes, seed),
                    |&known| bytes_of(known) == bytes,
                    |&known| hash_bytes(bytes_of(known), seed),
                )
                .or_insert(slot);
        }
        Self { table, seed }
    }

    /// The index of the first line with these series bytes.
    pub(super) fn find(&self, memo: &Memo, series_bytes: &[u8]) -> Option<usize> {
        let hash = hash_bytes(series_bytes, self.seed);
        let same = |&slot: &u32| memo.bytes_of(&memo.entries[slot as usize]) == series_bytes;
        self.table.find(hash, same).map(|&slot| slot as usize)
    }
}
