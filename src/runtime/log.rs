//! Writes the lines of the log from a thread of its own, so that a reader that stalls, a full disk
//! or a closed pipe costs lines and nothing else.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Bytes of lines that wait to be written; further lines are dropped.
const MAX_WAITING: usize = 256 * 1024;

/// Lines that this process has dropped.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines of the log were dropped since the start: no room, or an error of the system.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

enum Message {
    Line(Vec<u8>),
    /// Answers when every earlier line was written or dropped.
    Flush(SyncSender<()>),
}

/// A writer that never blocks and never fails; clones write to the same place.
#[derive(Clone)]
pub(crate) struct Log {
    messages: Sender<Message>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    dropped: &'static AtomicU64,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::counting(out, &DROPPED)
    }

    fn counting(out: impl Write + Send + 'static, dropped: &'static AtomicU64) -> io::Result<Self> {
        let (messages, queue) = channel();
        let log = Self {
            messages,
            waiting: Arc::default(),
            dropped,
        };
        let waiting = Arc::clone(&log.waiting);
        let work = move || write_all(out, &queue, &waiting, dropped);
        thread::Builder::new().name("log".to_owned()).spawn(work)?;
        Ok(log)
    }

    /// Waits until every line so far is written or dropped, for `timeout` at most.
    pub(crate) fn flush(&self, timeout: Duration) {
        let (done, flushed) = sync_channel(1);
        if self.messages.send(Message::Flush(done)).is_ok() {
            // Too late, or the thread is gone: neither can be reported.
            let _late_or_gone = flushed.recv_timeout(timeout);
        }
    }

    fn push(&self, line: &[u8]) -> bool {
        let waiting = self.waiting.fetch_add(line.len(), Ordering::Relaxed);
        let fits = waiting + line.len() <= MAX_WAITING
            && self.messages.send(Message::Line(line.to_vec())).is_ok();
        if !fits {
            self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
        }
        fits
    }
}

impl Write for Log {
    /// Takes one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.push(line) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines until no `Log` is left.
fn write_all(
    mut out: impl Write,
    queue: &Receiver<Message>,
    waiting: &AtomicUsize,
    dropped: &AtomicU64,
) {
    for message in queue {
        match message {
            Message::Line(line) => {
                if out.write_all(&line).is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
                waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Message::Flush(done) => drop(done.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use parking_lot::Mutex;
    use tokio::time::Instant;

    use super::{Log, MAX_WAITING};

    const SOON: Duration = Duration::from_secs(30);

    /// Keeps what is written; waits while the lock is held from outside; fails if told so.
    #[derive(Clone, Default)]
    struct Out {
        written: Arc<Mutex<Vec<u8>>>,
        full: bool,
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_and_a_flush_waits_for_them() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let out = Out::default();
        let mut log = Log::counting(out.clone(), &DROPPED).unwrap();
        for line in 0..1000 {
            log.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        Log::flush(&log, SOON);
        let expected: String = (0..1000).map(|line| format!("{line}\n")).collect();
        assert_eq!(*out.written.lock(), expected.into_bytes());
        assert_eq!(DROPPED.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let out = Out::default();
        let mut log = Log::counting(out.clone(), &DROPPED).unwrap();
        let stalled = out.written.lock();
        let line = [b'a'; 1024];
        let started = Instant::now();
        for _ in 0..MAX_WAITING / line.len() + 100 {
            log.write_all(&line).unwrap();
        }
        Log::flush(&log, Duration::from_millis(10));
        assert!(started.elapsed() < SOON / 2);
        assert_eq!(DROPPED.load(Ordering::Relaxed), 100);
        drop(stalled);
        Log::flush(&log, SOON);
        log.write_all(b"again").unwrap();
        Log::flush(&log, SOON);
        assert!(out.written.lock().ends_with(b"again"));
    }

    #[test]
    fn a_line_that_is_larger_than_all_room_is_dropped_alone() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let out = Out::default();
        let mut log = Log::counting(out.clone(), &DROPPED).unwrap();
        for line in [vec![b'a'; MAX_WAITING + 1], b"next\n".to_vec()] {
            log.write_all(&line).unwrap();
        }
        Log::flush(&log, SOON);
        assert_eq!(*out.written.lock(), b"next\n");
        assert_eq!(DROPPED.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn lines_that_the_system_refuses_are_counted() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let out = Out {
            full: true,
            ..Out::default()
        };
        let mut log = Log::counting(out, &DROPPED).unwrap();
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        Log::flush(&log, SOON);
        assert_eq!(DROPPED.load(Ordering::Relaxed), 2);
    }
}
