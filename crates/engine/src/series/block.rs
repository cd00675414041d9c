//! The scrapes of one target.

use std::time::Duration;

use super::Found;
use super::rows::{Row, Rows, SlotRange};
use super::value::{ABSENT, STALE, measured};
use crate::metric::{Appender, Labels, Selector, SeriesRef, Timestamp};

/// What the scraper knows about a scrape and the window stores as series beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ScrapeStats {
    /// How long the scrape took: `scrape_duration_seconds`.
    pub duration: Duration,
    /// Samples the target exposed: `scrape_samples_scraped`.
    pub samples: u64,
    /// Samples left after relabelling: `scrape_samples_post_metric_relabeling`.
    pub samples_post_relabeling: u64,
    /// Series that are new in this scrape: `scrape_series_added`.
    pub series_added: u64,
}

/// A sample that says it is older than this, in milliseconds, is not seen by an instant selector in Prometheus either.
const LOOKBACK: i64 = 300_000;

/// The names of the series written beside every scrape, in the order of [`Block::synthesise`].
const SYNTHETIC: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// What is known of a row beside its values.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// The number of the scrape that last wrote the row.
    scrape: u32,
    /// Time of the last stored sample, milliseconds.
    last: i64,
    /// Whether the last stored scrape had the series.
    present: bool,
}

/// A scrape that is being appended.
#[derive(Debug)]
struct Pending {
    at: i64,
    slot: usize,
    created: Vec<u32>,
}

/// The recent scrapes of one target: one timestamp per scrape, one row of values per series.
///
/// A scrape is [`Block::begin`], appends, then [`Block::commit`] or [`Block::rollback`]; a scrape without an answer is
/// [`Block::fail`]. A sample with a timestamp of its own is stored at the scrape's time, since a shared timestamp is
/// what makes the window small; one older than the lookback of five minutes is left out, so that it never looks fresh.
#[derive(Debug)]
pub struct Block {
    rows: Rows,
    seen: Vec<Seen>,
    pending: Option<Pending>,
    /// Number of the scrape that is or was last being appended.
    scrape: u32,
    target: Labels,
    synthetic: [Option<SeriesRef>; 5],
    retention: i64,
    max_series: usize,
    refused: u64,
    ended: bool,
}

impl Block {
    /// An empty block whose synthetic series carry the labels of the target.
    ///
    /// Samples older than `retention` are dropped; `interval` is the expected time between scrapes and sizes the ring.
    #[must_use]
    pub fn new(target: Labels, retention: Duration, interval: Duration, max_series: usize) -> Self {
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let slots = retention.as_millis() / interval.as_millis().max(1) + 2;
        Self {
            // A mistaken interval must not allocate the world: the ring grows when it has to.
            rows: Rows::new(usize::try_from(slots).unwrap_or(usize::MAX).min(4096)),
            seen: Vec::new(),
            pending: None,
            scrape: 0,
            target,
            synthetic: [None; 5],
            retention: retention_ms,
            max_series,
            refused: 0,
            ended: false,
        }
    }

    /// The labels of the target.
    #[must_use]
    pub fn target(&self) -> &Labels {
        &self.target
    }

    /// Starts a scrape; one that was not committed is rolled back.
    ///
    /// Samples at or after `at` are dropped: either the clock went back, and they lie in the future of every
    /// evaluation to come, or this scrape replaces one of the same millisecond.
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

    /// Makes the scrape visible: series that were there before and are not now get a stale marker, series without a
    /// sample in the retention are evicted. Does nothing without [`Block::begin`].
    pub fn commit(&mut self, stats: &ScrapeStats) {
        self.synthesise(1.0, stats);
        self.close();
    }

    /// Forgets what was appended since [`Block::begin`].
    pub fn rollback(&mut self) {
        if let Some(pending) = self.pending.take() {
            for row in pending.created {
                self.rows.remove(row);
            }
        }
    }

    /// Stores a scrape that failed: every series goes stale and `up` is 0.
    pub fn fail(&mut self, at: Timestamp, duration: Duration) {
        self.begin(at);
        let stats = ScrapeStats {
            duration,
            ..ScrapeStats::default()
        };
        self.synthesise(0.0, &stats);
        self.close();
    }

    /// Marks everything stale, `up` included: the target is no longer scraped.
    pub fn end(&mut self, at: Timestamp) {
        self.begin(at);
        self.close();
        self.ended = true;
    }

    /// Whether the target is no longer scraped.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// The target is scraped again.
    pub fn resume(&mut self) {
        self.ended = false;
    }

    /// Whether nothing is left to see of a target that is no longer scraped.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        let cutoff = now.as_millis().saturating_sub(self.retention);
        self.ended && self.rows.last_time().is_none_or(|last| last <= cutoff)
    }

    fn synthesise(&mut self, up: f64, stats: &ScrapeStats) {
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

    /// Turns the pending slot into the newest one.
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
            if self.rows.labels(row).is_none() {
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
            self.rows.remove(*row);
        }
        if !evicted.is_empty() {
            self.rows.sweep();
        }
    }

    fn is_valid(&self, series: SeriesRef) -> bool {
        self.rows.generation(series.index) == Some(series.generation)
    }

    fn find_or_insert(&mut self, labels: &Labels) -> Option<SeriesRef> {
        let row = match self.rows.find(labels) {
            Some(row) => row,
            None => self.insert(labels)?,
        };
        let generation = self.rows.generation(row)?;
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
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.rows.epoch()
    }

    /// Series stored now.
    #[must_use]
    pub fn series(&self) -> usize {
        self.rows.series()
    }

    /// How often the cap refused a series.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Time of the newest stored scrape.
    #[must_use]
    pub fn last_scrape(&self) -> Option<Timestamp> {
        self.rows.last_time().map(Timestamp::from_millis)
    }

    /// Time of the oldest stored scrape.
    #[must_use]
    pub fn first_scrape(&self) -> Option<Timestamp> {
        self.rows.first_time().map(Timestamp::from_millis)
    }

    /// Bytes held, roughly.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.rows.memory() + self.seen.capacity() * size_of::<Seen>()
    }

    /// Sets how long samples are kept from the next scrape on.
    pub fn set_retention(&mut self, retention: Duration) {
        self.retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    }

    /// Calls `found` with the index and the labels of every series the selector matches.
    pub fn select(&self, selector: &Selector, found: &mut Found<'_, u32>) {
        self.rows.select(selector, found);
    }

    /// The slots after `after` and not after `until`.
    #[must_use]
    pub fn range(&self, after: Timestamp, until: Timestamp) -> SlotRange {
        self.rows.range(after, until)
    }

    /// A part of the row of a series.
    #[must_use]
    pub fn row(&self, index: u32, range: SlotRange) -> Row<'_> {
        self.rows.row(index, range)
    }
}

impl Appender for Block {
    fn resolve(&mut self, labels: &Labels) -> Option<SeriesRef> {
        if self.rows.find(labels).is_none() && self.rows.series() >= self.max_series {
            self.refused += 1;
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
        // Of two samples of one series in a scrape the first counts, as in Prometheus.
        if seen.scrape != self.scrape {
            seen.scrape = self.scrape;
            self.rows.set(series.index, pending.slot, measured(value));
        }
        true
    }
}

#[cfg(test)]
mod tests;
