//! One connection from its first byte to its last: TLS, then HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::connections::{Connection, Member};
use super::counters::{Http, Refused, Rejected};
use super::frames::{Frames, MAX_HEAD};
use super::gate::Gate;
use super::held::Held;
use super::io::Watched;

/// HTTP/2 streams at once on a connection. Prometheus uses one, a browser a few.
const MAX_STREAMS: u32 = 16;
/// Time for a request and its answer on an HTTP/2 stream, which may be blocked while its connection is not.
const STREAM: Duration = Duration::from_secs(20);
/// Bytes of one answer that wait to be sent on an HTTP/2 connection.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Resets on our side, for frames of streams that are gone, before the connection ends.
const MAX_LOCAL_RESETS: usize = 100;
/// Time between pings, which find clients that are gone.
const PING: Duration = Duration::from_secs(30);

/// Time to take in why a connection is refused.
const LINGER: Duration = Duration::from_millis(500);
/// What is said to whoever speaks plain HTTP where TLS is spoken.
const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 41\r\nConnection: close\r\n\r\nthis is an https server, use https://...\n";

/// Serves a connection until its end, its eviction or its deadline.
pub(super) async fn serve(
    stream: TcpStream,
    member: Member,
    gate: Arc<Gate>,
    stop: CancellationToken,
) {
    let connection = member.connection();
    tokio::select! {
        biased;
        () = connection.closed().cancelled() => debug!(why = ?connection.why(), "connection closed"),
        () = converse(stream, connection, &gate, stop) => {}
    }
}

async fn converse(
    stream: TcpStream,
    connection: &Arc<Connection>,
    gate: &Arc<Gate>,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "connection ended");
        return;
    }
    let Some(acceptor) = gate.acceptor() else {
        connection.established();
        return over_http1(stream, connection, gate, stop).await;
    };
    let stream = match first_byte(&stream).await {
        Some(first) if first.is_ascii_uppercase() => {
            linger(stream, NO_TLS).await;
            return connection.close(Refused::Handshake);
        }
        Some(_) => stream,
        None => return,
    };
    let stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((error, stream)) => {
            debug!(%error, "TLS handshake failed");
            linger(stream, b"").await;
            return connection.close(Refused::Handshake);
        }
    };
    connection.established();
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if is_http2 {
        Box::pin(over_http2(stream, connection, gate, stop)).await;
    } else {
        Box::pin(over_http1(stream, connection, gate, stop)).await;
    }
}

/// The first byte, left to be read; none when the client goes away before it.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut first = [0];
    let count = stream.peek(&mut first).await.ok()?;
    (count > 0).then_some(first[0])
}

/// Says a last word and hangs up, but listens for a moment: a socket closed with bytes unread takes back what was
/// said, and the client would never learn why.
async fn linger(mut stream: TcpStream, word: &[u8]) {
    let goodbye = async {
        stream.write_all(word).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    if let Ok(Err(error)) = timeout(LINGER, goodbye).await {
        debug!(%error, "connection ended");
    }
}

/// Completes when the connection should end after what it is doing.
async fn goodbye(connection: &Connection, stop: &CancellationToken) {
    tokio::select! {
        () = connection.retired().cancelled() => {}
        () = stop.cancelled() => {}
    }
}

async fn answer(
    request: Request<Incoming>,
    gate: Arc<Gate>,
    connection: Arc<Connection>,
) -> Result<Response<Held>, Infallible> {
    Ok(gate.answer(request, &connection).await)
}

async fn over_http1<S>(
    stream: S,
    connection: &Arc<Connection>,
    gate: &Arc<Gate>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(connection), None));
    let service = service_fn(|request| answer(request, Arc::clone(gate), Arc::clone(connection)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // The sweep over all connections watches over the time.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .serve_connection(stream, service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = goodbye(connection, &stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    let Err(error) = ended else { return };
    debug!(%error, "connection ended");
    if error.is_parse_too_large() {
        gate.counters().reject(Rejected::HeaderTooLarge);
    } else if error.is_parse() {
        gate.counters().reject(Rejected::Malformed);
    }
}

async fn over_http2<S>(
    stream: S,
    connection: &Arc<Connection>,
    gate: &Arc<Gate>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let frames = Frames::new(Instant::now());
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(connection), Some(frames)));
    let service = service_fn({
        let (gate, connection) = (Arc::clone(gate), Arc::clone(connection));
        move |request| answer(request, Arc::clone(&gate), Arc::clone(&connection))
    });
    let streams = Streams::new(gate.counters().clone());
    let _ending = streams.ended.clone().drop_guard();
    let serving = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .keep_alive_interval(PING)
        .serve_connection(stream, service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = goodbye(connection, &stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    let Err(error) = ended else { return };
    debug!(%error, "connection ended");
    // Without a reason of ours, and not because the client went away.
    if connection.why().is_none() && error.to_string().starts_with("http2 error") {
        connection.close(Refused::Protocol);
    }
}

/// Runs the streams of one HTTP/2 connection, each for so long, none longer than the connection.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    ended: CancellationToken,
    counters: Http,
}

impl Streams {
    fn new(counters: Http) -> Self {
        Self {
            tasks: TaskTracker::new(),
            ended: CancellationToken::new(),
            counters,
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (ended, counters) = (self.ended.clone(), self.counters.clone());
        self.tasks.spawn(async move {
            let limited = timeout(STREAM, Box::pin(stream));
            if let Some(Err(_)) = ended.run_until_cancelled(limited).await {
                counters.reject(Rejected::StreamTimeout);
            }
        });
    }
}
