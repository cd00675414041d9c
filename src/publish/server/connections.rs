//! Who is connected, how far each has got, and who has to go when the place is needed.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counters::{Http, Refused};

/// Connections open at once.
pub(super) const MAX_CONNECTIONS: usize = 256;
/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time to send the head of a request, from its first byte or from the connection.
const HEAD: Duration = Duration::from_secs(10);
/// Time from the head of a request to the end of its answer.
const REQUEST: Duration = Duration::from_secs(60);
/// Time that a connection may wait for its next request; longer than any usual scrape interval.
const IDLE: Duration = Duration::from_secs(150);
/// Time to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// Time in which a client that does not keep up has to take [`PROGRESS`] bytes.
const STALL: Duration = Duration::from_secs(10);
/// Bytes that count as progress.
const PROGRESS: u64 = 16 * 1024;
/// An answer that has taken this long may be cut off for another connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far a connection has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// TLS is being set up.
    Handshake,
    /// The head of a request is awaited or has begun.
    Head,
    /// A request is being answered.
    Answering,
    /// Between requests.
    Idle,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Requests being answered.
    active: usize,
    /// Bytes of answers that wait to be taken.
    held: usize,
    written: u64,
    /// Since when and from which byte on the client does not keep up.
    stalled: Option<(Instant, u64)>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    from: IpAddr,
    state: Mutex<State>,
    closed: CancellationToken,
    retired: CancellationToken,
    why: OnceLock<Refused>,
}

impl Connection {
    fn new(from: IpAddr, now: Instant) -> Self {
        Self {
            from,
            state: Mutex::new(State {
                phase: Phase::Handshake,
                since: now,
                active: 0,
                held: 0,
                written: 0,
                stalled: None,
            }),
            closed: CancellationToken::new(),
            retired: CancellationToken::new(),
            why: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it comes from.
    pub(super) fn from(&self) -> IpAddr {
        self.from
    }

    /// Completes when it is to be dropped at once.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// Completes when it is to end after what it is doing.
    pub(super) fn retired(&self) -> &CancellationToken {
        &self.retired
    }

    /// Why it was closed, when it was.
    pub(super) fn why(&self) -> Option<Refused> {
        self.why.get().copied()
    }

    /// Drops it for this reason; the first reason counts.
    pub(super) fn close(&self, why: Refused) {
        self.why.get_or_init(|| why);
        self.closed.cancel();
    }

    /// TLS is set up, or there is none.
    pub(super) fn established(&self) {
        let mut state = self.state();
        (state.phase, state.since) = (Phase::Head, Instant::now());
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            (state.phase, state.since) = (Phase::Head, Instant::now());
        }
    }

    /// A request came; the guard ends with its answer.
    pub(super) fn began(self: &Arc<Self>) -> Busy {
        let mut state = self.state();
        state.active += 1;
        if state.phase != Phase::Answering {
            (state.phase, state.since) = (Phase::Answering, Instant::now());
        }
        Busy(Arc::clone(self))
    }

    fn ended(&self) {
        let mut state = self.state();
        state.active = state.active.saturating_sub(1);
        state.since = Instant::now();
        if state.active == 0 {
            state.phase = Phase::Idle;
        }
    }

    /// Nothing more can be written now.
    pub(super) fn blocked(&self) {
        let mut state = self.state();
        let written = state.written;
        state
            .stalled
            .get_or_insert_with(|| (Instant::now(), written));
    }

    /// Bytes were written.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.state();
        state.written += bytes as u64;
        if state
            .stalled
            .is_some_and(|(_, from)| state.written - from >= PROGRESS)
        {
            state.stalled = None;
        }
    }

    /// All that was written is on its way.
    pub(super) fn flushed(&self) {
        self.state().stalled = None;
    }

    /// An answer waits to be taken.
    pub(super) fn holds_more(&self, bytes: usize) {
        self.state().held += bytes;
    }

    /// An answer was taken or given up.
    pub(super) fn holds_less(&self, bytes: usize) {
        let mut state = self.state();
        state.held = state.held.saturating_sub(bytes);
    }

    /// What is wrong with it by now.
    fn overdue(&self, now: Instant) -> Option<Refused> {
        let state = self.state();
        let waited = now.saturating_duration_since(state.since);
        if state
            .stalled
            .is_some_and(|(since, _)| now.saturating_duration_since(since) > STALL)
        {
            return Some(Refused::SlowReader);
        }
        match state.phase {
            Phase::Handshake => (waited > HANDSHAKE).then_some(Refused::HandshakeTimeout),
            Phase::Head => (waited > HEAD).then_some(Refused::HeaderTimeout),
            Phase::Answering => (waited > REQUEST).then_some(Refused::RequestTimeout),
            Phase::Idle => None,
        }
    }

    fn idle(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let waited = now.saturating_duration_since(state.since);
        (state.phase == Phase::Idle).then_some(waited)
    }

    /// How readily it is given up, least first; `None` while it is being answered in time.
    fn rank(&self, now: Instant) -> Option<(u8, Instant)> {
        let state = self.state();
        let late = now.saturating_duration_since(state.since) > PATIENCE;
        let class = match state.phase {
            Phase::Handshake | Phase::Head => 0,
            _ if state.stalled.is_some() => 1,
            Phase::Idle => 2,
            Phase::Answering if late => 3,
            Phase::Answering => return None,
        };
        Some((class, state.since))
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// Every open connection of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    counters: Http,
}

impl Connections {
    /// Nobody yet.
    pub(super) fn new(counters: Http) -> Self {
        Self {
            open: Mutex::default(),
            counters,
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a connection. When every place is taken, one of the address with the most connections goes: the
    /// one that has been sending the head of its request for longest, or that has been idle for longest.
    pub(super) fn admit(self: &Arc<Self>, id: u64, from: IpAddr, now: Instant) -> Option<Member> {
        let mut open = self.open();
        if open.len() >= MAX_CONNECTIONS {
            let Some(victim) = victim(&open, now) else {
                self.counters.refuse(Refused::Limit);
                return None;
            };
            if let Some(victim) = open.remove(&victim) {
                victim.close(Refused::Evicted);
            }
        }
        let connection = Arc::new(Connection::new(from, now));
        open.insert(id, Arc::clone(&connection));
        self.counters.set_open(open.len());
        Some(Member {
            id,
            connection,
            of: Arc::clone(self),
        })
    }

    /// Closes what is overdue and lets go of what has been idle for long.
    pub(super) fn sweep(&self, now: Instant) {
        for connection in self.open().values() {
            if let Some(why) = connection.overdue(now) {
                connection.close(why);
            }
            match connection.idle(now) {
                Some(waited) if waited > IDLE + GOODBYE => connection.closed.cancel(),
                Some(waited) if waited > IDLE => connection.retired.cancel(),
                _ => {}
            }
        }
    }

    /// The one whose answers hold the most memory, and has been at it for longest.
    pub(super) fn holding_most(&self) -> Option<Arc<Connection>> {
        let open = self.open();
        let kept = open.values().filter(|one| one.why().is_none());
        let holding = kept.filter(|one| one.state().held > 0);
        let most = holding.max_by_key(|one| {
            let state = one.state();
            (state.held, Reverse(state.since))
        });
        most.cloned()
    }

    /// Lets every connection end after what it is doing.
    pub(super) fn retire(&self) {
        for connection in self.open().values() {
            connection.retired.cancel();
        }
    }

    fn leave(&self, id: u64, connection: &Connection) {
        let mut open = self.open();
        open.remove(&id);
        self.counters.set_open(open.len());
        drop(open);
        if let Some(why) = connection.why() {
            self.counters.refuse(why);
        }
    }
}

fn victim(open: &HashMap<u64, Arc<Connection>>, now: Instant) -> Option<u64> {
    let mut share: HashMap<IpAddr, usize> = HashMap::new();
    for connection in open.values() {
        *share.entry(connection.from).or_default() += 1;
    }
    let candidates = open.iter().filter_map(|(id, connection)| {
        let (class, since) = connection.rank(now)?;
        let others = MAX_CONNECTIONS.saturating_sub(share[&connection.from]);
        Some((others, class, since, *id))
    });
    candidates.min().map(|(.., id)| id)
}

/// The place of a connection; it is free again when this is dropped, and the reason is counted then.
#[derive(Debug)]
pub(super) struct Member {
    id: u64,
    connection: Arc<Connection>,
    of: Arc<Connections>,
}

impl Member {
    /// The connection.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.of.leave(self.id, &self.connection);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Connections, HEAD, IDLE, MAX_CONNECTIONS, Member, PROGRESS, STALL};
    use crate::metric::Labels;
    use crate::publish::server::counters::{Http, Refused};

    const SCRAPER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn connections() -> Arc<Connections> {
        Arc::new(Connections::new(Http::new(&Labels::empty())))
    }

    fn fill(connections: &Arc<Connections>, from: IpAddr, count: usize) -> Vec<Member> {
        let start = Instant::now();
        let ids = (0..count as u64).map(|index| index + 1000);
        ids.map(|id| {
            let member = connections.admit(id, from, start).unwrap();
            member.connection().established();
            member
        })
        .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_with_the_most_connections_loses_the_one_that_waited_longest() {
        let connections = connections();
        let scraper = connections.admit(1, SCRAPER, Instant::now()).unwrap();
        scraper.connection().established();
        drop(scraper.connection().began());
        tokio::time::advance(Duration::from_secs(1)).await;
        let attacking = fill(&connections, ATTACKER, MAX_CONNECTIONS - 1);
        let another = connections.admit(2, SCRAPER, Instant::now()).unwrap();
        assert!(!scraper.connection().closed().is_cancelled());
        assert!(!another.connection().closed().is_cancelled());
        let gone = |member: &&Member| member.connection().why() == Some(Refused::Evicted);
        assert_eq!(attacking.iter().filter(gone).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_in_time_are_never_cut_off() {
        let connections = connections();
        let members = fill(&connections, ATTACKER, MAX_CONNECTIONS);
        let busy: Vec<_> = members.iter().map(|m| m.connection().began()).collect();
        assert!(connections.admit(1, SCRAPER, Instant::now()).is_none());
        drop(busy);
        assert!(connections.admit(1, SCRAPER, Instant::now()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_to_come_in_time_however_often_a_byte_comes() {
        let connections = connections();
        let member = fill(&connections, SCRAPER, 1).remove(0);
        for _ in 0..3 {
            tokio::time::advance(HEAD / 3).await;
            member.connection().heard();
            connections.sweep(Instant::now());
            assert_eq!(member.connection().why(), None);
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        connections.sweep(Instant::now());
        assert_eq!(member.connection().why(), Some(Refused::HeaderTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_let_go_and_not_counted() {
        let connections = connections();
        let member = fill(&connections, SCRAPER, 1).remove(0);
        drop(member.connection().began());
        tokio::time::advance(IDLE).await;
        connections.sweep(Instant::now());
        assert!(!member.connection().retired().is_cancelled());
        tokio::time::advance(Duration::from_secs(1)).await;
        connections.sweep(Instant::now());
        assert!(member.connection().retired().is_cancelled());
        assert_eq!(member.connection().why(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_too_little_of_an_answer_is_closed() {
        let connections = connections();
        let members = fill(&connections, SCRAPER, 2);
        let taken = [PROGRESS, PROGRESS - 1];
        for (member, taken) in members.iter().zip(taken) {
            member.connection().blocked();
            tokio::time::advance(STALL / 3).await;
            member.connection().began();
            member.connection().wrote(usize::try_from(taken).unwrap());
            member.connection().blocked();
        }
        tokio::time::advance(STALL * 2 / 3).await;
        connections.sweep(Instant::now());
        assert_eq!(members[0].connection().why(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        connections.sweep(Instant::now());
        assert_eq!(members[1].connection().why(), Some(Refused::SlowReader));
    }
}
