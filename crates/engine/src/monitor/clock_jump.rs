//! Handles jumps of the wall clock: a clock set by hand or NTP, or a process that was suspended.

use std::time::Duration;

use tracing::warn;

use super::model_monitor::ModelMonitor;
use crate::alert::Tracker;
use crate::incident::OUTAGE_INTERVALS;
use crate::metric::Timestamp;

impl ModelMonitor {
    /// Adjusts the state to the clock; call it before each tick. Returns how far the clock went
    /// back.
    ///
    /// If the clock went back, times move back with it and durations stay the same. Time without
    /// ticks does not count towards `for`. In both cases the window holds too few samples to
    /// resolve an alert.
    pub fn follow_clock(&mut self, at: Timestamp) -> Option<Duration> {
        let last = self.last_tick?;
        let interval = self.settings.interval;
        let (back, ahead) = (last.since(at), at.since(last));
        if !back.is_zero() {
            // One interval passed between the two ticks nevertheless.
            let back = back + interval;
            warn!(by = ?back, "the clock went back");
            self.unsettle(at, |tracker| tracker.set_back(back));
            for watching in self.watches_mut() {
                watching.table.set_back(back);
                watching.expecting.set_back(back);
            }
            for retired in &mut self.retired {
                retired.set_back(back);
            }
            for group in &mut self.groups {
                group.set_back(back);
            }
            self.retraining.gates.set_back(back);
            self.stored.urgent = true;
            return Some(back);
        }
        if ahead >= interval * OUTAGE_INTERVALS {
            warn!(by = ?ahead, "no scrape for several intervals: the clock was set, or the process was suspended");
            self.unsettle(at, |tracker| tracker.skip(ahead.saturating_sub(interval)));
        }
        None
    }

    fn unsettle(&mut self, at: Timestamp, change: impl Fn(&mut Tracker)) {
        for rule in self.rules_mut() {
            if let Some((_, tracker)) = rule.alerting_mut() {
                change(tracker);
            }
            rule.fill(at);
        }
    }
}
