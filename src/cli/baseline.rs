//! `sidewatch baseline`: records the reference distributions of drift rules, and with `--labels` the
//! calibration of estimates.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep_until};

use super::calibrator::Calibrator;
use super::error::Error;
use super::executor;
use super::scrape_window::{ScrapeWindow, Takes};
use super::snapshots::{DEFAULT_STEP, snapshots};
use crate::config::{drift_rules, estimate_rules, read_baselines, write_baselines};
use crate::judge::Registry;
use crate::map::drift::{BaselineFile, DriftRule, Tally};
use crate::metric::{Timestamp, parse_duration};
use crate::promql::Query;
use crate::runtime::clock;
use crate::runtime::http::{Client, Settings};
use crate::scrape::{Exposition, HttpProducer, MetricProducer, Target};
use crate::series;

#[derive(Debug, Args)]
#[group(id = "source", required = true, multiple = false)]
pub(super) struct Source {
    /// Folder with the scrapes snap_0001.txt, snap_0002.txt, …
    #[arg(long, value_name = "DIR")]
    snapshots: Option<PathBuf>,
    /// URL of the metrics of a running model server
    #[arg(long, value_name = "URL")]
    target: Option<String>,
}

/// Record references for drift rules, or the calibration of estimates
#[derive(Debug, Args)]
pub(super) struct Baseline {
    #[command(flatten)]
    source: Source,
    /// Rule file or pack with drift rules or estimates; may be repeated
    #[arg(long, required = true, value_name = "FILE")]
    rules: Vec<String>,
    /// File to write; it keeps the references of other rules
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Measure what scores mean on labelled predictions, and write the calibrations of the estimates
    #[arg(long)]
    labels: bool,
    /// Time between two scrapes [default for snapshots: the times of index.csv; otherwise 15s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    step: Option<Duration>,
    /// Leave out snapshots after this time, in seconds
    #[arg(long, value_name = "SECONDS", requires = "snapshots")]
    until: Option<f64>,
    /// How long to scrape the target; without it, one scrape counts everything since the server
    /// started
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "target")]
    duration: Option<Duration>,
}

impl Baseline {
    /// Counts the observations of every drift rule, writes them to the file and prints a summary.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let interval = self.step.unwrap_or(DEFAULT_STEP);
        if self.labels {
            return self.calibrate(interval, out);
        }
        let rules = drift_rules(&self.rules, interval, &Registry::default())?;
        if rules.is_empty() {
            return Err(Error::new(format!(
                "{}: no rule has drift",
                self.rules.join(", ")
            )));
        }
        let file = read_existing(&self.out)?;
        let recorder = self.play(interval, |from_start| Recorder::new(rules, from_start))?;
        let file = recorder.write_into(file, out)?;
        let text = write_baselines(&file).map_err(Error::new)?;
        fs::write(&self.out, text)
            .map_err(|error| Error::new(format!("{}: {error}", self.out.display())))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Measures the calibrations of the estimates, writes them to the file and prints a summary.
    fn calibrate(&self, interval: Duration, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let rules = estimate_rules(&self.rules, interval, &Registry::default())?;
        let calibrator = self.play(interval, |from_start| Calibrator::new(rules, from_start))?;
        let text = calibrator.text(out)?;
        fs::write(&self.out, text)
            .map_err(|error| Error::new(format!("{}: {error}", self.out.display())))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Hands every scrape of the source to what `build` makes; it is told whether the first scrape
    /// counts everything since the server started.
    fn play<T: Takes>(
        &self,
        interval: Duration,
        build: impl FnOnce(bool) -> T,
    ) -> Result<T, Error> {
        match (&self.source.snapshots, &self.source.target) {
            (Some(dir), _) => self.play_snapshots(build, dir),
            (None, Some(url)) => self.play_target(build, url, interval),
            (None, None) => Err(Error::new("either --snapshots or --target is needed")),
        }
    }

    fn play_snapshots<T: Takes>(
        &self,
        build: impl FnOnce(bool) -> T,
        dir: &Path,
    ) -> Result<T, Error> {
        let until = self.until.map(Timestamp::from_secs_f64);
        let mut scrapes = snapshots(dir, self.step)?;
        scrapes.retain(|scrape| until.is_none_or(|until| scrape.at <= until));
        let mut taker = build(scrapes.len() < 2);
        for scrape in &scrapes {
            taker
                .take(&scrape.read()?, scrape.at)
                .map_err(|error| Error::new(format!("{}: {error}", scrape.path.display())))?;
        }
        Ok(taker)
    }

    fn play_target<T: Takes>(
        &self,
        build: impl FnOnce(bool) -> T,
        url: &str,
        interval: Duration,
    ) -> Result<T, Error> {
        if !crate::describe::is_http_url(url) {
            return Err(Error::new(format!(
                "--target: must be a URL such as http://127.0.0.1:8000/metrics, got {url:?}"
            )));
        }
        let runtime = executor::current_thread()?;
        let repetitions = self.duration.map_or(0, |duration| {
            duration.as_millis().div_ceil(interval.as_millis().max(1))
        });
        let taker = build(self.duration.is_none());
        runtime.block_on(scrape(taker, url, interval, repetitions))
    }
}

/// Scrapes a target once, and then `repetitions` more times.
async fn scrape<T: Takes>(
    mut taker: T,
    url: &str,
    interval: Duration,
    repetitions: u128,
) -> Result<T, Error> {
    let client = Arc::new(Client::new(Settings::default()));
    let mut producer = HttpProducer::new(Target::new(url), client);
    let mut next = Instant::now();
    for _ in 0..=repetitions {
        sleep_until(next).await;
        next += interval;
        let at = clock::now();
        let exposition = producer
            .produce(at)
            .await
            .map_err(|error| Error::new(error.to_string()))?;
        taker
            .take(&exposition, at)
            .map_err(|error| Error::new(format!("{url}: {error}")))?;
    }
    Ok(taker)
}

/// The references already in the file.
fn read_existing(path: &Path) -> Result<BaselineFile, Error> {
    if !path.exists() {
        return Ok(BaselineFile {
            version: BaselineFile::VERSION,
            rules: std::collections::BTreeMap::new(),
        });
    }
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Error::new(format!("{name}: {error}")))?;
    Ok(read_baselines(&name, &text)?)
}

/// A drift rule and what was counted for it.
struct RuleTally {
    name: String,
    rule: DriftRule,
    query: Query,
    tally: Tally,
}

/// Counts the observations of drift rules in scrapes.
struct Recorder {
    scrapes: ScrapeWindow,
    rules: Vec<RuleTally>,
}

impl Recorder {
    /// With `from_start`, the first scrape counts everything since the server started.
    fn new(rules: Vec<(String, DriftRule)>, from_start: bool) -> Self {
        let selectors = rules
            .iter()
            .flat_map(|(_, rule)| rule.counters.selectors())
            .collect();
        let tally = |(name, rule): (String, DriftRule)| RuleTally {
            query: Query::new(rule.counters.clone()),
            tally: if from_start {
                Tally::from_start()
            } else {
                Tally::new()
            },
            name,
            rule,
        };
        Self {
            rules: rules.into_iter().map(tally).collect(),
            scrapes: ScrapeWindow::new(series::WindowLimits::default(), selectors),
        }
    }

    /// Adds the references to a file and prints a line for each series.
    fn write_into(
        self,
        mut file: BaselineFile,
        out: &mut dyn Write,
    ) -> Result<BaselineFile, Error> {
        let mut empty = Vec::new();
        for RuleTally {
            name,
            rule,
            mut tally,
            ..
        } in self.rules
        {
            let references = tally.references(&rule);
            if references.is_empty() {
                empty.push(format!("{name} ({})", rule.counters));
                continue;
            }
            for series in &references {
                let few = if series.total < rule.params.min_samples as f64 {
                    "; too few, record for longer"
                } else {
                    ""
                };
                let left_out = series.spread.map_or(0, |spread| spread.left_out);
                let left_out = if left_out > 0 {
                    format!("; {left_out} windows unlike the others were left out")
                } else {
                    String::new()
                };
                writeln!(
                    out,
                    "{name}{}: {} observations in {} buckets{few}{left_out}",
                    series.labels,
                    series.total,
                    series.buckets.len()
                )
                .map_err(|error| Error::unprintable(&error))?;
            }
            file.rules.insert(name, references);
        }
        if !empty.is_empty() {
            return Err(Error::new(format!(
                "nothing was observed for {}; is the selector right, and is there traffic?",
                empty.join(", ")
            )));
        }
        Ok(file)
    }
}

impl Takes for Recorder {
    fn take(&mut self, exposition: &Exposition, at: Timestamp) -> Result<(), String> {
        self.scrapes.ingest(exposition, at)?;
        for rule in &mut self.rules {
            let values = rule
                .query
                .eval(&self.scrapes.window, at)
                .and_then(|evaluation| evaluation.value.into_vector(at))
                .map_err(|error| error.to_string())?;
            rule.tally
                .add(&rule.rule, &values, at)
                .map_err(|error| format!("{}: {error}", rule.name))?;
        }
        Ok(())
    }
}
