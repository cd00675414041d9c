//! Measures what the scores of estimates mean, on labelled predictions.

use std::collections::BTreeMap;
use std::io::Write;

use super::error::Error;
use super::scrape_window::{ScrapeWindow, Takes};
use crate::config::{CalibrationFile, CalibrationSeries};
use crate::map::estimate::{CalibrationTally, EstimateRule};
use crate::metric::Timestamp;
use crate::promql::{Expr, InstantSample, Query};
use crate::scrape::Exposition;
use crate::series;

/// The estimates whose scores are calibrated.
pub(super) struct Calibrator {
    scrapes: ScrapeWindow,
    estimates: Vec<Measured>,
    /// The records that name no labelled buckets.
    without: Vec<String>,
}

/// One estimate and its counts.
struct Measured {
    record: String,
    labelled: Query,
    positive: Query,
    tally: CalibrationTally,
}

impl Calibrator {
    /// With `from_start`, the first scrape counts everything since the server started.
    pub(super) fn new(rules: Vec<(String, EstimateRule)>, from_start: bool) -> Self {
        let mut estimates = Vec::new();
        let mut without = Vec::new();
        let mut selectors = Vec::new();
        for (record, rule) in rules {
            let Some((labelled, positive)) = &rule.labelled else {
                without.push(record);
                continue;
            };
            selectors.extend([labelled, positive].into_iter().flat_map(Expr::selectors));
            estimates.push(Measured {
                record,
                labelled: Query::new(labelled.clone()),
                positive: Query::new(positive.clone()),
                tally: CalibrationTally::new(&rule.by, from_start),
            });
        }
        Self {
            scrapes: ScrapeWindow::new(series::WindowLimits::default(), selectors),
            estimates,
            without,
        }
    }

    /// The text of the file; prints a line for each series.
    pub(super) fn text(self, out: &mut dyn Write) -> Result<String, Error> {
        if self.estimates.is_empty() {
            let named = self.without.join(", ");
            return Err(Error::new(format!(
                "no estimate has calibration with labelled and positive, the buckets of labelled predictions{}{named}",
                if named.is_empty() { "" } else { ": " }
            )));
        }
        let mut all = BTreeMap::new();
        for one in self.estimates {
            let mut measured = Vec::new();
            for shares in one.tally.shares() {
                let left_out = match shares.left_out {
                    0 => String::new(),
                    n => format!("; {n} buckets have too few, record for longer"),
                };
                writeln!(
                    out,
                    "{}{}: {} labelled predictions in {} buckets{left_out}",
                    one.record,
                    shares.labels,
                    shares.labelled,
                    shares.shares.len()
                )
                .map_err(|error| Error::unprintable(&error))?;
                measured.push(CalibrationSeries {
                    labels: shares.labels,
                    labelled: shares.labelled,
                    shares: shares.shares,
                });
            }
            if measured.is_empty() {
                return Err(Error::new(format!(
                    "nothing was labelled for {}; is the selector right, and do labels arrive?",
                    one.record
                )));
            }
            all.insert(one.record, measured);
        }
        CalibrationFile::new(all).text().map_err(Error::new)
    }
}

impl Takes for Calibrator {
    fn take(&mut self, exposition: &Exposition, at: Timestamp) -> Result<(), String> {
        self.scrapes.ingest(exposition, at)?;
        for one in &mut self.estimates {
            let window = &self.scrapes.window;
            let read = |query: &mut Query| -> Result<Vec<InstantSample>, String> {
                query
                    .eval(window, at)
                    .and_then(|evaluation| evaluation.value.into_vector(at))
                    .map_err(|error| error.to_string())
            };
            let labelled = read(&mut one.labelled)?;
            let positive = read(&mut one.positive)?;
            one.tally.add(&labelled, &positive);
        }
        Ok(())
    }
}
