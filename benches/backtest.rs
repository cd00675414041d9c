//! The cost of a backtest: one day at 15 s, 5,760 scrapes of a target with 1,000 series, through
//! the vllm pack.
//!
//! `cargo bench --bench backtest [-- STEPS]` writes the day as a folder of scrapes and as one
//! OpenMetrics file, replays both and prints the seconds of each. The folder needs 600 MB in the
//! temporary directory.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use sidewatch::internals::cli::backtest::{Backtest, Format, Source};
use sidewatch_engine::metric::SplitMix64;

const STEP: u32 = 15;
const SERIES: usize = 1000;
const START: u32 = 1_700_000_000;
const BOUNDS: [&str; 12] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf",
];
const HISTOGRAMS: [&str; 2] = [
    "vllm:time_to_first_token_seconds",
    "vllm:e2e_request_latency_seconds",
];
const COUNTERS: [&str; 5] = [
    "vllm:request_success_total",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "nv_inference_request_success",
    "nv_inference_queue_duration_us",
];
const GAUGES: [&str; 3] = [
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
];

/// One series of the exposition and its current value.
struct Line {
    head: String,
    counter: bool,
    value: u64,
}

/// A target with [`SERIES`] series.
fn target() -> Vec<Line> {
    let mut lines = Vec::new();
    for set in 0.. {
        let labels = format!(
            "model_name=\"m{set}\",engine=\"0\",namespace=\"ml-serving\",pod=\"predictor-{set:05}\""
        );
        for name in HISTOGRAMS {
            for bound in BOUNDS {
                lines.push((format!("{name}_bucket{{{labels},le=\"{bound}\"}} "), true));
            }
            lines.push((format!("{name}_sum{{{labels}}} "), true));
            lines.push((format!("{name}_count{{{labels}}} "), true));
        }
        lines.extend(COUNTERS.map(|name| (format!("{name}{{{labels}}} "), true)));
        lines.extend(GAUGES.map(|name| (format!("{name}{{{labels}}} "), false)));
        if lines.len() >= SERIES {
            break;
        }
    }
    lines.truncate(SERIES);
    let lines = lines.into_iter();
    lines
        .map(|(head, counter)| Line {
            head,
            counter,
            value: 0,
        })
        .collect()
}

/// Moves the target to the next scrape: counters grow, gauges vary.
fn advance(lines: &mut [Line], random: &mut SplitMix64) {
    for line in lines {
        line.value = if line.counter {
            line.value + 20 + random.next_u64() % 10
        } else {
            random.next_u64() % 100
        };
    }
}

fn write_day(dir: &Path, steps: u32) -> io::Result<()> {
    let (mut lines, mut random) = (target(), SplitMix64::new(1));
    let mut values: Vec<Vec<u64>> = vec![Vec::new(); lines.len()];
    for step in 0..steps {
        advance(&mut lines, &mut random);
        let mut body = String::with_capacity(1 << 17);
        for (line, values) in lines.iter().zip(&mut values) {
            writeln!(body, "{}{}", line.head, line.value).map_err(io::Error::other)?;
            values.push(line.value);
        }
        fs::write(dir.join(format!("snap_{:04}.txt", step + 1)), body)?;
    }
    let mut om = BufWriter::with_capacity(1 << 20, File::create(dir.join("day.om"))?);
    for (line, values) in lines.iter().zip(values) {
        for (step, value) in (0..).zip(values) {
            writeln!(om, "{}{value} {}", line.head, START + step * STEP)?;
        }
    }
    writeln!(om, "# EOF")?;
    om.flush()
}

/// Replays a source. Returns the seconds and the last line of the output.
fn replay(source: Source, format: Format) -> (f64, String) {
    let command = Backtest {
        rules: vec!["vllm".to_owned()],
        source,
        step: Some(Duration::from_secs(STEP.into())),
        format,
        ..Backtest::default()
    };
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "a benchmark reads the clock"
    )]
    let start = std::time::Instant::now();
    let mut out = Vec::new();
    let ended = command.run(&mut out);
    let seconds = start.elapsed().as_secs_f64();
    let text = match ended {
        Ok(_) if format == Format::Json => format!("{} bytes of JSON", out.len()),
        Ok(_) => String::from_utf8_lossy(&out)
            .lines()
            .last()
            .unwrap_or("")
            .to_owned(),
        Err(error) => error.to_string(),
    };
    (seconds, text)
}

fn main() -> io::Result<()> {
    let steps = std::env::args()
        .find_map(|word| word.parse().ok())
        .unwrap_or(5760);
    let dir = tempfile::tempdir()?;
    write_day(dir.path(), steps)?;
    let folder = || Source {
        snapshots: Some(dir.path().to_owned()),
        ..Source::default()
    };
    let file = Source {
        openmetrics: Some(dir.path().join("day.om")),
        ..Source::default()
    };
    let runs = [
        ("folder of scrapes", folder(), Format::Text),
        ("folder of scrapes, JSON", folder(), Format::Json),
        ("OpenMetrics file", file, Format::Text),
    ];
    let mut out = io::stdout().lock();
    for (name, source, format) in runs {
        let (seconds, answer) = replay(source, format);
        writeln!(out, "{name:24} {seconds:6.2} s   {answer}")?;
    }
    Ok(())
}
