//! The short in-memory window: interned labels, one ring of scrapes per target, staleness, caps.
//!
//! A target has one timestamp per scrape, so a [`Block`] keeps a ring of timestamps and, for every series, a row of
//! values with two sentinels: [`ABSENT`] where the scrape did not have the series and [`STALE`] where it vanished.
//! A [`Window`] is one block per target and one more for the series that rules record.

mod block;
mod recorded;
mod rows;
mod strings;
mod value;
mod window;

pub use block::{Block, ScrapeStats};
pub use recorded::RecordedBlock;
pub use rows::{Row, SlotRange};
pub use value::{ABSENT, STALE, is_absent, is_stale};
pub use window::{SeriesId, TargetId, Window, WindowLimits};

use crate::metric::Labels;
use std::sync::atomic::{AtomicU64, Ordering};

/// The next number of a state of a set of series; unique in the process, so that a plan never fits two windows.
pub fn next_epoch() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// What a selection calls for every series it finds.
pub type Found<'a, I> = dyn FnMut(I, &Labels) + 'a;
