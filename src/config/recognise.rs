//! Recognises a target's model server by the names of its metrics.

use std::fmt;

use super::packs;
use super::rules::RuleReader;
use crate::judge::Registry;
use crate::promql::Expr;
use crate::rules::Rule;

/// The pack for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pack {
    /// The pack's name, as in `--rules=vllm`.
    pub name: &'static str,
    /// The exposed metric that identified the server.
    pub because: String,
}

impl fmt::Display for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pack {}, because the target exposes {}",
            self.name, self.because
        )
    }
}

/// Why no pack fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// A known program without a pack.
    #[error("the target is {0}, for which there is no pack; write rules for {1} and the like")]
    NoPack(&'static str, String),
    /// No distinctive metric.
    #[error("no pack fits a target that exposes {0}; name a pack or a file of your own")]
    Unknown(String),
    /// An empty exposition, as of a server that is starting.
    #[error("the target exposes nothing yet")]
    Nothing,
}

/// The signature of a server: this many names that start with one of these.
struct Server {
    pack: &'static str,
    least: usize,
    prefixes: &'static [&'static str],
}

const fn server(pack: &'static str, prefixes: &'static [&'static str]) -> Server {
    Server {
        pack,
        least: 1,
        prefixes,
    }
}

/// Ordered from the engine outwards: vLLM inside KServe or behind FastAPI is vLLM.
const SERVERS: [Server; 13] = [
    server("vllm", &["vllm:"]),
    server("sglang", &["sglang:"]),
    server("tgi", &["tgi_"]),
    server("triton", &["nv_inference_"]),
    server("torchserve", &["ts_inference_", "ts_queue_"]),
    server("tf-serving", &[":tensorflow:serving:"]),
    server("ray-serve", &["ray_serve_"]),
    server("seldon", &["seldon_"]),
    server("bentoml", &["bentoml_"]),
    server("mlserver", &["model_infer_request_", "rest_server_request"]),
    server(
        "kserve",
        &[
            "request_predict_seconds",
            "request_preprocess_seconds",
            "request_postprocess_seconds",
            "request_explain_seconds",
        ],
    ),
    // vLLM's names without a prefix; a single one may belong to another program.
    Server {
        pack: "nim",
        least: 3,
        prefixes: &[
            "num_requests_running",
            "num_requests_waiting",
            "num_request_max",
            "gpu_cache_usage_perc",
            "time_to_first_token_seconds",
            "time_per_output_token_seconds",
            "e2e_request_latency_seconds",
            "request_finish_total",
        ],
    },
    server("fastapi", &["http_request_duration_highr_seconds"]),
];

/// Programs without a pack.
const OTHERS: [(&str, &str); 4] = [
    ("llamacpp:", "a llama.cpp server"),
    (
        "DCGM_FI_",
        "the DCGM exporter, which knows GPUs and no models",
    ),
    ("node_", "the node exporter"),
    ("sidewatch_", "Sidewatch itself"),
];

/// Names that prometheus_client adds to a Python program, and words in the names of model metrics.
const PYTHON: [&str; 2] = ["python_info", "python_gc_"];
const WORDS: [&str; 5] = ["predict", "inference", "accuracy", "drift", "model_"];

/// The pack for a target with metrics of these names; `prometheus-client` for a Python program or a
/// custom model.
///
/// # Errors
/// Why no pack fits.
pub fn recognise(names: &[&str]) -> Result<Pack, Why> {
    // `_created` series do not identify a server.
    let telling = names.iter().filter(|name| !name.ends_with("_created"));
    let names: Vec<&str> = telling.copied().collect();
    let Some(first) = names.first() else {
        return Err(Why::Nothing);
    };
    let pack = |name: &'static str, because: &str| Pack {
        name,
        because: because.to_owned(),
    };
    for server in &SERVERS {
        let mut marks = server
            .prefixes
            .iter()
            .filter_map(|prefix| names.iter().find(|name| name.starts_with(prefix)));
        if let Some(last) = marks.nth(server.least - 1) {
            return Ok(pack(server.pack, last));
        }
    }
    for (prefix, who) in OTHERS {
        if let Some(name) = names.iter().find(|name| name.starts_with(prefix)) {
            return Err(Why::NoPack(who, (*name).to_owned()));
        }
    }
    let usual = usual_names();
    let mark = names
        .iter()
        .find(|name| usual.iter().any(|usual| usual == *name))
        .or_else(|| {
            names
                .iter()
                .find(|name| WORDS.iter().any(|word| name.contains(word)))
        })
        .or_else(|| {
            names
                .iter()
                .find(|name| PYTHON.iter().any(|mark| name.starts_with(mark)))
        });
    match mark {
        Some(name) => Ok(pack(GENERIC, name)),
        None => Err(Why::Unknown(
            few(&names).unwrap_or_else(|| (*first).to_owned()),
        )),
    }
}

/// The names that identify a target; of a histogram only the count.
#[must_use]
pub(crate) fn marks<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let usual = usual_names();
    let prefixes = SERVERS.iter().flat_map(|server| server.prefixes).copied();
    let prefixes: Vec<&str> = prefixes
        .chain(OTHERS.iter().map(|(prefix, _)| *prefix))
        .collect();
    let tells = |name: &str| {
        prefixes.iter().any(|prefix| name.starts_with(prefix))
            || usual.iter().any(|usual| usual == name)
            || WORDS.iter().any(|word| name.contains(word))
    };
    let mut marks: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !name.ends_with("_created") && tells(name))
        .collect();
    if marks.iter().any(|name| !name.ends_with("_bucket")) {
        marks.retain(|name| !name.ends_with("_bucket"));
    }
    marks
}

/// A regular expression, anchored as in Prometheus, for every name that may identify a target: all
/// that [`recognise`] uses, except the names that any Python program exposes.
#[must_use]
pub(crate) fn pattern() -> String {
    let prefixes = SERVERS.iter().flat_map(|server| server.prefixes).copied();
    let prefixes = prefixes.chain(OTHERS.iter().map(|(prefix, _)| *prefix));
    let begin = prefixes.map(|prefix| format!("{}.*", regex::escape(prefix)));
    let usual = usual_names().into_iter().map(|name| regex::escape(&name));
    let words = WORDS.iter().map(|word| format!(".*{word}.*"));
    let mut parts: Vec<String> = begin.chain(usual).chain(words).collect();
    parts.sort();
    parts.dedup();
    parts.join("|")
}

const GENERIC: &str = "prometheus-client";

/// The metrics that the generic pack looks for.
fn usual_names() -> Vec<String> {
    let registry = Registry::built_in();
    let reader = RuleReader::new(&registry);
    let text = packs::find(GENERIC).unwrap_or_default();
    let groups = reader.read(GENERIC, text).unwrap_or_default();
    let selectors = groups
        .iter()
        .flat_map(|group| &group.rules)
        .flat_map(Rule::expressions)
        .flat_map(Expr::selectors);
    let names = selectors.filter_map(|selector| selector.metric_name().map(str::to_owned));
    names.collect()
}

/// The first names, for a message.
fn few(names: &[&str]) -> Option<String> {
    let first: Vec<&str> = names.iter().copied().take(3).collect();
    let more = names.len().checked_sub(3).filter(|more| *more > 0)?;
    Some(format!("{} and {more} more", first.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{Why, marks, pattern, recognise};
    use crate::metric::{MatchOp, Matcher};

    fn name(names: &[&str]) -> Option<&'static str> {
        recognise(names).ok().map(|pack| pack.name)
    }

    #[test]
    fn the_engine_counts_and_not_what_is_around_it() {
        let around = ["http_request_duration_highr_seconds_count", "python_info"];
        assert_eq!(name(&around), Some("fastapi"));
        assert_eq!(
            name(&[around[0], "vllm:num_requests_running"]),
            Some("vllm")
        );
        assert_eq!(
            name(&[":tensorflow:serving:request_count"]),
            Some("tf-serving")
        );
        assert_eq!(
            name(&["ray_serve_num_http_requests_total"]),
            Some("ray-serve")
        );
        assert_eq!(name(&["bentoml_service_request_total"]), Some("bentoml"));
        assert_eq!(name(&["seldon_model_infer_total"]), Some("seldon"));
        assert_eq!(name(&["sglang:num_queue_reqs"]), Some("sglang"));
    }

    #[test]
    fn the_pattern_finds_what_tells_and_leaves_out_the_rest() {
        let pattern = Matcher::try_new("__name__", MatchOp::Regex, &pattern()).unwrap();
        for name in [
            "vllm:num_requests_running",
            ":tensorflow:serving:request_count",
            "llamacpp:n_decode_total",
            "request_latency_seconds_bucket",
            "fraud_accuracy",
            "gpu_cache_usage_perc",
        ] {
            assert!(pattern.matches(name) && marks(&[name]) == [name], "{name}");
        }
        for name in ["up", "python_info", "go_goroutines", "job:x:rate5m"] {
            assert!(!pattern.matches(name), "{name}");
        }
    }

    #[test]
    fn names_that_anybody_may_use_must_come_together() {
        assert_eq!(name(&["num_requests_running", "x"]), None);
        let nim = [
            "gpu_cache_usage_perc",
            "num_request_max",
            "num_requests_running",
        ];
        assert_eq!(name(&nim), Some("nim"));
    }

    #[test]
    fn a_model_of_ones_own_gets_the_generic_pack() {
        let pack = recognise(&["a", "request_latency_seconds_bucket"]).unwrap();
        assert_eq!(
            pack.to_string(),
            "pack prometheus-client, because the target exposes request_latency_seconds_bucket"
        );
        assert_eq!(name(&["fraud_accuracy"]), Some("prometheus-client"));
        assert_eq!(name(&["python_info"]), Some("prometheus-client"));
    }

    #[test]
    fn what_is_unknown_is_said_to_be() {
        assert_eq!(recognise(&[]), Err(Why::Nothing));
        let why = |names: &[&str]| recognise(names).unwrap_err().to_string();
        assert_eq!(
            why(&["a", "b", "c", "d"]),
            "no pack fits a target that exposes a, b, c and 1 more; name a pack or a file of your own"
        );
        assert_eq!(
            why(&["a"]),
            "no pack fits a target that exposes a; name a pack or a file of your own"
        );
        assert!(
            why(&["llamacpp:n_decode_total"])
                .starts_with("the target is a llama.cpp server, for which there is no pack")
        );
    }
}
