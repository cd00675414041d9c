//! What discovery found, and which replicas left.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::metric::Timestamp;

/// What discovery found, and which replicas left.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    /// The last answer, sorted; `None` before the first.
    pub(super) addresses: Option<Vec<SocketAddr>>,
    /// Instances that are no longer found.
    departed: Vec<Departed>,
}

/// A replica that is no longer found.
#[derive(Debug)]
struct Departed {
    instance: String,
    since: Timestamp,
    /// It has stayed away for the grace: its alerts have ended, and what ranges still hold of it is
    /// not judged any more.
    ended: bool,
}

impl Discovered {
    /// Takes in which instances there were and are. Gives how many left.
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

    /// The instances whose alerts end now, since they have been gone for the grace. Those that were
    /// gone for as long as `remembered` are forgotten.
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
