//! The past through a monitor, as fast as it goes: samples that are given, or what a server
//! answered about a range.

mod offline;
mod past;
mod player;

pub use past::{Answers, Past, Points, RangeAnswer};
pub use player::{Failed, Fired, Judged, Player, Point, Replay};
