//! The sources of history: saved scrapes, OpenMetrics, CSV, and a Prometheus server.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::cli::error::Error;
use crate::cli::executor;
use crate::cli::progress::Progress;
use crate::cli::snapshots::{self, DEFAULT_STEP, snapshots};
use crate::config::http_client_settings;
use crate::history::{self, Prometheus, Range, Recording, Step, Steps};
use crate::metric::{Labels, Selector, SeriesFilter, Timestamp};
use crate::runtime::{clock, http};

/// The source of the history: one of the four.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// Folder with the scrapes snap_0001.txt, snap_0002.txt, …
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,
    /// OpenMetrics text with timestamps, as promtool reads and writes it
    #[arg(long, value_name = "FILE")]
    pub openmetrics: Option<PathBuf>,
    /// CSV table with a header such as timestamp,accuracy or timestamp,requests_total{code="500"}
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// URL of a Prometheus, Thanos, Mimir or VictoriaMetrics; needs --start
    #[arg(long, value_name = "URL", requires = "start")]
    pub prometheus: Option<String>,
}

/// The part of the history to replay.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Span {
    /// Start: Unix seconds, RFC 3339, or a duration before now such as 7d
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "snapshots"
    )]
    pub start: Option<String>,
    /// End, in the same format [default: now, or the end of the file]
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "snapshots"
    )]
    pub end: Option<String>,
    /// File with http_config keys (basic_auth, authorization, tls_config, …) for --prometheus
    #[arg(
        long = "http.config.file",
        value_name = "FILE",
        requires = "prometheus"
    )]
    pub http_config: Option<PathBuf>,
}

/// An opened history.
pub(super) struct History {
    /// The labels of each target.
    pub(super) targets: Vec<Labels>,
    /// Time between two steps.
    pub(super) interval: Duration,
    /// The number of steps.
    pub(super) step_count: usize,
    /// The steps, oldest first.
    pub(super) steps: Box<dyn Iterator<Item = Result<Step, Error>>>,
}

impl Source {
    /// The path or URL that the user gave, without a password.
    pub(super) fn name(&self) -> String {
        let path = self
            .snapshots
            .as_ref()
            .or(self.openmetrics.as_ref())
            .or(self.csv.as_ref());
        match (path, &self.prometheus) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(url)) => http::redacted(url),
            (None, None) => String::new(),
        }
    }

    /// Opens the source, restricted to the series that `selectors` match.
    pub(super) fn open(
        &self,
        span: &Span,
        step: Option<Duration>,
        selectors: &[Selector],
        progress: &mut Progress,
    ) -> Result<History, Error> {
        if step.is_some_and(|step| step.is_zero()) {
            return Err(Error::new("--step: must be longer than 0s"));
        }
        let filter = SeriesFilter::new(selectors.to_vec());
        if let Some(dir) = &self.snapshots {
            return open_snapshots(dir, step);
        }
        if let Some(path) = &self.openmetrics {
            let size = size(path);
            let on_read = &mut |bytes| progress.show("reading", bytes, size);
            let recording = history::read_openmetrics(path, &filter, on_read)?;
            return open_recording(path, recording, span, step);
        }
        if let Some(path) = &self.csv {
            let size = size(path);
            let on_read = &mut |bytes| progress.show("reading", bytes, size);
            let recording = history::read_csv(path, &filter, on_read)?;
            return open_recording(path, recording, span, step);
        }
        let url = self.prometheus.as_deref().unwrap_or_default();
        open_server(url, span, step.unwrap_or(DEFAULT_STEP), selectors)
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn open_snapshots(dir: &Path, step: Option<Duration>) -> Result<History, Error> {
    let scrapes = snapshots(dir, step)?;
    Ok(History {
        targets: vec![Labels::empty()],
        interval: step
            .or(snapshots::interval(&scrapes))
            .unwrap_or(DEFAULT_STEP),
        step_count: scrapes.len(),
        steps: Box::new(scrapes.into_iter().map(|scrape| {
            Ok(Step {
                at: scrape.at,
                scrapes: vec![Ok(scrape.read()?)],
            })
        })),
    })
}

fn parse_moment(text: Option<&String>, flag: &str) -> Result<Option<Timestamp>, Error> {
    text.map(|text| history::parse_time_or_ago(text, clock::now()))
        .transpose()
        .map_err(|message| Error::new(format!("{flag}: {message}")))
}

fn open_recording(
    path: &Path,
    recording: Recording,
    span: &Span,
    step: Option<Duration>,
) -> Result<History, Error> {
    let Some((first, last)) = recording.span() else {
        let message = format!(
            "{}: has no samples of the series that the rules read",
            path.display()
        );
        return Err(Error::new(message));
    };
    let start = parse_moment(span.start.as_ref(), "--start")?.unwrap_or(first);
    let end = parse_moment(span.end.as_ref(), "--end")?.unwrap_or(last);
    let interval = step.or(recording.interval()).unwrap_or(DEFAULT_STEP);
    let targets = recording.targets().to_vec();
    // Steps are aligned to the file's first scrape, wherever the replay starts.
    let skipped = start
        .since(first)
        .as_millis()
        .div_ceil(interval.as_millis());
    let start = first + interval * u32::try_from(skipped).unwrap_or(u32::MAX);
    let steps = Steps::new(recording, (start, end), interval);
    if steps.remaining() == 0 {
        return Err(Error::new(format!(
            "{}: has no samples between --start and --end; its samples are from {first} to {last}",
            path.display()
        )));
    }
    Ok(History {
        targets,
        interval,
        step_count: steps.remaining(),
        steps: Box::new(steps.map(Ok)),
    })
}

/// History that is downloaded in chunks. The next chunk is downloaded while the current one is
/// replayed.
struct Download {
    runtime: Runtime,
    /// The download of the next chunk.
    task: JoinSet<Result<Recording, history::Error>>,
    prometheus: Arc<Prometheus>,
    selectors: Vec<Selector>,
    targets: Vec<Labels>,
    /// Chunks whose download has not begun.
    pending: VecDeque<Range>,
    /// Chunks whose download has begun.
    begun: VecDeque<Range>,
    /// The steps of the current chunk.
    steps: Option<Steps>,
}

fn open_server(
    url: &str,
    span: &Span,
    step: Duration,
    selectors: &[Selector],
) -> Result<History, Error> {
    let start = parse_moment(span.start.as_ref(), "--start")?.unwrap_or_default();
    let end = parse_moment(span.end.as_ref(), "--end")?.unwrap_or_else(clock::now);
    if end < start {
        return Err(Error::new(format!("--start: {start} is after --end {end}")));
    }
    let settings = match &span.http_config {
        Some(path) => http_client_settings(path)?,
        None => http::Settings::default(),
    };
    let runtime = executor::multi_thread(1)?;
    let prometheus = Arc::new(Prometheus::new(url, settings));
    let range = Range { start, end, step }.aligned();
    let series = runtime.block_on(prometheus.series(selectors, range))?;
    if series.is_empty() {
        return Err(Error::new(format!(
            "{}: has no series that the rules read between {start} and {end}",
            http::redacted(url)
        )));
    }
    let mut recording = Recording::default();
    for labels in &series {
        recording.column(labels);
    }
    let targets = recording.targets().to_vec();
    let mut download = Download {
        runtime,
        task: JoinSet::new(),
        prometheus,
        selectors: selectors.to_vec(),
        targets: targets.clone(),
        pending: range.chunks(series.len()).into(),
        begun: VecDeque::new(),
        steps: None,
    };
    download.begin_next();
    Ok(History {
        targets,
        interval: step,
        step_count: range.steps(),
        steps: Box::new(download),
    })
}

impl Download {
    /// Begins to download the next chunk.
    fn begin_next(&mut self) {
        let Some(range) = self.pending.pop_front() else {
            return;
        };
        let prometheus = Arc::clone(&self.prometheus);
        let selectors = self.selectors.clone();
        let mut recording = Recording::with_targets(self.targets.clone());
        let task = async move {
            prometheus.read(&selectors, range, &mut recording).await?;
            Ok(recording)
        };
        self.task.spawn_on(task, self.runtime.handle());
        self.begun.push_back(range);
    }
}

impl Iterator for Download {
    type Item = Result<Step, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(step) = self.steps.as_mut().and_then(Iterator::next) {
                return Some(Ok(step));
            }
            let joined = self.runtime.block_on(self.task.join_next())?;
            let range = self.begun.pop_front()?;
            let recording = match joined {
                Ok(Ok(recording)) => recording,
                Ok(Err(error)) => return Some(Err(error.into())),
                Err(error) => {
                    return Some(Err(Error::new(format!("the download failed: {error}"))));
                }
            };
            self.begin_next();
            self.steps = Some(Steps::new(recording, (range.start, range.end), range.step));
        }
    }
}
