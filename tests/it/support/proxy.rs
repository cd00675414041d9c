//! A proxy between two programs that a test can interrupt.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How the proxy handles connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It forwards them.
    Open,
    /// It closes them at once.
    Closed,
    /// It drops everything in both directions.
    Silent,
}

/// A proxy in front of a server; it ends with the test.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    way: watch::Sender<Way>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts a forwarding proxy from an address to a server; port 0 takes a free one.
    pub(crate) async fn start(address: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, seen) = watch::channel(Way::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, server, seen));
        Self {
            address,
            way,
            _tasks: tasks,
        }
    }

    /// Sets the mode; closes open connections.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn listen(listener: TcpListener, server: SocketAddr, mut way: watch::Receiver<Way>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            changed = way.changed() => {
                if changed.is_err() {
                    return;
                }
                connections.abort_all();
            }
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                match *way.borrow() {
                    Way::Open => drop(connections.spawn(lead(stream, server))),
                    Way::Closed => {}
                    Way::Silent => drop(connections.spawn(hold(stream))),
                }
            },
        }
    }
}

async fn lead(mut stream: TcpStream, server: SocketAddr) {
    if let Ok(mut other) = TcpStream::connect(server).await {
        drop(copy_bidirectional(&mut stream, &mut other).await);
    }
}

async fn hold(_stream: TcpStream) {
    std::future::pending::<()>().await;
}
