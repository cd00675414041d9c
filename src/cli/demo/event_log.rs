//! Prints the events of the demonstration, and a summary at its end.

use std::collections::BTreeMap;
use std::io::Write as _;

use parking_lot::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::alert::{Alert, AlertState};

/// Prints each event with the seconds since the start, and counts the events for the summary.
#[derive(Debug)]
pub(super) struct EventLog {
    started: Instant,
    counts: Mutex<BTreeMap<String, u32>>,
}

impl EventLog {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            counts: Mutex::default(),
        }
    }

    /// Seconds since the start.
    pub(super) fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Prints one line.
    pub(super) fn print(&self, text: &str) {
        let line = format!("{:6.1}s  {text}\n", self.elapsed());
        // A closed terminal does not stop the demonstration.
        drop(std::io::stdout().lock().write_all(line.as_bytes()));
    }

    /// Counts an event for the summary.
    pub(super) fn count(&self, event: &str) {
        let mut counts = self.counts.lock();
        *counts.entry(event.to_owned()).or_default() += 1;
    }

    /// Prints every change of an alert. After `stop` is cancelled it prints the changes that are
    /// left.
    pub(super) async fn print_changes(&self, mut alerts: Receiver<Alert>, stop: CancellationToken) {
        loop {
            let alert = tokio::select! {
                biased;
                alert = alerts.recv() => alert,
                () = stop.cancelled() => break,
            };
            match alert {
                Ok(alert) => self.print_alert(&alert),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
    }

    fn print_alert(&self, alert: &Alert) {
        let summary = alert.summary();
        match alert.state {
            AlertState::Pending => self.print(&format!("PENDING   {}: {summary}", alert.rule)),
            AlertState::Firing => {
                self.print(&format!("FIRING    {}: {summary}", alert.rule));
                for name in ["expected", "why"] {
                    if let Some(text) = alert.annotations.get(name) {
                        self.print(&format!("          {name}: {text}"));
                    }
                }
                self.count(&format!("{} fired", alert.rule));
            }
            AlertState::Resolved => {
                let why = alert.annotations.get("resolved").unwrap_or_default();
                self.print(&format!("RESOLVED  {}: {why}", alert.rule));
                self.count(&format!("{} resolved", alert.rule));
            }
        }
    }

    /// Prints how often each event happened.
    pub(super) fn print_summary(&self) {
        let counts = self.counts.lock();
        self.print("the demonstration has ended; summary:");
        for (event, times) in counts.iter() {
            self.print(&format!("  {times} × {event}"));
        }
        if counts.is_empty() {
            self.print("  nothing");
        }
    }
}
