//! Open connections: how far each has got, when its time is up, and which one makes room for
//! another.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::counters::{Http, Refused};

/// Connections open at once.
const MAX_CONNECTIONS: usize = 256;
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to send the head of a request, from its first byte or from the connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from the head of a request to the end of its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Time in which a client has to take some bytes of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two requests; longer than any usual scrape interval.
const IDLE_TIMEOUT: Duration = Duration::from_secs(150);

/// Time that a connection has before it may be closed for another. Without, a flood of new
/// connections would close each other before any could send its request.
const MIN_WAIT: Duration = Duration::from_millis(250);

/// How far a connection has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    /// The head of a request is awaited or has begun.
    Header,
    /// A request is being answered.
    Request,
    /// Between requests.
    Idle,
    /// Closed to make room for another connection.
    Evicted,
}

impl Phase {
    /// How long it may last, and why the connection is closed then; no reason when that is normal.
    fn limit(self) -> (Duration, Option<Refused>) {
        match self {
            Self::Handshake => (HANDSHAKE_TIMEOUT, Some(Refused::HandshakeTimeout)),
            Self::Header => (HEADER_TIMEOUT, Some(Refused::HeaderTimeout)),
            Self::Request => (REQUEST_TIMEOUT, Some(Refused::RequestTimeout)),
            Self::Idle => (IDLE_TIMEOUT, None),
            Self::Evicted => (Duration::ZERO, Some(Refused::Evicted)),
        }
    }
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// The answer is complete, but perhaps not yet written.
    answered: bool,
    /// Since when the client takes nothing of what is written.
    blocked: Option<Instant>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    state: Mutex<State>,
    changed: Notify,
    counters: Http,
}

impl Connection {
    /// A connection that begins with the TLS handshake.
    pub(super) fn new(counters: Http) -> Self {
        counters.add_open(1);
        Self {
            state: Mutex::new(State {
                phase: Phase::Handshake,
                since: Instant::now(),
                answered: false,
                blocked: None,
            }),
            changed: Notify::new(),
            counters,
        }
    }

    fn enter(&self, state: &mut State, phase: Phase) {
        if state.phase != Phase::Evicted {
            (state.phase, state.since, state.answered) = (phase, Instant::now(), false);
            self.changed.notify_one();
        }
    }

    /// TLS is set up, or there is none.
    pub(super) fn established(&self) {
        self.enter(&mut self.state.lock(), Phase::Header);
    }

    /// The client sent something.
    pub(super) fn received(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Idle {
            self.enter(&mut state, Phase::Header);
        }
    }

    /// The head of a request is complete.
    pub(super) fn request_began(&self) {
        self.enter(&mut self.state.lock(), Phase::Request);
    }

    /// The answer is complete; the request ends when it is written.
    pub(super) fn answered(&self) {
        self.state.lock().answered = true;
    }

    /// Nothing more can be written until the client takes something.
    pub(super) fn write_blocked(&self) {
        let mut state = self.state.lock();
        if state.blocked.is_none() {
            state.blocked = Some(Instant::now());
            self.changed.notify_one();
        }
    }

    /// The client took something.
    pub(super) fn wrote(&self) {
        self.state.lock().blocked = None;
    }

    /// Everything is written.
    pub(super) fn flushed(&self) {
        let mut state = self.state.lock();
        if state.answered {
            self.enter(&mut state, Phase::Idle);
        }
    }

    /// When it has to be closed, and why.
    fn deadline(&self) -> (Instant, Option<Refused>) {
        let state = self.state.lock();
        let (limit, reason) = state.phase.limit();
        let end = state.since + limit;
        match state.blocked.map(|since| since + WRITE_TIMEOUT) {
            Some(write) if write < end => (write, Some(Refused::SlowReader)),
            _ => (end, reason),
        }
    }

    /// Completes when the connection has to be closed, with the reason that counts.
    pub(super) async fn expired(&self) -> Option<Refused> {
        loop {
            let (deadline, reason) = self.deadline();
            if deadline <= Instant::now() {
                return reason;
            }
            tokio::select! {
                () = sleep_until(deadline) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Since when the server waits for the client, and whether it has had a request from it; none
    /// while it works on a request.
    fn waiting(&self) -> Option<(bool, Instant)> {
        let state = self.state.lock();
        match state.phase {
            Phase::Handshake | Phase::Header => Some((false, state.since)),
            Phase::Idle => Some((true, state.since)),
            Phase::Request => state.blocked.map(|since| (true, since)),
            Phase::Evicted => None,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.state.get_mut().phase != Phase::Evicted {
            self.counters.add_open(-1);
        }
    }
}

/// The open connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    open: Vec<Weak<Connection>>,
    counters: Http,
}

impl Connections {
    /// No connection yet.
    pub(super) fn new(counters: Http) -> Self {
        Self {
            open: Vec::new(),
            counters,
        }
    }

    /// Takes in a connection. At the limit, the one that has kept the server waiting for longest is
    /// closed, and first those that have not sent a request; when none does, the new connection is
    /// refused.
    pub(super) async fn admit(&mut self) -> Option<Arc<Connection>> {
        loop {
            self.open.retain(|connection| connection.strong_count() > 0);
            if self.open.len() < MAX_CONNECTIONS {
                let connection = Arc::new(Connection::new(self.counters.clone()));
                self.open.push(Arc::downgrade(&connection));
                return Some(connection);
            }
            let Some((since, index)) = self.longest_waiting() else {
                self.counters.refuse(Refused::Limit);
                return None;
            };
            if since.elapsed() < MIN_WAIT {
                sleep_until(since + MIN_WAIT).await;
            } else if let Some(evicted) = self.open.swap_remove(index).upgrade() {
                evicted.enter(&mut evicted.state.lock(), Phase::Evicted);
                self.counters.add_open(-1);
            }
        }
    }

    /// The connection to close for another one, and since when it waits.
    fn longest_waiting(&self) -> Option<(Instant, usize)> {
        let open = self.open.iter().enumerate();
        let waiting = open.filter_map(|(index, connection)| {
            let (has_requested, since) = connection.upgrade()?.waiting()?;
            Some((has_requested, since, index))
        });
        waiting.min().map(|(_, since, index)| (since, index))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::{
        Connection, Connections, HEADER_TIMEOUT, IDLE_TIMEOUT, MAX_CONNECTIONS, MIN_WAIT,
        REQUEST_TIMEOUT, WRITE_TIMEOUT,
    };
    use crate::metric::Labels;
    use crate::publish::server::counters::{Http, Refused};

    fn connections() -> Connections {
        Connections::new(Http::new(&Labels::empty()))
    }

    async fn fill(connections: &mut Connections, count: usize) -> Vec<Arc<Connection>> {
        let mut open = Vec::new();
        for _ in 0..count {
            let connection = connections.admit().await.unwrap();
            connection.established();
            open.push(connection);
        }
        open
    }

    /// When and why it is closed if nothing more happens.
    async fn closed(connection: &Connection) -> (Duration, Option<Refused>) {
        let start = Instant::now();
        let reason = connection.expired().await;
        (start.elapsed(), reason)
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_limit_the_longest_wait_for_a_first_request_ends_before_any_other() {
        let mut connections = connections();
        let idle = fill(&mut connections, 1).await.remove(0);
        idle.request_began();
        idle.answered();
        idle.flushed();
        advance(Duration::from_secs(1)).await;
        let silent = fill(&mut connections, 1).await.remove(0);
        advance(Duration::from_secs(1)).await;
        let others = fill(&mut connections, MAX_CONNECTIONS - 2).await;
        let fresh = connections.admit().await.unwrap();
        assert_eq!(silent.expired().await, Some(Refused::Evicted));
        for open in others.iter().chain([&idle, &fresh]) {
            assert!(open.deadline().0 > Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_not_cut_off_for_another_connection_unless_its_client_is_stuck()
    {
        let mut connections = connections();
        let open = fill(&mut connections, MAX_CONNECTIONS).await;
        for connection in &open {
            connection.request_began();
        }
        assert!(connections.admit().await.is_none());
        open[7].write_blocked();
        assert!(connections.admit().await.is_some());
        assert_eq!(open[7].expired().await, Some(Refused::Evicted));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_connections_leaves_each_some_time_to_send_its_request() {
        let mut connections = connections();
        let open = fill(&mut connections, MAX_CONNECTIONS).await;
        let start = Instant::now();
        let fresh = connections.admit().await.unwrap();
        assert!(start.elapsed() >= MIN_WAIT);
        let evicted = open.iter().filter(|one| one.deadline().0 <= Instant::now());
        assert_eq!(evicted.count(), 1);
        assert!(fresh.deadline().0 > Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ended_leaves_its_place() {
        let mut connections = connections();
        let mut open = fill(&mut connections, MAX_CONNECTIONS).await;
        for connection in &open {
            connection.request_began();
        }
        open.pop();
        assert!(connections.admit().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_to_come_in_time_however_often_a_byte_comes() {
        let connection = fill(&mut connections(), 1).await.remove(0);
        for _ in 0..3 {
            advance(HEADER_TIMEOUT / 4).await;
            connection.received();
        }
        let expected = (HEADER_TIMEOUT / 4, Some(Refused::HeaderTimeout));
        assert_eq!(closed(&connection).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_late_and_not_counted_unless_a_head_begins() {
        let connection = fill(&mut connections(), 1).await.remove(0);
        connection.request_began();
        connection.answered();
        connection.flushed();
        assert_eq!(closed(&connection).await, (IDLE_TIMEOUT, None));
        connection.received();
        let expected = (HEADER_TIMEOUT, Some(Refused::HeaderTimeout));
        assert_eq!(closed(&connection).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_closed_and_one_that_takes_little_has_a_limit_too() {
        let connection = fill(&mut connections(), 1).await.remove(0);
        connection.request_began();
        connection.answered();
        connection.write_blocked();
        let expected = (WRITE_TIMEOUT, Some(Refused::SlowReader));
        assert_eq!(closed(&connection).await, expected);
        connection.request_began();
        let started = Instant::now();
        while started.elapsed() < REQUEST_TIMEOUT - WRITE_TIMEOUT {
            advance(WRITE_TIMEOUT / 2).await;
            connection.wrote();
            connection.write_blocked();
        }
        assert_eq!(connection.expired().await, Some(Refused::RequestTimeout));
        assert_eq!(started.elapsed(), REQUEST_TIMEOUT);
    }
}
