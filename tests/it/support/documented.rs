//! Bodies in the documented format of model servers without a recording.

use std::fmt::Write as _;

/// A histogram of 60 observations: 40 up to the first bound, 55 up to the second, all below
/// infinity.
fn histogram(name: &str, labels: &str, bounds: [&str; 2]) -> String {
    let mut text = format!("# TYPE {name} histogram\n");
    let counts = [(bounds[0], 40), (bounds[1], 55), ("+Inf", 60)];
    let comma = if labels.is_empty() { "" } else { "," };
    for (bound, count) in counts {
        writeln!(
            text,
            "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}"
        )
        .unwrap();
    }
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    };
    writeln!(text, "{name}_sum{labels} 30\n{name}_count{labels} 60").unwrap();
    text
}

/// vLLM, from the table of metrics in its documentation.
pub(crate) fn vllm(model: &str) -> String {
    let labels = format!("engine=\"0\",model_name=\"{model}\"");
    let mut text = String::new();
    for (name, value) in [
        ("num_requests_running", "3"),
        ("num_requests_waiting", "1"),
        ("kv_cache_usage_perc", "0.4"),
    ] {
        writeln!(
            text,
            "# TYPE vllm:{name} gauge\nvllm:{name}{{{labels}}} {value}"
        )
        .unwrap();
    }
    for (name, value) in [
        ("prompt_tokens", "18292"),
        ("generation_tokens", "12406"),
        ("num_preemptions", "0"),
    ] {
        writeln!(
            text,
            "# TYPE vllm:{name}_total counter\nvllm:{name}_total{{{labels}}} {value}"
        )
        .unwrap();
    }
    text += "# TYPE vllm:request_success_total counter\n";
    for (reason, value) in [("stop", 50), ("length", 9), ("abort", 1)] {
        writeln!(
            text,
            "vllm:request_success_total{{{labels},finished_reason=\"{reason}\"}} {value}"
        )
        .unwrap();
    }
    for (name, bounds) in [
        ("time_to_first_token_seconds", ["0.1", "1.0"]),
        ("inter_token_latency_seconds", ["0.025", "0.1"]),
        ("e2e_request_latency_seconds", ["0.5", "2.5"]),
    ] {
        text += &histogram(&format!("vllm:{name}"), &labels, bounds);
    }
    text
}

/// A vLLM that exposes one histogram, and no metric that its pack judges.
pub(crate) fn poor_vllm(model: &str) -> String {
    let labels = format!("model_name=\"{model}\"");
    histogram("vllm:iteration_tokens_total", &labels, ["8.0", "512.0"])
}

/// The router of Text Generation Inference: counters without `_total`, no model name.
pub(crate) fn tgi() -> String {
    let mut text = String::from(
        "# TYPE tgi_queue_size gauge\ntgi_queue_size 1\n\
         # TYPE tgi_batch_current_size gauge\ntgi_batch_current_size 2\n\
         # TYPE tgi_request_count counter\ntgi_request_count 60\n\
         # TYPE tgi_request_success counter\ntgi_request_success 58\n\
         # TYPE tgi_request_failure counter\ntgi_request_failure{err=\"validation\"} 2\n",
    );
    text += &histogram("tgi_request_duration", "", ["0.5", "2.5"]);
    text += &histogram("tgi_request_queue_duration", "", ["0.01", "0.1"]);
    text
}

/// llama.cpp's server, which has no histograms.
pub(crate) fn llama_cpp() -> String {
    let counters = [
        ("prompt_tokens_total", "18000"),
        ("prompt_seconds_total", "35.5"),
        ("tokens_predicted_total", "1400"),
        ("n_decode_total", "740"),
    ];
    let gauges = [
        ("prompt_tokens_seconds", "514"),
        ("predicted_tokens_seconds", "33.6"),
        ("requests_processing", "1"),
        ("requests_deferred", "0"),
    ];
    let mut text = String::new();
    for (kind, metrics) in [("counter", counters), ("gauge", gauges)] {
        for (name, value) in metrics {
            writeln!(
                text,
                "# TYPE llamacpp:{name} {kind}\nllamacpp:{name} {value}"
            )
            .unwrap();
        }
    }
    text
}

/// Xinference, which has no pack.
pub(crate) fn xinference() -> String {
    String::from("# TYPE xinference:throughput gauge\nxinference:throughput{model=\"m\"} 12\n")
}
