//! Answers on their way: how many bytes of memory they hold, and who loses his when it is too much.
//!
//! A page of `/metrics` is held until the client has taken it, so clients that do not read could fill the memory,
//! each with many pages over HTTP/2.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::connections::{Connection, Connections};
use super::counters::Refused;

/// Bytes that all answers may hold together.
pub(super) const MAX_ANSWERS: usize = 64 * 1024 * 1024;

/// Bytes held by the answers of one listener.
#[derive(Debug, Default)]
pub(super) struct Answers(AtomicUsize);

impl Answers {
    /// Accounts for an answer. When there is no room, the connection that holds the most loses what it has; there is
    /// none for whoever holds the most himself.
    pub(super) fn hold(
        self: &Arc<Self>,
        connections: &Connections,
        connection: &Arc<Connection>,
        bytes: usize,
    ) -> Option<Hold> {
        let held = self.0.load(Ordering::Relaxed);
        if held + bytes > MAX_ANSWERS {
            let most = connections.holding_most()?;
            if Arc::ptr_eq(&most, connection) {
                return None;
            }
            most.close(Refused::Memory);
        }
        self.0.fetch_add(bytes, Ordering::Relaxed);
        connection.holds_more(bytes);
        Some(Hold {
            of: Arc::clone(self),
            connection: Arc::clone(connection),
            bytes,
        })
    }
}

/// The memory of one answer, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    of: Arc<Answers>,
    connection: Arc<Connection>,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.connection.holds_less(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use tokio::time::Instant;

    use super::{Answers, MAX_ANSWERS};
    use crate::metric::Labels;
    use crate::publish::server::connections::{Connections, Member};
    use crate::publish::server::counters::{Http, Refused};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn whoever_holds_the_most_loses_it_when_there_is_no_room() {
        let connections = Arc::new(Connections::new(Http::new(&Labels::empty())));
        let members = [1, 2, 3].map(|id| connections.admit(id, HERE, Instant::now()).unwrap());
        let [greedy, modest, scraper] = members.each_ref().map(Member::connection);
        let answers = Arc::new(Answers::default());
        let hold = |who, bytes| answers.hold(&connections, who, bytes);
        let first = hold(greedy, MAX_ANSWERS / 4 * 3).unwrap();
        let second = hold(modest, MAX_ANSWERS / 4).unwrap();
        assert!(
            hold(greedy, 1).is_none(),
            "no more for whoever has the most"
        );
        let third = hold(scraper, 1000).unwrap();
        assert_eq!(greedy.why(), Some(Refused::Memory));
        assert_eq!((modest.why(), scraper.why()), (None, None));
        drop((first, second, third));
        assert_eq!(answers.0.load(Ordering::Relaxed), 0);
        assert!(hold(greedy, 1).is_some());
    }
}
