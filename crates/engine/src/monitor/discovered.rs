//! The addresses that discovery found, and the replicas that left.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::metric::Timestamp;

/// The addresses that discovery found, and the replicas that left.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    /// The addresses of the last answer, sorted; `None` before the first.
    pub(super) addresses: Option<Vec<SocketAddr>>,
    /// Instances that discovery no longer finds.
    departed: Vec<Departed>,
}

/// A replica that discovery no longer finds.
#[derive(Debug)]
struct Departed {
    instance: String,
    since: Timestamp,
    /// The replica was absent for the grace period: its alerts have ended, and its samples in the
    /// window are no longer judged.
    ended: bool,
}

impl Discovered {
    /// Updates the departed replicas from the instances before and after. Returns how many left.
    pub(super) fn change(
        &mut self,
        before: &HashSet<String>,
        after: &HashSet<String>,
        at: Timestamp,
    ) -> usize {
        self.departed
            .retain(|departed| !after.contains(&departed.instance));
        let gone = before.difference(after);
        self.departed.extend(gone.clone().map(|instance| Departed {
            instance: instance.clone(),
            since: at,
            ended: false,
        }));
        gone.count()
    }

    /// Instances whose alerts have ended.
    pub(super) fn ended(&self) -> HashSet<String> {
        let ended = self.departed.iter().filter(|departed| departed.ended);
        ended.map(|departed| departed.instance.clone()).collect()
    }

    /// The instances whose alerts end now, because they have been absent for the grace period.
    /// Removes instances that have been absent for `remembered`.
    pub(super) fn end(
        &mut self,
        at: Timestamp,
        grace: Duration,
        remembered: Duration,
    ) -> HashSet<String> {
        let mut ending = HashSet::new();
        self.departed.retain_mut(|departed| {
            let away = at.since(departed.since);
            if !departed.ended && away >= grace {
                departed.ended = true;
                ending.insert(departed.instance.clone());
            }
            away <= remembered
        });
        ending
    }
}
