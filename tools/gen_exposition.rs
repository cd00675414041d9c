//! Writes an exposition of N series to standard output, as a model server with many models would.
//!
//! `cargo run --release --example gen_exposition -- N [SEED] [--plain]`: the same N and seed give
//! the same bytes, another seed the same series with other values; `--plain` writes `_` for the
//! colons of vLLM's names.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use sidewatch_engine::metric::SplitMix64;

/// Families of one label set: name, type.
const FAMILIES: [(&str, &str); 15] = [
    ("vllm:time_to_first_token_seconds", "histogram"),
    ("vllm:num_requests_running", "gauge"),
    ("vllm:num_requests_waiting", "gauge"),
    ("vllm:kv_cache_usage_perc", "gauge"),
    ("vllm:prompt_tokens_total", "counter"),
    ("vllm:generation_tokens_total", "counter"),
    ("vllm:e2e_request_latency_seconds", "histogram"),
    ("nv_inference_request_success", "counter"),
    ("nv_inference_request_failure", "counter"),
    ("nv_inference_count", "counter"),
    ("nv_inference_exec_count", "counter"),
    ("nv_inference_request_duration_us", "counter"),
    ("nv_inference_queue_duration_us", "counter"),
    ("nv_gpu_utilization", "gauge"),
    ("request_predict_seconds", "histogram"),
];

/// Bounds of the histograms: 12 buckets.
const BOUNDS: [&str; 12] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf",
];

fn labels(set: usize) -> String {
    format!(
        "model_name=\"fraud-detector-{}\",model_version=\"{}\",namespace=\"ml-serving\",pod=\"predictor-{:05x}\",engine=\"{}\"",
        set % 97,
        set % 5 + 1,
        set,
        set % 8
    )
}

fn histogram(
    out: &mut impl Write,
    name: &str,
    set: usize,
    random: &mut SplitMix64,
    left: &mut usize,
) -> io::Result<()> {
    let labels = labels(set);
    let mut count = 0;
    for bound in BOUNDS {
        if *left == 0 {
            return Ok(());
        }
        count += random.next_u64() % 5000;
        writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}")?;
        *left -= 1;
    }
    let sum = (random.next_u64() % 1_000_000_000).to_string();
    let (whole, part) = sum.split_at(sum.len() / 2);
    for line in [
        format!(
            "{name}_sum{{{labels}}} {}.{part}",
            if whole.is_empty() { "0" } else { whole }
        ),
        format!("{name}_count{{{labels}}} {count}"),
    ] {
        if *left == 0 {
            return Ok(());
        }
        writeln!(out, "{line}")?;
        *left -= 1;
    }
    Ok(())
}

fn write(out: &mut impl Write, series: usize, seed: u64, plain: bool) -> io::Result<()> {
    let mut random = SplitMix64::new(seed);
    let per_set: usize = FAMILIES
        .iter()
        .map(|(_, kind)| {
            if *kind == "histogram" {
                BOUNDS.len() + 2
            } else {
                1
            }
        })
        .sum();
    let sets = series.div_ceil(per_set);
    let mut left = series;
    for (name, kind) in FAMILIES {
        let name = if plain {
            name.replace(':', "_")
        } else {
            name.to_owned()
        };
        writeln!(
            out,
            "# HELP {name} What the server says about {name}.\n# TYPE {name} {kind}"
        )?;
        for set in 0..sets {
            if kind == "histogram" {
                histogram(out, &name, set, &mut random, &mut left)?;
            } else if left > 0 {
                let value = random.next_u64() % 10_000_000;
                match kind {
                    "counter" => writeln!(out, "{name}{{{}}} {value}", labels(set))?,
                    _ => writeln!(
                        out,
                        "{name}{{{}}} {}.{:03}",
                        labels(set),
                        value % 100,
                        value % 1000
                    )?,
                }
                left -= 1;
            }
        }
    }
    out.flush()
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let plain = arguments.iter().any(|word| word == "--plain");
    arguments.retain(|word| word != "--plain");
    let numbers: Option<Vec<u64>> = arguments.iter().map(|word| word.parse().ok()).collect();
    let (series, seed) = match numbers.as_deref() {
        Some([series]) => (*series, 1),
        Some([series, seed]) => (*series, *seed),
        _ => {
            let usage = "usage: gen_exposition SERIES [SEED] [--plain]\n";
            return match io::stderr().write_all(usage.as_bytes()) {
                Ok(()) | Err(_) => ExitCode::from(2),
            };
        }
    };
    let series = usize::try_from(series).unwrap_or(usize::MAX);
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match write(&mut out, series, seed, plain) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
