//! One connection from its first byte to its last: TLS, then HTTP/1.1.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::connection::Connection;
use super::counters::{Refused, Rejected};
use super::gate::Gate;
use super::stream::Tracked;

/// Bytes of a request's head.
const MAX_HEAD: usize = 32 * 1024;
/// Time for a client to read why its connection is refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);
/// Answer to plain HTTP where TLS is expected.
const TLS_EXPECTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 41\r\nConnection: close\r\n\r\nthis is an https server, use https://...\n";

/// Serves a connection until its end, its eviction or its deadline.
pub(super) async fn serve(
    stream: TcpStream,
    from: SocketAddr,
    connection: Arc<Connection>,
    gate: Arc<Gate>,
) {
    let from = from.ip().to_canonical();
    let reason = tokio::select! {
        biased;
        reason = connection.expired() => reason,
        ended = converse(stream, from, &connection, &gate) => ended.err(),
    };
    if let Some(reason) = reason {
        debug!(?reason, "connection closed");
        gate.counters.refuse(reason);
    }
}

async fn converse(
    stream: TcpStream,
    from: IpAddr,
    connection: &Connection,
    gate: &Gate,
) -> Result<(), Refused> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "connection ended");
        return Ok(());
    }
    let (tls, stop) = gate.web.active().tls();
    let Some(tls) = tls else {
        over_http1(stream, from, connection, gate, stop).await;
        return Ok(());
    };
    match first_byte(&stream).await {
        Some(first) if first.is_ascii_uppercase() => {
            refuse(stream, TLS_EXPECTED).await;
            return Err(Refused::Handshake);
        }
        Some(_) => {}
        None => return Ok(()),
    }
    match tls.accept(stream).into_fallible().await {
        Ok(stream) => Box::pin(over_http1(stream, from, connection, gate, stop)).await,
        Err((error, stream)) => {
            debug!(%error, "TLS handshake failed");
            refuse(stream, b"").await;
            return Err(Refused::Handshake);
        }
    }
    Ok(())
}

/// The first byte, left to be read; none when the client goes away before it.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut first = [0];
    let count = stream.peek(&mut first).await.ok()?;
    (count > 0).then_some(first[0])
}

/// Sends a last message and closes, but reads on for a moment: closing a socket with unread bytes
/// resets the connection, and the client would lose the message.
async fn refuse(mut stream: TcpStream, message: &[u8]) {
    let closing = async {
        stream.write_all(message).await?;
        stream.shutdown().await?;
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    if let Ok(Err(error)) = timeout(REFUSAL_TIMEOUT, closing).await {
        debug!(%error, "connection ended");
    }
}

async fn over_http1<S>(
    stream: S,
    from: IpAddr,
    connection: &Connection,
    gate: &Gate,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    connection.established();
    let service = service_fn(async |request| {
        connection.request_began();
        let answer = gate.answer(request, from).await;
        connection.answered();
        Ok::<_, Infallible>(answer)
    });
    let serving = http1::Builder::new()
        // The deadlines of the connection cover this; hyper's would end idle connections too.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Tracked::new(stream, connection)), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    let Err(error) = ended else { return };
    debug!(%error, "connection ended");
    if error.is_parse_too_large() {
        gate.counters.reject(Rejected::HeaderTooLarge);
    } else if error.is_parse() {
        gate.counters.reject(Rejected::Malformed);
    }
}
