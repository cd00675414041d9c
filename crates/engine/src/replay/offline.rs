//! A monitor whose samples are given instead of scraped, for tests of rules.

use std::sync::Arc;
use std::time::Duration;

use crate::judge::Registry;
use crate::metric::{Labels, Timestamp};
use crate::monitor::{ModelMonitor, Settings};
use crate::promql::{Expr, InstantSample, Options, PromqlError, Query};
use crate::rules::RuleSet;
use crate::series::{WindowLimits, is_absent, is_stale};

/// Longer than any test: no sample leaves the window.
const UNLIMITED: Duration = Duration::from_secs(1000 * 365 * 86_400);

impl ModelMonitor {
    /// A monitor that keeps every sample, and `ALERTS` besides. It has the targets of its settings;
    /// one without any is fed by [`ModelMonitor::give`] and ticks by [`ModelMonitor::observe`] with
    /// nothing scraped.
    #[must_use]
    pub fn offline(settings: Settings, rules: Arc<RuleSet>, registry: &Registry) -> Self {
        let mut monitor = Self::new(settings, rules, registry);
        let limits = monitor.window.limits();
        monitor.window.set_limits(WindowLimits {
            retention: UNLIMITED,
            ..limits
        });
        monitor.alert_series = true;
        monitor
    }

    /// Stores the sample of a series, numbered by the caller, in order of time.
    /// [`STALE`](crate::series::STALE) ends the series; [`ABSENT`](crate::series::ABSENT) is no
    /// sample, so that the one before counts until the lookback ends.
    pub fn give(&mut self, series: usize, at: Timestamp, labels: &Labels, value: f64) {
        // The rules' owners count from 1.
        let owner = u64::MAX - series as u64;
        if is_absent(value) {
            return;
        }
        if !is_stale(value) {
            self.window.record(owner, at, labels, value);
        }
        self.window.end_records(owner, at);
    }

    /// The value of an expression over given and recorded samples; `step` is the default step of
    /// subqueries.
    ///
    /// # Errors
    /// As [`Query::eval`]; also for a string or a range of samples.
    pub fn eval(
        &self,
        expr: &Expr,
        at: Timestamp,
        step: Duration,
    ) -> Result<Vec<InstantSample>, PromqlError> {
        let options = Options {
            default_subquery_step: step,
            ..Options::default()
        };
        let mut query = Query::with_options(expr.clone(), options);
        query.eval(&self.window, at)?.value.into_vector(at)
    }
}
