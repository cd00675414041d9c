//! Whether new observations of a watch's series keep coming, as `expect` says.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::traffic::{CountedRange, observed};
use crate::metric::{Labels, MetricSample, Timestamp, format_duration};
use crate::retrain::GateKey;
use crate::series::Window;

/// A series without observations is remembered for so many times the expected time.
const REMEMBERED: u32 = 8;

/// The last observation of every series, without the pod's identity and the version: another pod or
/// version continues the series.
#[derive(Debug, Default)]
pub(super) struct Expecting {
    last: BTreeMap<Labels, Last>,
    /// The first evaluation, for an expression that never had a value.
    since: Option<Timestamp>,
    evaluated: Option<Timestamp>,
}

/// How long ago the last observation of each series was when it was stored. The time without a
/// process does not count: observations may have come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Expected(Vec<(Labels, Duration, u64)>);

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Timestamp,
    /// The bits of the value, for a series without counters.
    value: u64,
}

impl Expecting {
    /// Notes which of these values rest on new observations: a counter behind them increased, or
    /// the value changed if there is none. Returns a text for each series that had none for longer
    /// than `every`.
    pub(super) fn note<'a>(
        &mut self,
        values: impl Iterator<Item = &'a MetricSample>,
        counted: &[CountedRange],
        window: &Window,
        (every, interval): (Duration, Duration),
        at: Timestamp,
    ) -> Vec<String> {
        let since = *self.since.get_or_insert(at);
        for sample in values {
            let series = GateKey::new("", &sample.labels).series;
            let value = sample.value.to_bits();
            let observed = observed(window, counted, sample, interval * 2, at);
            let last = self.last.entry(series).or_insert(Last { at, value });
            if observed.unwrap_or(last.value != value) {
                *last = Last { at, value };
            }
        }
        self.evaluated = Some(at);
        self.last
            .retain(|_, last| at.since(last.at) <= every * REMEMBERED);
        if self.last.is_empty() {
            let text = || {
                format!(
                    "no observation since {since}, expected every {}",
                    format_duration(every)
                )
            };
            return if at.since(since) > every {
                vec![text()]
            } else {
                Vec::new()
            };
        }
        let overdue = self
            .last
            .iter()
            .filter(|(_, last)| at.since(last.at) > every);
        overdue
            .map(|(series, last)| {
                let about = if series.is_empty() {
                    String::new()
                } else {
                    format!(" of {series}")
                };
                format!(
                    "no new observation{about} since {}, expected every {}",
                    last.at,
                    format_duration(every)
                )
            })
            .collect()
    }

    /// No model runs: the time does not count.
    pub(super) fn pause(&mut self, at: Timestamp) {
        let Some(before) = self.evaluated.replace(at) else {
            return;
        };
        let passed = at.since(before);
        self.since = self.since.map(|since| since + passed);
        for last in self.last.values_mut() {
            last.at = last.at + passed;
        }
    }

    /// The state to store.
    pub(super) fn store(&self) -> Expected {
        let Some(at) = self.evaluated else {
            return Expected::default();
        };
        let ages = self.last.iter();
        let ages = ages.map(|(series, last)| (series.clone(), at.since(last.at), last.value));
        Expected(ages.collect())
    }

    /// Continues in a new process.
    pub(super) fn restore(&mut self, stored: &Expected, at: Timestamp) {
        let ages = stored.0.iter();
        self.last = ages
            .map(|(series, age, value)| {
                let last = Last {
                    at: at - *age,
                    value: *value,
                };
                (series.clone(), last)
            })
            .collect();
    }

    /// Moves the times back after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.since = self.since.map(|at| at - by);
        self.evaluated = self.evaluated.map(|at| at - by);
        for last in self.last.values_mut() {
            last.at = last.at - by;
        }
    }
}
