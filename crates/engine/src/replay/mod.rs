//! Replays history through a monitor without waiting: given samples, or a server's results for a
//! range.

mod offline;
mod past;
mod player;

pub use past::{Answers, Past, Points, RangeAnswer};
pub use player::{Failed, Fired, Judged, Player, Point, Replay};
