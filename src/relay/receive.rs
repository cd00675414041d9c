//! Receives one notification: reads it piece by piece, and has its alerts decided whenever many have
//! arrived.

use tracing::{debug, error, warn};

use super::counters::Counters;
use super::decision::Ends;
use super::ledger::Ledger;
use super::message::{Notification, Reading, Received};
use super::outcome::Outcome;
use crate::publish::{Pieces, Reply};
use crate::service::control::text;

/// How many alerts each limit held back.
#[derive(Debug, Default)]
struct Limited {
    of_models: usize,
    in_total: usize,
}

/// Receives a notification. `Ok` means that all its requests are on disk. If its end is missing or
/// invalid, those of its first alerts may be nevertheless.
///
/// # Errors
/// The reply to a notification that is refused or cannot be stored.
pub(super) async fn receive(
    ledger: &Ledger,
    counters: &Counters,
    mut body: Pieces,
) -> Result<(), Reply> {
    let (mut reading, mut ends) = (Reading::default(), Ends::default());
    let mut limited = Limited::default();
    while let Some(piece) = body.next(reading.held()).await? {
        reading.push(&piece).map_err(|error| refused(&error))?;
        if let Some(alerts) = reading.take_many() {
            let decided = decide(ledger, counters, &mut limited, (alerts, ends, false));
            ends = decided.await?;
        }
    }
    let Notification {
        receiver,
        truncated,
        alerts,
        refused: left_out,
    } = reading.finish().map_err(|error| refused(&error))?;
    decide(ledger, counters, &mut limited, (alerts, ends, true)).await?;
    if truncated > 0 {
        warn!(
            receiver,
            truncated, "Alertmanager left out alerts; see max_alerts"
        );
    }
    for error in &left_out.reasons {
        warn!(receiver, %error, "an alert was refused; the others of its notification are taken");
    }
    let further = left_out.count - left_out.reasons.len();
    if further > 0 {
        warn!(receiver, further, "further alerts were refused");
    }
    limited.log(&receiver);
    counters.count_outcomes(&vec![Outcome::Refused; left_out.count]);
    counters.count_truncated(truncated);
    Ok(())
}

async fn decide(
    ledger: &Ledger,
    counters: &Counters,
    limited: &mut Limited,
    (alerts, ends, is_last): (Vec<Received>, Ends, bool),
) -> Result<Ends, Reply> {
    match ledger.accept(alerts, ends, is_last).await {
        Ok((decisions, ends)) => {
            debug!(outcomes = ?decisions.outcomes, "decided about alerts");
            counters.count_outcomes(&decisions.outcomes);
            limited.count(&decisions.outcomes);
            Ok(ends)
        }
        Err(error) => {
            error!(%error, "a notification could not be stored; Alertmanager retries");
            Err(text(503, &format!("{error}\n")))
        }
    }
}

fn refused(error: &str) -> Reply {
    warn!(%error, "a notification was refused");
    text(400, &format!("{error}\n"))
}

impl Limited {
    fn count(&mut self, outcomes: &[Outcome]) {
        let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
        self.of_models += count(Outcome::Limited);
        self.in_total += count(Outcome::TotalLimited);
    }

    fn log(&self, receiver: &str) {
        if self.of_models > 0 {
            let limited = self.of_models;
            warn!(
                receiver,
                limited,
                "a limit on models holds retraining requests back; see retraining.hourly_limit"
            );
        }
        if self.in_total > 0 {
            let limited = self.in_total;
            warn!(
                receiver,
                limited,
                "the limit over all models holds retraining requests back; see total_hourly_limit"
            );
        }
    }
}
