//! A line that shows how far it is, for a person at a terminal; pipes and files never see it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

/// How often the line is drawn again.
const EVERY: Duration = Duration::from_millis(100);
const WIDTH: usize = 30;

/// The line.
#[derive(Debug)]
pub(in crate::cli) struct Progress {
    shown: bool,
    last: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// A line on standard error when that is a terminal.
    pub(in crate::cli) fn new() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
            last: None,
            drawn: false,
        }
    }

    /// So much of so much is done.
    pub(in crate::cli) fn show(&mut self, what: &str, done: u64, all: u64) {
        if !self.shown || self.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        self.drawn = true;
        let line = bar(what, done, all);
        // A terminal that went away does not stop the work.
        write!(io::stderr().lock(), "\r\x1b[K{line}").ok();
    }

    /// Takes the line away.
    pub(in crate::cli) fn clear(&mut self) {
        if self.drawn {
            write!(io::stderr().lock(), "\r\x1b[K").ok();
            self.drawn = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(what: &str, done: u64, all: u64) -> String {
    let all = all.max(1);
    let done = done.min(all);
    let filled = usize::try_from(u128::from(done) * WIDTH as u128 / u128::from(all)).unwrap_or(0);
    let percent = u128::from(done) * 100 / u128::from(all);
    format!(
        "{what} {}{} {percent:3} %",
        "█".repeat(filled),
        "░".repeat(WIDTH - filled)
    )
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_is_as_long_as_the_work_is_done() {
        assert_eq!(bar("x", 0, 0), format!("x {}   0 %", "░".repeat(30)));
        assert_eq!(
            bar("x", 3, 6),
            format!("x {}{}  50 %", "█".repeat(15), "░".repeat(15))
        );
        assert_eq!(bar("x", 9, 6), format!("x {} 100 %", "█".repeat(30)));
    }
}
