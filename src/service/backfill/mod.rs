//! `backfill`: replays history through a silent copy of the monitor and transfers the learned state
//! to the live one.

mod progress;
mod run;
mod server;
mod target_labels;

pub(super) use progress::BackfillEvent;
pub(super) use run::Backfill;
