//! Where the past comes from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::progress::Progress;
use crate::cli::replay::DEFAULT_STEP;
use crate::cli::snapshots::{self, snapshots};
use crate::cli::{Error, runtime};
use crate::config::http_client_settings;
use crate::history::{self, Prometheus, Range, Recording, Step, Steps};
use crate::metric::{Labels, Selector, SeriesFilter, Timestamp};
use crate::runtime::{clock, http, with_sources};

/// Where the past comes from: one of the four.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// Folder with the scrapes snap_0001.txt, snap_0002.txt, …
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,
    /// OpenMetrics text with timestamps, as promtool writes and reads it
    #[arg(long, value_name = "FILE")]
    pub openmetrics: Option<PathBuf>,
    /// Table with a first line such as timestamp,accuracy or timestamp,requests_total{code="500"}
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Prometheus, Thanos, Mimir or VictoriaMetrics; needs --start
    #[arg(long, value_name = "URL", requires = "start")]
    pub prometheus: Option<String>,
}

/// Which part of the past.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Span {
    /// First moment: Unix seconds, RFC 3339, or so long ago, such as 7d
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "snapshots"
    )]
    pub start: Option<String>,
    /// Last moment; default: now, or the end of the file
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

/// The past, ready to be replayed.
pub(super) struct History {
    /// The labels of each target.
    pub(super) targets: Vec<Labels>,
    /// Time between two steps.
    pub(super) interval: Duration,
    /// How many steps there are.
    pub(super) steps: usize,
    /// The steps.
    pub(super) walk: Box<dyn Iterator<Item = Result<Step, Error>>>,
}

impl Source {
    /// The source as the user named it, without a password.
    pub(super) fn name(&self) -> String {
        let files = [&self.snapshots, &self.openmetrics, &self.csv];
        let file = files.into_iter().flatten().next();
        match (file, &self.prometheus) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(url)) => http::redacted(url),
            (None, None) => String::new(),
        }
    }

    /// Opens the source for what the rules read.
    pub(super) fn open(
        &self,
        span: &Span,
        step: Option<Duration>,
        wanted: &[Selector],
        progress: &mut Progress,
    ) -> Result<History, Error> {
        if step.is_some_and(|step| step.is_zero()) {
            return Err(Error::new("--step: must be longer than 0s"));
        }
        let filter = SeriesFilter::new(wanted.to_vec());
        if let Some(dir) = &self.snapshots {
            return saved(dir, step);
        }
        if let Some(path) = &self.openmetrics {
            let size = size(path);
            let read = &mut |bytes| progress.show("reading", bytes, size);
            let recording = history::read_openmetrics(path, &filter, read)?;
            return recorded(path, recording, span, step);
        }
        if let Some(path) = &self.csv {
            let size = size(path);
            let read = &mut |bytes| progress.show("reading", bytes, size);
            let recording = history::read_csv(path, &filter, read)?;
            return recorded(path, recording, span, step);
        }
        let url = self.prometheus.as_deref().unwrap_or_default();
        downloaded(url, span, step.unwrap_or(DEFAULT_STEP), wanted)
    }
}

impl From<history::Error> for Error {
    fn from(error: history::Error) -> Self {
        Self::new(with_sources(&error))
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn saved(dir: &Path, step: Option<Duration>) -> Result<History, Error> {
    let scrapes = snapshots(dir, step)?;
    Ok(History {
        targets: vec![Labels::empty()],
        interval: step
            .or(snapshots::interval(&scrapes))
            .unwrap_or(DEFAULT_STEP),
        steps: scrapes.len(),
        walk: Box::new(scrapes.into_iter().map(|scrape| {
            Ok(Step {
                at: scrape.at,
                scrapes: vec![Ok(scrape.read()?)],
            })
        })),
    })
}

fn moment(text: Option<&String>, flag: &str) -> Result<Option<Timestamp>, Error> {
    text.map(|text| history::parse_time_or_ago(text, clock::now()))
        .transpose()
        .map_err(|message| Error::new(format!("{flag}: {message}")))
}

fn recorded(
    path: &Path,
    recording: Recording,
    span: &Span,
    step: Option<Duration>,
) -> Result<History, Error> {
    let Some((first, last)) = recording.span() else {
        let message = format!(
            "{}: has no sample of a series that the rules read",
            path.display()
        );
        return Err(Error::new(message));
    };
    let start = moment(span.start.as_ref(), "--start")?.unwrap_or(first);
    let end = moment(span.end.as_ref(), "--end")?.unwrap_or(last);
    let interval = step.or(recording.interval()).unwrap_or(DEFAULT_STEP);
    let targets = recording.targets().to_vec();
    // The first step is that of the file's first scrape, wherever the replay starts.
    let skipped = start
        .since(first)
        .as_millis()
        .div_ceil(interval.as_millis());
    let start = first + interval * u32::try_from(skipped).unwrap_or(u32::MAX);
    let walk = Steps::new(recording, (start, end), interval);
    if walk.remaining() == 0 {
        return Err(Error::new(format!(
            "{}: has nothing between --start and --end; it reaches from {first} to {last}",
            path.display()
        )));
    }
    Ok(History {
        targets,
        interval,
        steps: walk.remaining(),
        walk: Box::new(walk.map(Ok)),
    })
}

/// History that is fetched while it is replayed.
struct Download {
    runtime: tokio::runtime::Runtime,
    fetching: tokio::task::JoinSet<Result<Recording, history::Error>>,
    prometheus: std::sync::Arc<Prometheus>,
    selectors: Vec<Selector>,
    targets: Vec<Labels>,
    ranges: std::collections::VecDeque<Range>,
    fetched: std::collections::VecDeque<Range>,
    steps: Option<Steps>,
}

fn downloaded(
    url: &str,
    span: &Span,
    step: Duration,
    wanted: &[Selector],
) -> Result<History, Error> {
    let start = moment(span.start.as_ref(), "--start")?.unwrap_or_default();
    let end = moment(span.end.as_ref(), "--end")?.unwrap_or_else(clock::now);
    if end < start {
        return Err(Error::new(format!("--start: {start} is after --end {end}")));
    }
    let settings = match &span.http_config {
        Some(path) => {
            http_client_settings(path).map_err(|problems| Error::new(problems.to_string()))?
        }
        None => http::Settings::default(),
    };
    let runtime = runtime(1)?;
    let prometheus = std::sync::Arc::new(Prometheus::new(url, settings));
    let range = Range { start, end, step }.aligned();
    let series = runtime.block_on(prometheus.series(wanted, range))?;
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
        fetching: tokio::task::JoinSet::new(),
        prometheus,
        selectors: wanted.to_vec(),
        targets: targets.clone(),
        ranges: range.chunks(series.len()).into(),
        fetched: std::collections::VecDeque::new(),
        steps: None,
    };
    download.fetch();
    Ok(History {
        targets,
        interval: step,
        steps: range.steps(),
        walk: Box::new(download),
    })
}

impl Download {
    /// Begins to fetch the next chunk, while the one before is replayed.
    fn fetch(&mut self) {
        let Some(range) = self.ranges.pop_front() else {
            return;
        };
        let (prometheus, selectors) = (
            std::sync::Arc::clone(&self.prometheus),
            self.selectors.clone(),
        );
        let mut recording = Recording::with_targets(self.targets.clone());
        let task = async move {
            prometheus.read(&selectors, range, &mut recording).await?;
            Ok(recording)
        };
        self.fetching.spawn_on(task, self.runtime.handle());
        self.fetched.push_back(range);
    }
}

impl Iterator for Download {
    type Item = Result<Step, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(step) = self.steps.as_mut().and_then(Iterator::next) {
                return Some(Ok(step));
            }
            let joined = self.runtime.block_on(self.fetching.join_next())?;
            let range = self.fetched.pop_front()?;
            let recording = match joined {
                Ok(Ok(recording)) => recording,
                Ok(Err(error)) => return Some(Err(error.into())),
                Err(error) => {
                    return Some(Err(Error::new(format!("the download failed: {error}"))));
                }
            };
            self.fetch();
            self.steps = Some(Steps::new(recording, (range.start, range.end), range.step));
        }
    }
}
