//! The cost of a scrape of 10,000 series: 909 judged signals with 11 series each.
//!
//! `cargo bench --bench encode` prints the time to encode our `/metrics`, and the time in which the
//! `prometheus` crate gathers and encodes the same series.

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;

use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use sidewatch::internals::publish::{
    Definition, Exposition, RuleKind, STATES, Shared, Signal, Snapshot, Target,
};
use sidewatch_engine::judge::Band;
use sidewatch_engine::metric::{Labels, Timestamp};

const SIGNALS: u32 = 909;

/// The fastest of several calls, in milliseconds.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock"
)]
fn best_of(times: usize, mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..times {
        let start = std::time::Instant::now();
        call();
        best = best.min(start.elapsed().as_secs_f64() * 1000.0);
    }
    best
}

fn value(index: u32) -> f64 {
    0.9 + f64::from(index).sin() / 10.0
}

fn ours() -> Shared {
    let rule: Arc<Definition> =
        Definition::new("drift", "AccuracyDropped", RuleKind::Watch, Vec::new()).into();
    let signal = |index: u32| Signal {
        rule: Arc::clone(&rule),
        labels: Labels::new([
            ("model_name", format!("fraud-{index}")),
            ("route", format!("/v2/models/fraud-{index}/infer")),
        ]),
        value: Some(value(index)),
        state: Some("ok"),
        score: Some(value(index) / 3.0),
        expected: Band {
            lower: Some(value(index) - 0.1),
            centre: None,
            upper: Some(value(index) + 0.1),
        },
        ..Signal::default()
    };
    let model = Labels::new([("model_id", "fraud"), ("model_version", "7")]);
    let shared = Shared::new(&model);
    shared.publish(Snapshot {
        at: Timestamp::from_secs_f64(1.7e9),
        model,
        targets: vec![Target::default()],
        signals: (0..SIGNALS).map(signal).collect(),
        ..Snapshot::default()
    });
    shared
}

fn theirs() -> Registry {
    let registry = Registry::new();
    let names = ["model_id", "model_version", "rule", "model_name", "route"];
    let gauge = |name: &str, more: &[&str]| {
        let labels = [&names[..], more].concat();
        let gauge = GaugeVec::new(Opts::new(name, "Help."), &labels).expect("the names are valid");
        registry
            .register(Box::new(gauge.clone()))
            .expect("each is registered once");
        gauge
    };
    let plain: Vec<GaugeVec> = ["value", "anomaly", "score", "lower", "upper"]
        .iter()
        .map(|name| gauge(name, &[]))
        .collect();
    let states = gauge("state", &["state"]);
    for index in 0..SIGNALS {
        let (name, route) = (
            format!("fraud-{index}"),
            format!("/v2/models/fraud-{index}/infer"),
        );
        let labels = ["fraud", "7", "AccuracyDropped", &name, &route];
        for gauge in &plain {
            gauge.with_label_values(&labels).set(value(index));
        }
        for state in STATES {
            let labels = [&labels[..], &[state]].concat();
            states.with_label_values(&labels).set(0.0);
        }
    }
    registry
}

fn main() -> io::Result<()> {
    let shared = ours();
    let page = shared.metrics(Exposition::Text);
    let series = page
        .lines()
        .filter(|line| line.starts_with("sidewatch_"))
        .count();
    let text = best_of(30, || {
        black_box(shared.metrics(Exposition::Text));
    });
    let open = best_of(30, || {
        black_box(shared.metrics(Exposition::OpenMetrics));
    });
    let registry = theirs();
    let crate_way = best_of(30, || {
        let mut out = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut out)
            .expect("a Vec takes everything");
        black_box(out);
    });
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "series on the page             {series}, {} bytes",
        page.len()
    )?;
    writeln!(out, "text 0.0.4                     {text:.2} ms")?;
    writeln!(out, "OpenMetrics 1.0                {open:.2} ms")?;
    writeln!(out, "prometheus crate, same series  {crate_way:.2} ms")?;
    writeln!(
        out,
        "ratio                          {:.1}",
        crate_way / text
    )
}
