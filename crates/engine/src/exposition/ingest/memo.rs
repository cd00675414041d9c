//! What was decided about the series of the last scrape, in its order.

use hashbrown::HashTable;

use crate::metric::SeriesRef;
use crate::metric::hash_bytes;

/// What becomes of the samples of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not decided, or the rules changed since.
    Undecided,
    /// Stored.
    Stored,
    /// The same series stands earlier in the scrape, maybe written differently.
    Duplicate,
    /// A cap refused it.
    Refused,
    /// No rule reads it.
    Unselected,
    /// An OpenMetrics creation time, which is no signal.
    CreationTime,
}

/// One line of the last scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    start: u32,
    len: u32,
    /// Where it is stored; only meaningful for `Stored` and `Duplicate`.
    pub(super) series: SeriesRef,
    /// The family context the decision depends on, 0 when on none.
    pub(super) context: u32,
    pub(super) state: State,
}

/// A handle for entries that are stored nowhere.
pub(super) const NOWHERE: SeriesRef = SeriesRef {
    index: u32::MAX,
    generation: u32::MAX,
};

/// The series bytes of the last scrape and the decisions about them.
///
/// Bytes are only ever added while a scrape is read, so that the lines of the last and of the present scrape can share
/// them; what no line uses any more is dropped between scrapes.
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

    /// Where the series ends in `body` when the entry's bytes stand at `at` and a blank follows.
    #[inline]
    pub(super) fn match_at(&self, entry: &Entry, body: &[u8], at: usize) -> Option<usize> {
        let end = at + entry.len as usize;
        if body.get(end) != Some(&b' ') {
            return None;
        }
        (body[at..end] == *self.bytes_of(entry)).then_some(end)
    }

    /// Makes room for the series bytes of a first scrape.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// An undecided entry for series bytes that are added.
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

    /// How many bytes there are, to return to with [`Memo::undo`].
    pub(super) fn mark(&self) -> usize {
        self.bytes.len()
    }

    /// Drops the bytes added since `mark`.
    pub(super) fn undo(&mut self, mark: usize) {
        self.bytes.truncate(mark);
    }

    /// Takes the lines of a new scrape, drops unused bytes once they outweigh the used ones, and gives back memory.
    pub(super) fn replace(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
        self.tidy();
    }

    /// Forgets the lines from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.entries.len() {
            self.entries.truncate(len);
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        let used: usize = self.entries.iter().map(|entry| entry.len as usize).sum();
        // Offsets are 32 bits: there must be room for another body besides what is here.
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

    /// Forgets every decision but keeps the lines.
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

/// Finds lines that moved; built only when one did.
#[derive(Debug)]
pub(super) struct Index {
    table: HashTable<u32>,
    seed: u64,
}

impl Index {
    pub(super) fn new(memo: &Memo, seed: u64) -> Self {
        let mut table = HashTable::with_capacity(memo.entries.len());
        for (slot, entry) in (0_u32..).zip(&memo.entries) {
            let hash = hash_bytes(memo.bytes_of(entry), seed);
            table.insert_unique(hash, slot, |&slot| {
                hash_bytes(memo.bytes_of(&memo.entries[slot as usize]), seed)
            });
        }
        Self { table, seed }
    }

    /// The place of a line with these series bytes.
    pub(super) fn find(&self, memo: &Memo, series_bytes: &[u8]) -> Option<usize> {
        let hash = hash_bytes(series_bytes, self.seed);
        let same = |&slot: &u32| memo.bytes_of(&memo.entries[slot as usize]) == series_bytes;
        self.table.find(hash, same).map(|&slot| slot as usize)
    }
}
