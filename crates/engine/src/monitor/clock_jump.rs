//! A wall clock that jumps: set by hand or by NTP, or the process was stopped and goes on.

use std::time::Duration;

use tracing::warn;

use super::model_monitor::ModelMonitor;
use crate::alert::Tracker;
use crate::metric::Timestamp;

/// Intervals without a tick from which on it is an outage, not a late scrape.
const OUTAGE_INTERVALS: u32 = 20;

impl ModelMonitor {
    /// Fits what is remembered to the clock; call it before each tick. Gives by how much the clock
    /// went back.
    ///
    /// When it went back, whatever lasted keeps its length. Time in which nothing ran does not
    /// count towards `for`. Either way the window holds too little to believe that anything ended.
    pub fn follow_clock(&mut self, at: Timestamp) -> Option<Duration> {
        let last = self.last_tick?;
        let interval = self.settings.interval;
        let (back, ahead) = (last.since(at), at.since(last));
        if !back.is_zero() {
            // The interval between the two ticks passed all the same.
            let back = back + interval;
            warn!(by = ?back, "the clock went back");
            self.unsettle(at, |tracker| tracker.set_back(back));
            for retired in &mut self.retired {
                retired.set_back(back);
            }
            self.retraining.gates.set_back(back);
            self.stored.urgent = true;
            return Some(back);
        }
        if ahead >= interval * OUTAGE_INTERVALS {
            warn!(by = ?ahead, "nothing was scraped for long: the clock was set, or the process was stopped");
            self.unsettle(at, |tracker| tracker.skip(ahead.saturating_sub(interval)));
        }
        None
    }

    fn unsettle(&mut self, at: Timestamp, change: impl Fn(&mut Tracker)) {
        for rule in self.rules_mut() {
            if let Some((_, tracker)) = rule.alerting_mut() {
                change(tracker);
            }
            rule.settle(at);
        }
    }
}
