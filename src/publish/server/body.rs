//! Requests for a control or for a server with one handler. The body is read only when the handler
//! asks for it, so that a request that is refused by its head costs no memory.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::super::control::{Call, Credentials};
use super::super::query::Query;
use super::counters::{Http, Rejected};
use super::gate::{explained, header};
use super::reply::Reply;

/// Largest body that is read, in bytes.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// The path of Alertmanager's webhook, the only one whose body is read in pieces: Alertmanager sends
/// all alerts of a group at once.
pub(crate) const NOTIFICATIONS: &str = "/api/v1/alertmanager";
/// Largest body that is read in pieces, in bytes.
pub(super) const MAX_IN_PIECES: usize = 32 * MAX_BODY;
/// Bytes of all bodies that are held at once.
const MAX_HELD: usize = 8 * MAX_BODY;
/// First allocation for a body, in bytes; Alertmanager's notifications are usually smaller.
const FIRST_PIECE: usize = 8 * 1024;
/// Time for a client to send the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request, given its method, path and body.
pub(crate) type Handler = Arc<dyn Fn(&str, &str, &[u8]) -> Reply + Send + Sync>;

/// The memory for the bodies of one listener's requests; clones share it.
#[derive(Clone)]
pub(super) struct Bodies {
    /// One permit for each byte.
    free: Arc<Semaphore>,
    counters: Http,
}

impl Bodies {
    /// All of it is free.
    pub(super) fn new(counters: Http) -> Self {
        Self {
            free: Arc::new(Semaphore::new(MAX_HELD)),
            counters,
        }
    }

    /// Counts a body that is not read. Returns the reply to its client.
    fn refuse(&self, unread: &Unread) -> Reply {
        let rejected = match unread {
            Unread::Cut => return Reply::text(400, "the body was cut\n"),
            Unread::TooLarge => Rejected::BodyTooLarge,
            Unread::TimedOut => Rejected::BodyTimeout,
            Unread::NoRoom => Rejected::BodyBudget,
        };
        self.counters.reject(rejected);
        let (status, text) = explained(rejected);
        Reply::text(status, text)
    }

    /// The request as a call whose body is still to be read.
    pub(super) fn call(&self, request: Request<Incoming>) -> Call {
        Call {
            method: request.method().as_str().to_owned(),
            path: request.uri().path().to_owned(),
            query: Query::parse(request.uri().query()),
            content_type: header(&request, &CONTENT_TYPE).to_owned(),
            authorization: Credentials(header(&request, &AUTHORIZATION).to_owned()),
            body: Body {
                incoming: request.into_body(),
                bodies: self.clone(),
            },
        }
    }
}

/// The body of a request, of which nothing is read yet. Dropping it closes the connection after the
/// answer, unless the client has sent no body.
pub struct Body {
    incoming: Incoming,
    bodies: Bodies,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

impl Body {
    /// Reads the body: at most 1 MiB, within 10 s.
    ///
    /// # Errors
    /// The reply to the client, if the body cannot be read or the bodies of other requests leave no
    /// room for it.
    pub(crate) async fn read(self) -> Result<Received, Reply> {
        self.take(true).await
    }

    /// Reads the body piece by piece: at most 32 MiB, within 10 s of waiting.
    pub(crate) fn in_pieces(self) -> Pieces {
        Pieces {
            body: self,
            size: 0,
            waited: Duration::ZERO,
            held: None,
        }
    }

    /// Reads the body under the same limits and keeps nothing of it.
    ///
    /// # Errors
    /// The reply to the client, if the body cannot be read.
    pub(crate) async fn discard(self) -> Result<(), Reply> {
        self.take(false).await.map(drop)
    }

    async fn take(mut self, keep: bool) -> Result<Received, Reply> {
        let taken = timeout(BODY_TIMEOUT, self.frames(keep)).await;
        let taken = taken.unwrap_or(Err(Unread::TimedOut));
        taken.map_err(|unread| self.bodies.refuse(&unread))
    }

    /// The next bytes of the body; `None` at the end.
    async fn data(&mut self) -> Result<Option<Bytes>, Unread> {
        while let Some(frame) = self.incoming.frame().await {
            // Frames without data are trailers.
            if let Ok(data) = frame.map_err(|_| Unread::Cut)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    async fn frames(&mut self, keep: bool) -> Result<Received, Unread> {
        let mut received = Received::default();
        let mut size = 0;
        while let Some(data) = self.data().await? {
            size += data.len();
            if size > MAX_BODY {
                return Err(Unread::TooLarge);
            }
            if keep {
                received.push(&data, &self.bodies.free)?;
            }
        }
        Ok(received)
    }
}

/// A body that is read piece by piece.
pub(crate) struct Pieces {
    body: Body,
    /// Bytes that have arrived.
    size: usize,
    /// Time spent waiting for the client.
    waited: Duration,
    /// The largest number of bytes that were held at once.
    held: Option<OwnedSemaphorePermit>,
}

impl Pieces {
    /// The next piece; `None` at the end. `kept` is the number of bytes that the caller still holds of
    /// earlier pieces: they count against the limit of all bodies, like the piece itself.
    ///
    /// # Errors
    /// The reply to the client, if the body cannot be read or the bodies of other requests leave no
    /// room for it.
    pub(crate) async fn next(&mut self, kept: usize) -> Result<Option<Bytes>, Reply> {
        let piece = self.piece(kept).await;
        piece.map_err(|unread| self.body.bodies.refuse(&unread))
    }

    async fn piece(&mut self, kept: usize) -> Result<Option<Bytes>, Unread> {
        let begin = Instant::now();
        let rest = BODY_TIMEOUT.saturating_sub(self.waited);
        let data = timeout(rest, self.body.data()).await;
        self.waited += begin.elapsed();
        let Some(data) = data.map_err(|_| Unread::TimedOut)?? else {
            return Ok(None);
        };
        self.size += data.len();
        if self.size > MAX_IN_PIECES {
            return Err(Unread::TooLarge);
        }
        let needed = (kept + data.len()).next_multiple_of(FIRST_PIECE);
        hold(&mut self.held, needed, &self.body.bodies.free)?;
        Ok(Some(data))
    }
}

/// Takes room for as many bytes, unless that many are held already.
fn hold(
    held: &mut Option<OwnedSemaphorePermit>,
    bytes: usize,
    free: &Arc<Semaphore>,
) -> Result<(), Unread> {
    let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let more = u32::try_from(bytes.saturating_sub(has)).map_err(|_| Unread::NoRoom)?;
    let permit = Arc::clone(free).try_acquire_many_owned(more);
    let permit = permit.map_err(|_| Unread::NoRoom)?;
    match held {
        Some(held) => held.merge(permit),
        None => *held = Some(permit),
    }
    Ok(())
}

/// Why a body is not read.
#[derive(Debug)]
enum Unread {
    Cut,
    TooLarge,
    TimedOut,
    NoRoom,
}

/// A body in memory; its bytes count against the limit of all bodies until it is dropped.
#[derive(Default)]
pub(crate) struct Received {
    bytes: Vec<u8>,
    /// As many as the capacity of `bytes`.
    held: Option<OwnedSemaphorePermit>,
}

impl Received {
    fn push(&mut self, data: &[u8], free: &Arc<Semaphore>) -> Result<(), Unread> {
        let needed = self.bytes.len() + data.len();
        let capacity = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        if needed > capacity {
            let grown = needed.max(2 * capacity).clamp(FIRST_PIECE, MAX_BODY);
            hold(&mut self.held, grown, free)?;
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::{FIRST_PIECE, MAX_BODY, MAX_HELD, Received, Unread};

    #[test]
    fn bodies_take_their_bytes_from_one_budget_and_give_them_back() {
        let free = Arc::new(Semaphore::new(MAX_HELD));
        let piece = vec![b'a'; 10_000];
        let mut held = Vec::new();
        loop {
            let mut received = Received::default();
            let mut fits = true;
            while fits && received.len() + piece.len() <= MAX_BODY {
                fits = received.push(&piece, &free).is_ok();
            }
            held.push(received);
            if !fits {
                break;
            }
        }
        let bytes: usize = held.iter().map(|received| received.bytes.capacity()).sum();
        assert!(bytes <= MAX_HELD, "{bytes} bytes are held");
        assert_eq!(held.len(), MAX_HELD / MAX_BODY + 1);
        drop(held);
        assert_eq!(free.available_permits(), MAX_HELD);
    }

    #[test]
    fn a_small_body_takes_little_and_one_without_room_nothing() {
        let free = Arc::new(Semaphore::new(FIRST_PIECE + 1));
        let mut small = Received::default();
        small.push(b"{}", &free).unwrap();
        assert_eq!(free.available_permits(), 1);
        let mut other = Received::default();
        assert!(matches!(other.push(b"{}", &free), Err(Unread::NoRoom)));
        assert_eq!((&*small, &*other), (&b"{}"[..], &b""[..]));
    }
}
