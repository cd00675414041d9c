//! The running account in the terminal.

use std::collections::BTreeMap;
use std::io::Write as _;

use parking_lot::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::alert::{Alert, AlertState};

/// Says what happens, with the seconds since the start, and keeps count for the end.
#[derive(Debug)]
pub(super) struct Account {
    started: Instant,
    counts: Mutex<BTreeMap<String, u32>>,
}

impl Account {
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

    /// One line.
    pub(super) fn say(&self, text: &str) {
        let line = format!("{:6.1}s  {text}\n", self.elapsed());
        // A closed terminal does not stop the demonstration.
        drop(std::io::stdout().lock().write_all(line.as_bytes()));
    }

    /// Remembers an event for the conclusion.
    pub(super) fn count(&self, what: &str) {
        let mut counts = self.counts.lock();
        *counts.entry(what.to_owned()).or_default() += 1;
    }

    /// Tells every change of an alert until stopped and everything is told.
    pub(super) async fn follow(&self, mut alerts: Receiver<Alert>, stop: CancellationToken) {
        loop {
            let alert = tokio::select! {
                biased;
                alert = alerts.recv() => alert,
                () = stop.cancelled() => break,
            };
            match alert {
                Ok(alert) => self.tell(&alert),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
    }

    fn tell(&self, alert: &Alert) {
        let summary = alert.summary();
        match alert.state {
            AlertState::Pending => self.say(&format!("PENDING   {}: {summary}", alert.rule)),
            AlertState::Firing => {
                self.say(&format!("FIRING    {}: {summary}", alert.rule));
                for name in ["expected", "why"] {
                    if let Some(text) = alert.annotations.get(name) {
                        self.say(&format!("          {name}: {text}"));
                    }
                }
                self.count(&format!("{} fired", alert.rule));
            }
            AlertState::Resolved => {
                self.say(&format!("RESOLVED  {}", alert.rule));
                self.count(&format!("{} resolved", alert.rule));
            }
        }
    }

    /// What happened, in the end.
    pub(super) fn conclude(&self) {
        let counts = self.counts.lock();
        self.say("the demonstration is over; this is what happened:");
        for (what, times) in counts.iter() {
            self.say(&format!("  {times} × {what}"));
        }
        if counts.is_empty() {
            self.say("  nothing");
        }
    }
}
