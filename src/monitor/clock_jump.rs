//! A wall clock that jumps: set by hand or by NTP, or the process was stopped and goes on.

use std::time::Duration;

use tracing::warn;

use super::model_monitor::ModelMonitor;
use crate::alert::Tracker;
use crate::metric::Timestamp;

/// So many intervals without a tick are no late scrape.
const OUTAGE: u32 = 20;

impl ModelMonitor {
    /// Fits what is remembered to the clock; call it before each tick. Gives by how much the clock went back.
    ///
    /// When it went back, whatever lasted keeps its length. Time in which nothing ran does not count towards `for`.
    /// Either way the window holds too little to believe that anything ended.
    pub fn follow_clock(&mut self, at: Timestamp) -> Option<Duration> {
        let last = self.last_tick?;
        let interval = self.config.settings.global.scrape_interval;
        let (back, ahead) = (last.since(at), at.since(last));
        if !back.is_zero() {
            // The interval between the two ticks passed all the same.
            let back = back + interval;
            warn!(by = ?back, "the clock went back");
            self.unsettle(at, |tracker| tracker.set_back(back));
            for retired in &mut self.retired {
                retired.tracker.set_back(back);
                retired.until = retired.until - back;
            }
            self.retraining.gates.set_back(back);
            self.urgent = true;
            return Some(back);
        }
        if ahead >= interval * OUTAGE {
            warn!(by = ?ahead, "nothing was scraped for long: the clock was set, or the process was stopped");
            self.unsettle(at, |tracker| tracker.skip(ahead.saturating_sub(interval)));
        }
        None
    }

    fn unsettle(&mut self, at: Timestamp, change: impl Fn(&mut Tracker)) {
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            if let Some((_, tracker)) = rule.alerting_mut() {
                change(tracker);
            }
            rule.settle(at);
        }
    }
}
