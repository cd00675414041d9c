//! The ingester of one target.

use std::sync::Arc;

use crate::exposition::{Exposition, ExpositionError, Format, Limit, ScrapeLimits};
use crate::metric::{Appender, Labels, SeriesFilter};

use super::decide::Policy;
use super::ingested::Ingested;
use super::memo::{Entry, Memo, State};
use super::pass::Pass;

/// Turns one target's expositions into samples.
#[derive(Debug)]
pub struct Ingester {
    policy: Policy,
    memo: Memo,
    format: Format,
    /// Whether some line of the memo has no decision, so that the next scrape has to rebuild it.
    unsettled: bool,
    seed: u64,
    last: Ingested,
}

impl Ingester {
    /// An ingester for a target.
    ///
    /// `target_labels` (`job`, `instance`, …) are added to every series. With `honor_labels` an
    /// exposed label of the same name wins, otherwise it gets the prefix `exported_`. Without
    /// `honor_timestamps` every sample gets the scrape's time. Series that do not pass `filter` are
    /// checked and counted, but not stored.
    #[must_use]
    pub fn new(
        limits: ScrapeLimits,
        target_labels: Labels,
        honor_labels: bool,
        honor_timestamps: bool,
        filter: Arc<SeriesFilter>,
    ) -> Self {
        Self {
            policy: Policy {
                limits,
                target_labels,
                honor_labels,
                honor_timestamps,
                filter,
            },
            memo: Memo::default(),
            format: Format::Text,
            unsettled: false,
            seed: crate::metric::random_seed(),
            last: Ingested::default(),
        }
    }

    /// Replaces the filter; if it differs, the next scrape decides about every series again.
    pub fn set_filter(&mut self, filter: Arc<SeriesFilter>) {
        if self.policy.filter == filter {
            return;
        }
        self.policy.filter = filter;
        self.forget();
    }

    /// Drops every decision; call it when the appender has lost its series.
    pub(crate) fn forget(&mut self) {
        self.memo.forget_decisions();
        self.unsettled = true;
    }

    /// Counts of the last scrape, up to the error if it failed.
    #[must_use]
    pub fn last(&self) -> Ingested {
        self.last
    }

    /// Parses an exposition and passes its samples to the appender.
    ///
    /// The caller begins a scrape on the appender before and commits it afterwards. On an error the
    /// caller rolls it back; the memo stays as it was. An empty body is a successful scrape without
    /// series, whatever its format. A `_created` sample of an OpenMetrics counter, histogram or
    /// summary never becomes a series, since resets show as decreases.
    ///
    /// # Errors
    /// A syntax error with its position, or the limit that was exceeded.
    pub fn ingest(
        &mut self,
        exposition: &Exposition,
        appender: &mut impl Appender,
    ) -> Result<Ingested, ExpositionError> {
        self.last = Ingested::default();
        self.check_size(exposition)?;
        if exposition.body.is_empty() {
            self.memo = Memo::default();
            return Ok(self.last);
        }
        if exposition.format != self.format {
            self.memo = Memo::default();
            self.format = exposition.format;
        }
        let mark = self.memo.mark();
        let mut pass = Pass::new(
            &self.policy,
            &mut self.memo,
            exposition,
            appender,
            self.seed,
        );
        if self.unsettled {
            pass.rebuild();
        }
        let result = pass.run();
        let (counts, next, in_order) = pass.finish();
        self.last = counts;
        if let Err(error) = result {
            self.memo.undo(mark);
            return Err(error);
        }
        match next {
            Some(next) => self.memo.replace(next),
            None => self.memo.truncate(in_order),
        }
        let refused = |entry: &Entry| entry.state == State::Refused;
        self.unsettled = counts.refused > 0 && self.memo.entries.iter().any(refused);
        Ok(counts)
    }

    fn check_size(&self, exposition: &Exposition) -> Result<(), ExpositionError> {
        let size = exposition.body.len() as u64;
        let configured = self.policy.limits.body_size;
        let addressable = u64::from(u32::MAX);
        let limit = if configured == 0 {
            addressable
        } else {
            configured.min(addressable)
        };
        if size < limit {
            return Ok(());
        }
        Err(ExpositionError::Limit {
            setting: Limit::BodySize,
            limit,
            found: size,
            what: "the body's size in bytes".to_owned(),
        })
    }
}
