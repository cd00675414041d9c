//! The listener and its connections, whatever they are asked.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::super::Error;
use super::super::shared::Shared;
use super::embedded::{Handler, controlled, embedded, health};
use super::routes::{Answer, answer};

/// Connections served at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// Time to send the head of a request, from the connection or the answer before.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;
/// Time for open connections to finish when stopping.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers one request.
type Respond = dyn Fn(Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync;

/// A listener that serves what is shared.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the listener; `:9755` means every interface.
    ///
    /// # Errors
    /// When the address is malformed or in use.
    pub async fn bind(address: &str) -> Result<Self, Error> {
        let all = address
            .strip_prefix(':')
            .map(|port| format!("0.0.0.0:{port}"));
        let target = all.as_deref().unwrap_or(address);
        let listener = TcpListener::bind(target).await.map_err(|source| {
            let address = address.to_owned();
            if source.kind() == io::ErrorKind::AddrInUse {
                Error::InUse(address)
            } else if source.kind() == io::ErrorKind::InvalidInput {
                Error::Address(address)
            } else {
                Error::Listen { address, source }
            }
        })?;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: address.to_owned(),
            source,
        })?;
        info!(%address, "listening");
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the routes until stopped, then lets open connections finish for a moment.
    pub async fn run(self, shared: Arc<Shared>, stop: CancellationToken) {
        let respond = move |request: Request<Incoming>| -> BoxFuture<'static, Answer> {
            if let Some(control) = shared.control(request.uri().path()) {
                return Box::pin(controlled(request, control));
            }
            let answer = answer(&request, &shared);
            Box::pin(std::future::ready(answer))
        };
        self.accept(Arc::new(respond), stop).await;
    }

    /// Serves a handler of the caller's instead of the routes: for embedded servers such as the demo's.
    pub async fn run_with(self, handler: Handler, stop: CancellationToken) {
        let respond = move |request: Request<Incoming>| -> BoxFuture<'static, Answer> {
            Box::pin(embedded(request, Arc::clone(&handler)))
        };
        self.accept(Arc::new(respond), stop).await;
    }

    /// Serves only `/-/healthy` and `/-/ready`, so that the kubelet needs neither password nor certificate.
    pub async fn run_health(self, shared: Arc<Shared>, stop: CancellationToken) {
        let handler: Handler = Arc::new(move |_, path, _| health(path, &shared));
        self.run_with(handler, stop).await;
    }

    async fn accept(self, respond: Arc<Respond>, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = Arc::clone(&slots).acquire_owned() => {
                    let Ok(permit) = permit else { break };
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => break,
                        accepted = self.listener.accept() => accepted.map(|(stream, _)| (stream, permit)),
                    }
                }
            };
            match accepted {
                Ok((stream, permit)) => {
                    let (respond, stop) = (Arc::clone(&respond), stop.clone());
                    connections.spawn(async move {
                        serve(stream, respond, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely; others may be closed meanwhile.
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        let drained = timeout(DRAIN, async {
            while connections.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            debug!("connections cut off");
        }
    }
}

async fn serve(stream: TcpStream, respond: Arc<Respond>, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = respond(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}
