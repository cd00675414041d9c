//! The recent scrapes of one target.

use std::time::Duration;

use super::Found;
use super::rows::{Row, Rows, SlotRange};
use super::value::{ABSENT, STALE, measured};
use crate::metric::{Appender, Labels, Selector, SeriesRef, Timestamp, millis};

/// The statistics of a scrape that the window stores as series, as Prometheus does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ScrapeStats {
    /// How long the scrape took: `scrape_duration_seconds`.
    pub duration: Duration,
    /// Samples the target exposed: `scrape_samples_scraped`.
    pub samples: u64,
    /// Samples left after relabeling: `scrape_samples_post_metric_relabeling`.
    pub samples_post_relabeling: u64,
    /// Series that are new in this scrape: `scrape_series_added`.
    pub series_added: u64,
}

/// Samples whose own timestamp is older than this, in milliseconds, are dropped; an instant
/// selector would not see them in Prometheus either.
const LOOKBACK: i64 = 300_000;

/// The names of the series added to every scrape, in the order of [`Block::synthesize`].
pub const SYNTHETIC: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// When a row last had a sample.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// The number of the scrape that last wrote the row.
    scrape: u32,
    /// Time of the last stored sample, in milliseconds.
    last: i64,
    /// Whether the last stored scrape had the series.
    present: bool,
}

/// The scrape that is being appended.
#[derive(Debug)]
struct Pending {
    at: i64,
    slot: usize,
    created: Vec<u32>,
}

/// The recent scrapes of one target: one timestamp per scrape, one row of values per series.
///
/// To store a scrape, call [`Block::begin`], append, then call [`Block::commit`] or
/// [`Block::rollback`]; for a failed scrape call [`Block::fail`]. A sample with its own timestamp
/// is stored at the time of the scrape, because shared timestamps keep the window small. If it is
/// older than the lookback of five minutes it is dropped, so that it does not look current.
#[derive(Debug)]
pub struct Block {
    rows: Rows,
    seen: Vec<Seen>,
    pending: Option<Pending>,
    /// Number of the current or last scrape.
    scrape: u32,
    target: Labels,
    synthetic: [Option<SeriesRef>; 5],
    retention: i64,
    max_series: usize,
    ended: bool,
}

impl Block {
    /// An empty block; its synthetic series get the labels `target`.
    ///
    /// Samples older than `retention` are dropped; `interval` is the expected time between scrapes
    /// and sizes the ring.
    pub(super) fn new(
        target: Labels,
        retention: Duration,
        interval: Duration,
        max_series: usize,
    ) -> Self {
        Self {
            rows: Rows::for_times(retention, interval),
            seen: Vec::new(),
            pending: None,
            scrape: 0,
            target,
            synthetic: [None; 5],
            retention: millis(retention),
            max_series,
            ended: false,
        }
    }

    /// The labels of the target.
    pub(super) fn target(&self) -> &Labels {
        &self.target
    }

    /// Starts a scrape; rolls back one that was not committed.
    ///
    /// Drops samples at or after `at`: either the clock was set back and they are in the future, or
    /// this scrape replaces one of the same millisecond.
    pub fn begin(&mut self, at: Timestamp) {
        self.rollback();
        let at = at.as_millis();
        if self.rows.last_time().is_some_and(|last| last >= at) {
            self.rows.truncate(at);
            for seen in &mut self.seen {
                seen.last = seen.last.min(at);
            }
        }
        self.rows.trim(at.saturating_sub(self.retention));
        self.scrape = self.scrape.checked_add(1).unwrap_or(1);
        self.pending = Some(Pending {
            at,
            slot: self.rows.spare_slot(),
            created: Vec::new(),
        });
    }

    /// Makes the scrape visible. Series that the last scrape had and this one does not get a stale
    /// marker; series without a sample in the retention are evicted. Does nothing without
    /// [`Block::begin`].
    pub fn commit(&mut self, stats: &ScrapeStats) {
        self.synthesize(1.0, stats);
        self.close();
    }

    /// Discards what was appended since [`Block::begin`].
    pub fn rollback(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        for row in &pending.created {
            self.rows.index.remove(*row);
        }
        if !pending.created.is_empty() {
            // A target whose every scrape fails must not fill the memory with strings.
            self.rows.index.sweep();
        }
    }

    /// Stores a failed scrape: every series becomes stale and `up` is 0.
    pub fn fail(&mut self, at: Timestamp, duration: Duration) {
        self.begin(at);
        let stats = ScrapeStats {
            duration,
            ..ScrapeStats::default()
        };
        self.synthesize(0.0, &stats);
        self.close();
    }

    /// Marks all series stale, `up` included, because the target is no longer scraped.
    pub(super) fn end(&mut self, at: Timestamp) {
        self.begin(at);
        self.close();
        self.ended = true;
    }

    /// Whether the target is no longer scraped.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Marks the target as scraped again.
    pub(super) fn resume(&mut self) {
        self.ended = false;
    }

    /// Whether the target is no longer scraped and its last scrape is older than the retention.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let cutoff = now.as_millis().saturating_sub(self.retention);
        self.ended && self.rows.last_time().is_none_or(|last| last <= cutoff)
    }

    /// Appends the series of [`SYNTHETIC`].
    fn synthesize(&mut self, up: f64, stats: &ScrapeStats) {
        if self.pending.is_none() {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let values = [
            up,
            stats.duration.as_secs_f64(),
            stats.samples as f64,
            stats.samples_post_relabeling as f64,
            stats.series_added as f64,
        ];
        for (which, value) in values.into_iter().enumerate() {
            let known = self.synthetic[which].filter(|series| self.is_valid(*series));
            let series = known.or_else(|| {
                let labels = self.target.with(Labels::NAME, SYNTHETIC[which]);
                self.find_or_insert(&labels)
            });
            self.synthetic[which] = series;
            if let Some(series) = series {
                self.append(series, None, value);
            }
        }
    }

    /// Makes the pending slot the newest one, sets stale markers and evicts series.
    fn close(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let cutoff = pending.at.saturating_sub(self.retention);
        let mut evicted = Vec::new();
        for (row, seen) in self.seen.iter_mut().enumerate() {
            let row = row as u32;
            if seen.scrape == self.scrape {
                seen.last = pending.at;
                seen.present = true;
                continue;
            }
            if self.rows.index.labels(row).is_none() {
                continue;
            }
            let value = if seen.present { STALE } else { ABSENT };
            seen.present = false;
            self.rows.set(row, pending.slot, value);
            if seen.last <= cutoff {
                evicted.push(row);
            }
        }
        self.rows.push(pending.at);
        for row in &evicted {
            self.rows.index.remove(*row);
        }
        if !evicted.is_empty() {
            self.rows.index.sweep();
        }
    }

    fn is_valid(&self, series: SeriesRef) -> bool {
        self.rows.index.generation(series.index) == Some(series.generation)
    }

    fn find_or_insert(&mut self, labels: &Labels) -> Option<SeriesRef> {
        let row = match self.rows.index.find(labels) {
            Some(row) => row,
            None => self.insert(labels)?,
        };
        let generation = self.rows.index.generation(row)?;
        Some(SeriesRef {
            index: row,
            generation,
        })
    }

    fn insert(&mut self, labels: &Labels) -> Option<u32> {
        let row = self.rows.insert(labels)?;
        let fresh = Seen {
            last: self.pending.as_ref().map_or(i64::MIN, |pending| pending.at),
            ..Seen::default()
        };
        match self.seen.get_mut(row as usize) {
            Some(seen) => *seen = fresh,
            None => self.seen.push(fresh),
        }
        if let Some(pending) = &mut self.pending {
            pending.created.push(row);
        }
        Some(row)
    }

    /// Changes whenever the set of series changes; unique in the process.
    pub(super) fn epoch(&self) -> u64 {
        self.rows.index.epoch()
    }

    /// The number of stored series.
    pub(super) fn series(&self) -> usize {
        self.rows.index.series()
    }

    /// Sets how long samples are kept, and how many series, from the next scrape on.
    pub(super) fn set_limits(&mut self, retention: Duration, max_series: usize) {
        self.retention = millis(retention);
        self.max_series = max_series;
    }

    /// Calls `found` with the index and the labels of every series that the selector matches.
    pub(super) fn select(&self, selector: &Selector, found: &mut Found<'_, u32>) {
        self.rows.index.select(selector, found);
    }

    /// The slots with times in `(after, until]`.
    pub(super) fn range(&self, after: Timestamp, until: Timestamp) -> SlotRange {
        self.rows.range(after, until)
    }

    /// The given slots of the row of a series.
    pub(super) fn row(&self, index: u32, range: SlotRange) -> Row<'_> {
        self.rows.row(index, range)
    }
}

impl Appender for Block {
    fn resolve(&mut self, labels: &Labels) -> Option<SeriesRef> {
        if self.rows.index.find(labels).is_none() && self.rows.index.series() >= self.max_series {
            return None;
        }
        self.find_or_insert(labels)
    }

    fn append(&mut self, series: SeriesRef, at: Option<Timestamp>, value: f64) -> bool {
        let Some(pending) = &self.pending else {
            return false;
        };
        if !self.is_valid(series) {
            return false;
        }
        if at.is_some_and(|at| pending.at.saturating_sub(at.as_millis()) >= LOOKBACK) {
            return true;
        }
        let seen = &mut self.seen[series.index as usize];
        // Of two samples of one series in a scrape the first is stored, as in Prometheus.
        if seen.scrape != self.scrape {
            seen.scrape = self.scrape;
            self.rows.set(series.index, pending.slot, measured(value));
        }
        true
    }
}

#[cfg(test)]
mod tests;
