//! The in-memory window of recent samples: interned labels, one ring of scrapes per target,
//! staleness, limits.
//!
//! All samples of a scrape share a timestamp, so a [`Block`] has one ring of timestamps and, for
//! every series, a row of values with two sentinels: [`ABSENT`] where the scrape did not have the
//! series and [`STALE`] where it disappeared. A [`Window`] has one block per target and one for the
//! series that rules record.

mod block;
mod index;
mod recorded;
mod rows;
mod strings;
mod value;
mod window;

pub use block::{Block, SYNTHETIC, ScrapeStats};
pub use rows::{Row, SlotRange};
pub use value::{ABSENT, STALE, is_absent, is_stale};
pub use window::{SeriesId, TargetId, Window, WindowLimits};

use crate::metric::Labels;
use std::sync::atomic::{AtomicU64, Ordering};

/// A new epoch, the version of a set of series. Unique in the process, so that a cached plan never
/// matches two windows.
pub(crate) fn next_epoch() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The callback of a selection, called with every series found.
pub type Found<'a, I> = dyn FnMut(I, &Labels) + 'a;
