//! Measures the parser and the ingester against the `prometheus-parse` crate and a bare scan for
//! newlines.
//!
//! `cargo run --release --example bench_parse -- FILE…` prints one JSON object a line and file.
//! Bodies alternate between variants of the file with other values, so that no branch predictor
//! learns one body by heart. Every figure is the median of rounds taken in turn.
//!
//! - `cold`: every series tokenised, unescaped and hashed, every value read, nothing remembered.
//! - `steady`: the ingester sees the series of the last scrape with new values and stores them.

use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sidewatch_engine::exposition::parse::{Parser, Series};
use sidewatch_engine::exposition::{Exposition, Format, Ingester, ScrapeLimits};
use sidewatch_engine::metric::hash_bytes;
use sidewatch_engine::metric::{Appender, Labels, SeriesFilter, SeriesRef, Timestamp};
use tokio::time::Instant;

/// Bodies with different values.
const VARIANTS: usize = 4;

/// Rounds of each contender.
const ROUNDS: usize = 7;

/// At least this long is one measurement.
const SLICE: Duration = Duration::from_millis(60);

/// A window of one row.
#[derive(Default)]
struct Row {
    values: Vec<f64>,
}

impl Appender for Row {
    fn resolve(&mut self, _: &Labels) -> Option<SeriesRef> {
        let index = u32::try_from(self.values.len()).ok()?;
        self.values.push(0.0);
        Some(SeriesRef {
            index,
            generation: 0,
        })
    }

    fn append(&mut self, series: SeriesRef, _: Option<Timestamp>, value: f64) -> bool {
        match self.values.get_mut(series.index as usize) {
            Some(place) => {
                *place = value;
                true
            }
            None => false,
        }
    }
}

/// The body with other digits in about half of its values.
fn variant(body: &[u8], number: usize) -> Vec<u8> {
    let mut out = body.to_vec();
    let mut start = 0;
    for (line, newline) in memchr::memchr_iter(b'\n', body).enumerate() {
        let changes = (line * 7 + number * 3) % 15 < 7;
        if changes
            && body[start] != b'#'
            && let Some(blank) = memchr::memrchr(b' ', &body[start..newline])
        {
            for byte in &mut out[start + blank + 2..newline] {
                if byte.is_ascii_digit() {
                    *byte = b'0' + (*byte - b'0' + u8::try_from(number).unwrap_or(0)) % 10;
                }
            }
        }
        start = newline + 1;
    }
    out
}

/// Tokenises, unescapes and hashes everything; returns samples and a digest.
fn cold(body: &[u8], format: Format, series: &mut Series) -> Option<(u64, u64)> {
    let mut parser = Parser::new(body, format);
    let (mut samples, mut digest) = (0, 0_u64);
    while let Some(suffix) = parser.next_sample(series).ok()? {
        samples += 1;
        let escaped = series.labels.iter().any(|(_, value)| value.is_escaped());
        let hash = if escaped {
            let mut text = String::new();
            for (name, value) in &series.labels {
                text.push_str(&name.text(body));
                text.push_str(&value.text(body));
            }
            hash_bytes(text.as_bytes(), samples)
        } else {
            hash_bytes(&body[series.range.clone()], 1)
        };
        digest = digest
            .wrapping_add(hash)
            .wrapping_add(suffix.value.to_bits());
    }
    Some((samples, digest))
}

/// Bytes per microsecond, that is MB/s, of one slice.
fn rate(bodies: &[Vec<u8>], mut work: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    let mut bytes = 0;
    loop {
        for (number, body) in bodies.iter().enumerate() {
            work(number);
            bytes += body.len();
        }
        let elapsed = start.elapsed();
        if elapsed >= SLICE {
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            return bytes as f64 / elapsed.as_secs_f64() / 1e6;
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn measure(path: &str) -> Result<serde_json::Value, String> {
    let file = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let openmetrics = file.trim_ascii_end().ends_with(b"# EOF");
    let format = if openmetrics {
        Format::OpenMetrics
    } else {
        Format::Text
    };
    let bodies: Vec<Vec<u8>> = (0..VARIANTS).map(|number| variant(&file, number)).collect();
    let mut series = Series::default();
    let (samples, _) = cold(&file, format, &mut series)
        .ok_or_else(|| format!("{path}: not a valid exposition"))?;
    let everything = Arc::new(SeriesFilter::everything());
    let mut ingester = Ingester::new(ScrapeLimits::NONE, Labels::empty(), false, true, everything);
    let mut row = Row::default();
    let expositions: Vec<Exposition> = bodies
        .iter()
        .map(|body| Exposition::new(body.clone(), format, Timestamp::default()))
        .collect();
    let mut rates = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        rates[0].push(rate(&bodies, |n| {
            black_box(cold(black_box(&bodies[n]), format, &mut series));
        }));
        rates[1].push(rate(&bodies, |n| {
            black_box(
                ingester
                    .ingest(black_box(&expositions[n]), &mut row)
                    .is_ok(),
            );
        }));
        rates[2].push(rate_of_peer(&bodies));
        rates[3].push(rate(&bodies, |n| {
            black_box(memchr::memchr_iter(b'\n', black_box(&bodies[n])).count());
        }));
    }
    let [cold, steady, peer, scan] = rates.map(median);
    let round = |rate: f64| (rate * 10.0).round() / 10.0;
    Ok(json!({
        "file": path,
        "bytes": file.len(),
        "samples": samples,
        "cold_mb_s": round(cold),
        "steady_mb_s": round(steady),
        "prometheus_parse_mb_s": round(peer),
        "memchr_mb_s": round(scan),
        "cold_ratio": round(cold / peer),
        "steady_ratio": round(steady / peer),
    }))
}

/// The rate of `prometheus-parse`, which takes lines: splitting them is not counted.
fn rate_of_peer(bodies: &[Vec<u8>]) -> f64 {
    let lines = |body: &[u8]| -> Vec<io::Result<String>> {
        String::from_utf8_lossy(body)
            .lines()
            .map(|line| Ok(line.to_owned()))
            .collect()
    };
    let (mut bytes, mut spent) = (0, Duration::ZERO);
    for body in bodies.iter().cycle() {
        let split = lines(body);
        let start = Instant::now();
        black_box(prometheus_parse::Scrape::parse(black_box(split.into_iter())).is_ok());
        spent += start.elapsed();
        bytes += body.len();
        if spent >= SLICE {
            break;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = bytes as f64 / spent.as_secs_f64() / 1e6;
    rate
}

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in std::env::args().skip(1) {
        let written = match measure(&path) {
            Ok(line) => writeln!(io::stdout(), "{line}"),
            Err(error) => {
                code = ExitCode::FAILURE;
                writeln!(io::stderr(), "{error}")
            }
        };
        if written.is_err() {
            return ExitCode::FAILURE;
        }
    }
    code
}
