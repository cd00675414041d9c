//! A progress bar on standard error, drawn only on a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

/// Least time between two redraws.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// Length of the bar in characters.
const WIDTH: usize = 30;

/// The bar.
#[derive(Debug)]
pub(super) struct Progress {
    on_terminal: bool,
    last_drawn: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// A bar that is not drawn yet.
    pub(super) fn new() -> Self {
        Self {
            on_terminal: io::stderr().is_terminal(),
            last_drawn: None,
            drawn: false,
        }
    }

    /// Shows that `done` of `total` units of `task` are done.
    pub(super) fn show(&mut self, task: &str, done: u64, total: u64) {
        let is_recent = |last: Instant| last.elapsed() < REDRAW_INTERVAL;
        if !self.on_terminal || self.last_drawn.is_some_and(is_recent) {
            return;
        }
        self.last_drawn = Some(Instant::now());
        self.drawn = true;
        let line = bar(task, done, total);
        // A closed terminal does not stop the work.
        write!(io::stderr().lock(), "\r\x1b[K{line}").ok();
    }

    /// Erases the bar.
    pub(super) fn clear(&mut self) {
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

fn bar(task: &str, done: u64, total: u64) -> String {
    let total = total.max(1);
    let done = done.min(total);
    let filled = usize::try_from(u128::from(done) * WIDTH as u128 / u128::from(total)).unwrap_or(0);
    let percent = u128::from(done) * 100 / u128::from(total);
    format!(
        "{task} {}{} {percent:3} %",
        "█".repeat(filled),
        "░".repeat(WIDTH - filled)
    )
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_is_filled_in_proportion_to_the_work_done() {
        assert_eq!(bar("x", 0, 0), format!("x {}   0 %", "░".repeat(30)));
        assert_eq!(
            bar("x", 3, 6),
            format!("x {}{}  50 %", "█".repeat(15), "░".repeat(15))
        );
        assert_eq!(bar("x", 9, 6), format!("x {} 100 %", "█".repeat(30)));
    }
}
