//! The novelty of shapes: how much the recent course of a series differs from every earlier one.

use serde::{Deserialize, Serialize};

use super::record::Record;

/// Blocks in a shape.
const SHAPE: usize = 4;
/// Earlier blocks that are searched.
const BACK: usize = 512;
/// The decay of a record per row.
const DECAY: f64 = 3e-4;

/// The distance of the last four block means from the nearest earlier four, compared with the
/// record so far.
///
/// There is one search per block, which is about 170 multiplications per row for blocks of 12. At
/// most 8.3 KB.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Blocks {
    rows: u32,
    sum: f64,
    filled: u32,
    /// Block means, oldest first; truncated to the last `BACK + SHAPE` now and then.
    means: Vec<f64>,
    seen: u64,
    record: Record,
}

impl Blocks {
    pub(super) fn new(rows: u32) -> Self {
        Self {
            rows,
            sum: 0.0,
            filled: 0,
            means: Vec::new(),
            seen: 0,
            record: Record::default(),
        }
    }

    /// Adds a row. If it ends a block after `warm_up` rows, returns by how much the distance
    /// exceeds the record, else 0.
    pub(super) fn push(&mut self, x: f64, warm_up: u32) -> f64 {
        self.sum += x;
        self.filled += 1;
        if self.filled < self.rows {
            return 0.0;
        }
        if self.means.len() >= BACK + SHAPE + 64 {
            self.means.drain(..self.means.len() + 1 - (BACK + SHAPE));
        }
        self.means.push(self.sum / f64::from(self.rows));
        (self.sum, self.filled) = (0.0, 0);
        self.seen += 1;
        let distance = self.nearest();
        let warm = u64::from(warm_up / self.rows).max(SHAPE as u64 + 2);
        if self.seen <= warm {
            return 0.0;
        }
        let rows = i32::try_from(self.rows).unwrap_or(i32::MAX);
        self.record.up(distance, 1.0 - (1.0 - DECAY).powi(rows))
    }

    /// The Euclidean distance of the last shape from the nearest one that does not overlap it; 0 if
    /// there is none.
    fn nearest(&self) -> f64 {
        let kept = &self.means[self.means.len().saturating_sub(BACK + SHAPE)..];
        let Some((past, last)) = kept.split_last_chunk::<SHAPE>() else {
            return 0.0;
        };
        let mut best = f64::INFINITY;
        for shape in past.windows(SHAPE) {
            let distance: f64 = shape.iter().zip(last).map(|(a, b)| (b - a) * (b - a)).sum();
            best = best.min(distance);
        }
        if best.is_finite() { best.sqrt() } else { 0.0 }
    }
}
