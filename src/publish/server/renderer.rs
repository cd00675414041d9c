//! Renders pages off the thread that keeps the ticks, one at a time, and hands one rendering to
//! every client that waits for it.

use std::sync::Arc;

use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ACCEPT_ENCODING};
use hyper::{HeaderMap, Method, Request, Uri};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::super::shared::Shared;
use super::super::snapshot::Snapshot;
use super::gate::{ForeignHost, header};
use super::reply::{Answer, Reply, assemble};
use super::routes;

/// Bytes of answers that are kept for the clients that come before the next tick.
const MAX_KEPT: usize = 16 * 1024 * 1024;
/// Answers that are kept.
const MAX_ANSWERS: usize = 32;

/// What an answer depends on besides the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) uri: Uri,
    /// The header `Accept`, for the only path that negotiates.
    pub(super) accept: String,
    pub(super) gzip: bool,
    /// Whether the host of the request is none of ours, so that the configuration is left out.
    pub(super) foreign: bool,
}

impl Asked {
    fn of(request: &Request<Incoming>) -> Self {
        let uri = request.uri().clone();
        let negotiates = uri.path() == "/metrics";
        let accept = if negotiates {
            header(request, &ACCEPT)
        } else {
            ""
        };
        Self {
            accept: accept.to_owned(),
            gzip: routes::accepts_gzip(header(request, &ACCEPT_ENCODING)),
            foreign: request.extensions().get::<ForeignHost>().is_some(),
            uri,
        }
    }
}

/// An answer that can be sent more than once.
#[derive(Debug, Clone)]
pub(super) struct Rendered {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Debug)]
struct Kept {
    asked: Asked,
    /// When rendering began: a client that came before gets it too.
    started: Instant,
    rendered: Rendered,
}

/// The answers of one snapshot.
#[derive(Debug, Default)]
struct Cache {
    snapshot: Arc<Snapshot>,
    answers: Vec<Kept>,
}

impl Cache {
    fn follow(&mut self, snapshot: &Arc<Snapshot>) {
        if !Arc::ptr_eq(&self.snapshot, snapshot) {
            self.snapshot = Arc::clone(snapshot);
            self.answers.clear();
        }
    }

    /// The answer for a client that asked at `arrived`. Counters change between ticks, so an older
    /// page of `/metrics` does not do.
    fn find(&self, asked: &Asked, arrived: Instant) -> Option<Rendered> {
        let found = self.answers.iter().find(|kept| kept.asked == *asked)?;
        let is_fresh = asked.uri.path() != "/metrics" || found.started >= arrived;
        is_fresh.then(|| found.rendered.clone())
    }

    fn keep(&mut self, kept: Kept) {
        self.answers.retain(|other| other.asked != kept.asked);
        self.answers.push(kept);
        let mut bytes: usize = self
            .answers
            .iter()
            .map(|kept| kept.rendered.body.len())
            .sum();
        while bytes > MAX_KEPT || self.answers.len() > MAX_ANSWERS {
            bytes -= self.answers.remove(0).rendered.body.len();
        }
    }
}

/// Answers requests from what is shared.
#[derive(Debug)]
pub(super) struct Renderer {
    shared: Arc<Shared>,
    cache: Mutex<Cache>,
    /// Held while `/metrics` is rendered, so that no other page delays a scrape.
    metrics: Semaphore,
    /// Held while another page is rendered.
    pages: Semaphore,
}

impl Renderer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            cache: Mutex::default(),
            metrics: Semaphore::new(1),
            pages: Semaphore::new(1),
        }
    }

    /// Answers a request; health and readiness at once.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if let Some(reply) = routes::at_once(&request, &self.shared) {
            return reply;
        }
        let asked = Asked::of(&request);
        let is_head = request.method() == Method::HEAD;
        drop(request);
        let Some(rendered) = self.rendered(asked).await else {
            return Reply::text(500, "the page could not be rendered\n").into();
        };
        let Rendered {
            status,
            headers,
            body,
        } = rendered;
        assemble(status, headers, if is_head { Bytes::new() } else { body })
    }

    async fn rendered(&self, asked: Asked) -> Option<Rendered> {
        let arrived = Instant::now();
        if let Some(found) = self.find(&asked, arrived) {
            return Some(found);
        }
        let slot = if asked.uri.path() == "/metrics" {
            &self.metrics
        } else {
            &self.pages
        };
        let _slot = slot.acquire().await.ok()?;
        // Another client may have waited for the same.
        if let Some(found) = self.find(&asked, arrived) {
            return Some(found);
        }
        let started = Instant::now();
        let snapshot = self.shared.snapshot();
        let (shared, wanted) = (Arc::clone(&self.shared), asked.clone());
        let rendered = spawn_blocking(move || routes::render(&wanted, &shared))
            .await
            .ok()?;
        let mut cache = self.cache.lock();
        cache.follow(&snapshot);
        cache.keep(Kept {
            asked,
            started,
            rendered: rendered.clone(),
        });
        Some(rendered)
    }

    fn find(&self, asked: &Asked, arrived: Instant) -> Option<Rendered> {
        let snapshot = self.shared.snapshot();
        let mut cache = self.cache.lock();
        cache.follow(&snapshot);
        cache.find(asked, arrived)
    }
}
