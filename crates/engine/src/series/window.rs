//! All series that can be queried: one block per target, and the recorded series.

use std::time::Duration;

use super::block::Block;
use super::recorded::RecordedBlock;
use super::rows::{Row, SlotRange};
use super::{Found, next_epoch};
use crate::metric::{Labels, Selector, Timestamp};

/// Sizes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLimits {
    /// How long samples are kept: the longest reach of the loaded expressions.
    pub retention: Duration,
    /// The expected time between two scrapes. It sizes the rings, which grow if scrapes are more
    /// frequent.
    pub interval: Duration,
    /// Most series per target, and most recorded series about one target.
    pub max_series: usize,
}

impl Default for WindowLimits {
    /// Ten minutes at 15 seconds, 200,000 series.
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(600),
            interval: Duration::from_secs(15),
            max_series: 200_000,
        }
    }
}

/// Identifies a target in the window; reused only for a target with equal labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(u32);

/// Identifies a series in the window; valid while the window's epoch is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId {
    /// Series of one block share their timestamps.
    pub block: u32,
    /// The row in the block.
    pub row: u32,
}

/// The block number of the recorded series.
const RECORDED: u32 = u32::MAX;

/// The short in-memory window over every target, and the recorded series.
#[derive(Debug)]
pub struct Window {
    limits: WindowLimits,
    /// Boxed, because the slots of removed targets stay in the list.
    blocks: Vec<Option<Box<Block>>>,
    /// How many blocks there are.
    targets: usize,
    recorded: RecordedBlock,
    epoch: u64,
}

impl Window {
    /// An empty window.
    #[must_use]
    pub fn new(limits: WindowLimits) -> Self {
        Self {
            limits,
            blocks: Vec::new(),
            targets: 0,
            recorded: RecordedBlock::new(limits.retention, limits.interval, limits.max_series),
            epoch: next_epoch(),
        }
    }

    /// The sizes of this window.
    #[must_use]
    pub fn limits(&self) -> WindowLimits {
        self.limits
    }

    /// Changes the sizes from the next scrape on, as after a reload. Series that are stored stay,
    /// also above a lower limit.
    pub fn set_limits(&mut self, limits: WindowLimits) {
        let WindowLimits {
            retention,
            max_series,
            ..
        } = limits;
        self.limits = limits;
        self.recorded.set_limits(retention, max_series);
        for block in self.blocks.iter_mut().flatten() {
            block.set_limits(retention, max_series);
        }
    }

    /// Adds a target; `labels` are its own (`job`, `instance`, …), which its synthetic series
    /// get.
    ///
    /// A target that was removed and returns within the retention continues its old block, in which
    /// stale markers separate the old samples from the new ones. With two blocks the same series
    /// would exist twice.
    pub fn add_target(&mut self, labels: Labels) -> TargetId {
        let back = |block: &Option<Box<Block>>| {
            block
                .as_ref()
                .is_some_and(|block| block.is_ended() && *block.target() == labels)
        };
        if let Some(place) = self.blocks.iter().position(back) {
            if let Some(Some(block)) = self.blocks.get_mut(place) {
                block.resume();
            }
            return TargetId(place as u32);
        }
        let WindowLimits {
            retention,
            interval,
            max_series,
        } = self.limits;
        let id = TargetId(self.blocks.len() as u32);
        let block = Block::new(labels, retention, interval, max_series);
        self.blocks.push(Some(Box::new(block)));
        self.targets += 1;
        self.epoch = next_epoch();
        id
    }

    /// The block of a target; `None` once the target has been removed and its samples dropped.
    fn target(&self, id: TargetId) -> Option<&Block> {
        self.blocks.get(id.0 as usize)?.as_deref()
    }

    /// The block of a target, to append a scrape; `None` once the target has been removed and its
    /// samples dropped.
    pub fn target_mut(&mut self, id: TargetId) -> Option<&mut Block> {
        self.blocks.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Marks the series of a target stale because it is no longer scraped; [`Window::sweep`] drops
    /// them later.
    pub fn remove_target(&mut self, id: TargetId, at: Timestamp) {
        if let Some(block) = self.target_mut(id) {
            block.end(at);
        }
    }

    /// Drops the targets that were removed longer than the retention ago.
    pub fn sweep(&mut self, now: Timestamp) {
        for block in &mut self.blocks {
            if block.as_ref().is_some_and(|block| block.is_over(now)) {
                *block = None;
                self.targets -= 1;
                self.epoch = next_epoch();
            }
        }
    }

    /// Stores a value that a rule recorded; it is visible at once. `owner` identifies the rule.
    ///
    /// `false` when the limit on series refuses it.
    pub fn record(&mut self, owner: u64, at: Timestamp, labels: &Labels, value: f64) -> bool {
        self.recorded
            .record(owner, at, (labels, value), self.targets)
    }

    /// Ends a successful evaluation of a rule: series that it recorded last time and not this time
    /// get a stale marker.
    ///
    /// Do not call it after a failed evaluation: an error does not mean that the series are gone.
    /// To mark all series of a removed rule stale, call it twice.
    pub fn end_records(&mut self, owner: u64, at: Timestamp) {
        self.recorded.end(owner, at);
    }

    /// Changes whenever the set of series changes; unique in the process.
    pub(crate) fn epoch(&self) -> u64 {
        self.blocks
            .iter()
            .flatten()
            .map(|block| block.epoch())
            .fold(self.epoch.max(self.recorded.epoch()), u64::max)
    }

    /// The number of stored series, recorded ones included.
    #[must_use]
    pub fn series(&self) -> usize {
        let scraped: usize = self
            .blocks
            .iter()
            .flatten()
            .map(|block| block.series())
            .sum();
        scraped + self.recorded.series()
    }

    /// Calls `found` with every series that the selector matches, block by block.
    pub fn select(&self, selector: &Selector, found: &mut Found<'_, SeriesId>) {
        for (number, block) in self.blocks.iter().enumerate() {
            let id = |row| SeriesId {
                block: number as u32,
                row,
            };
            if let Some(block) = block {
                block.select(selector, &mut |row, labels| found(id(row), labels));
            }
        }
        let id = |row| SeriesId {
            block: RECORDED,
            row,
        };
        self.recorded
            .select(selector, &mut |row, labels| found(id(row), labels));
    }

    /// The slots of a block with times in `(after, until]`.
    #[must_use]
    pub fn range(&self, block: u32, after: Timestamp, until: Timestamp) -> SlotRange {
        if block == RECORDED {
            return self.recorded.range(after, until);
        }
        self.target(TargetId(block))
            .map_or_else(SlotRange::default, |block| block.range(after, until))
    }

    /// The given slots of the row of a series.
    #[must_use]
    pub fn row(&self, id: SeriesId, range: SlotRange) -> Row<'_> {
        if id.block == RECORDED {
            return self.recorded.row(id.row, range);
        }
        self.target(TargetId(id.block))
            .map_or_else(Row::default, |block| block.row(id.row, range))
    }
}
