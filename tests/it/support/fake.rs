//! An HTTP server with configurable network failures.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// No process listens.
    Refused,
    /// Connections are reset when they are opened.
    Reset,
    /// The request is read and never answered.
    Hang,
    /// The response arrives byte by byte.
    Slow,
    /// Every request gets this status.
    Status(u16),
    /// Bytes that are neither HTTP nor TLS.
    Garbage,
}

/// Builds the body of each response to a GET.
type Answer = Arc<dyn Fn() -> String + Send + Sync>;

/// A request that was answered with success.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A server on the loopback; it ends with the test.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    fault: watch::Sender<Fault>,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    answer: Answer,
    received: Mutex<Vec<Received>>,
    attempts: Mutex<usize>,
}

impl Fake {
    pub(crate) async fn start(answer: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, mode) = watch::channel(Fault::None);
        let state = Arc::new(State {
            answer: Arc::new(answer),
            received: Mutex::default(),
            attempts: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, address, mode, Arc::clone(&state)));
        Self {
            address,
            fault,
            state,
            _tasks: tasks,
        }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// All opened connections, failed ones included.
    pub(crate) fn attempts(&self) -> usize {
        *self.state.attempts.lock().unwrap()
    }
}

async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    mut fault: watch::Receiver<Fault>,
    state: Arc<State>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let now = *fault.borrow_and_update();
        if now == Fault::Refused {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = fault.changed() => if changed.is_err() { return },
            accepted = accepted => if let Some((stream, _)) = accepted {
                *state.attempts.lock().unwrap() += 1;
                connections.spawn(serve(stream, now, Arc::clone(&state)));
            },
        }
    }
}

/// Serves one request per connection.
async fn serve(mut stream: TcpStream, fault: Fault, state: Arc<State>) {
    match fault {
        Fault::Reset => {
            if let Err(error) = stream.set_zero_linger() {
                eprintln!("no reset: {error}");
            }
        }
        Fault::Garbage => drop(
            stream
                .write_all(b"\x15\x03\x01\x00\x02\x02\x46nonsense\r\n\r\n")
                .await,
        ),
        Fault::Hang => {
            drop(read(&mut stream).await);
            std::future::pending::<()>().await;
        }
        Fault::None | Fault::Refused => {
            let Some(request) = read(&mut stream).await else {
                return;
            };
            let body = if request.head.starts_with("GET") {
                (state.answer)()
            } else {
                state.received.lock().unwrap().push(request);
                "{}".to_owned()
            };
            drop(stream.write_all(answer(200, &body).as_bytes()).await);
        }
        Fault::Status(status) => {
            if read(&mut stream).await.is_some() {
                drop(stream.write_all(answer(status, "no").as_bytes()).await);
            }
        }
        Fault::Slow => {
            if read(&mut stream).await.is_none() {
                return;
            }
            for byte in answer(200, &(state.answer)()).into_bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 8192];
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            let method = text.lines().next()?.to_owned();
            return Some(Received {
                head: format!("{method}\n{head}"),
                body: body.to_owned(),
            });
        }
    }
}
