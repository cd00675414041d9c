//! Bodies of real model servers against Python's `prometheus_client`.
//!
//! Set `SIDEWATCH_PYTHON` to a Python that has `prometheus_client` 0.26. Without it the test
//! reports that and passes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use sidewatch::internals::scrape::format_of;
use sidewatch_engine::exposition::{Exposition, Format, Ingester, ScrapeLimits};
use sidewatch_engine::metric::{Appender, Labels, SeriesFilter, SeriesRef, Timestamp};

use crate::support::recordings;

/// When every scrape happens.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Labels, timestamp, and the value's bits in hexadecimal.
type Sample = (Vec<(String, String)>, Option<i64>, String);

/// Keeps the samples of the last scrape.
#[derive(Default)]
struct Window {
    labels: Vec<Labels>,
    samples: Vec<Sample>,
}

impl Appender for Window {
    fn resolve(&mut self, labels: &Labels) -> Option<SeriesRef> {
        self.labels.push(labels.clone());
        Some(SeriesRef {
            index: u32::try_from(self.labels.len() - 1).expect("few series"),
            generation: 0,
        })
    }

    fn append(&mut self, series: SeriesRef, at: Option<Timestamp>, value: f64) -> bool {
        let labels = self.labels[series.index as usize].iter();
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let bits = format!("{:016x}", value.to_bits());
        self.samples
            .push((labels.collect(), at.map(Timestamp::as_millis), bits));
        true
    }
}

/// An ingester that wants everything.
fn ingester() -> Ingester {
    let filter = Arc::new(SeriesFilter::everything());
    Ingester::new(
        ScrapeLimits::default(),
        Labels::empty(),
        false,
        true,
        filter,
    )
}

#[derive(Deserialize)]
struct Answer {
    file: PathBuf,
    #[serde(default)]
    samples: Vec<Sample>,
    error: Option<String>,
}

fn bodies_in(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).expect("a readable recording");
    for entry in entries {
        let path = entry.expect("a readable recording").path();
        let kind = path.extension().and_then(|end| end.to_str());
        if path.is_dir() {
            bodies_in(&path, found);
        } else if matches!(kind, Some("txt" | "raw")) {
            found.push(path);
        }
    }
}

/// The format that the recorded answer announced.
fn format_of_file(path: &Path) -> Format {
    let headers = fs::read_to_string(format!("{}.headers", path.display())).unwrap_or_default();
    let content_type = headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then_some(value)
    });
    format_of(content_type, Some(Format::Text)).expect("a fallback")
}

fn body_of(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("a readable recording");
    if !bytes.starts_with(b"\x1f\x8b") {
        return bytes;
    }
    let mut body = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(&*bytes);
    decoder.read_to_end(&mut body).expect("a gzip stream");
    body
}

/// Our samples in the oracle's shape; one ingester per directory, so that consecutive snapshots go
/// through the memo.
fn ours(window: &mut Window, ingester: &mut Ingester, path: &Path) -> Result<Vec<Sample>, String> {
    let exposition = Exposition::new(body_of(path), format_of_file(path), NOW);
    window.samples.clear();
    let counts = ingester
        .ingest(&exposition, window)
        .map_err(|error| error.to_string())?;
    assert_eq!(
        counts.samples,
        counts.stored + counts.unselected,
        "{counts:?}"
    );
    Ok(window.samples.clone())
}

fn ask(python: &str, files: &[PathBuf]) -> Vec<Answer> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/exposition.py");
    let request: Vec<_> = files
        .iter()
        .map(|file| json!({"file": file, "openmetrics": format_of_file(file) == Format::OpenMetrics}))
        .collect();
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("SIDEWATCH_PYTHON is a Python");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = serde_json::to_string(&request).expect("JSON");
    stdin.write_all(text.as_bytes()).expect("a reading child");
    drop(stdin);
    let output = child.wait_with_output().expect("a finished child");
    assert!(output.status.success(), "{}", output.status);
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an answer"))
        .collect()
}

/// The first sample that only one of the two has.
fn difference(path: &Path, theirs: Vec<Sample>, ours: Vec<Sample>) -> Option<String> {
    let sorted = |mut samples: Vec<Sample>| {
        samples.sort();
        samples
    };
    let (theirs, ours) = (sorted(theirs), sorted(ours));
    if theirs == ours {
        return None;
    }
    let only = |a: &[Sample], b: &[Sample]| a.iter().find(|s| b.binary_search(s).is_err()).cloned();
    Some(format!(
        "{}: {} samples of prometheus_client, {} of ours, only theirs {:?}, only ours {:?}",
        path.display(),
        theirs.len(),
        ours.len(),
        only(&theirs, &ours),
        only(&ours, &theirs)
    ))
}

#[test]
fn every_recorded_body_is_read_as_prometheus_client_reads_it() {
    let Ok(python) = std::env::var("SIDEWATCH_PYTHON") else {
        println!("skipped: SIDEWATCH_PYTHON is not set to a Python with prometheus_client 0.26");
        return;
    };
    let recordings = recordings();
    let mut files = Vec::new();
    bodies_in(recordings.path(), &mut files);
    files.sort();
    assert!(files.len() > 200, "{} bodies", files.len());
    let mut of_directory = PathBuf::new();
    let mut reader = ingester();
    let mut window = Window::default();
    let mut differences = Vec::new();
    for answer in ask(&python, &files) {
        let path = &answer.file;
        let directory = path.parent().expect("a directory");
        if directory != of_directory {
            of_directory = directory.to_owned();
            reader = ingester();
            window = Window::default();
        }
        let found = ours(&mut window, &mut reader, path);
        match (answer.error, found) {
            (None, Ok(samples)) => differences.extend(difference(path, answer.samples, samples)),
            (theirs, ours) => differences.push(format!(
                "{}: prometheus_client {theirs:?}, ours {:?}",
                path.display(),
                ours.err()
            )),
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} bodies differ:\n{}",
        differences.len(),
        files.len(),
        differences.join("\n")
    );
}
