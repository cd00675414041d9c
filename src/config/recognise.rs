//! Recognises a target's model server by the names of its metrics.

use std::fmt;

use super::packs;
use super::rules::RuleReader;
use crate::judge::Registry;
use crate::metric::{Labels, MatchOp, Matcher, Selector};
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
    /// The packs to load beside it, which also find series.
    pub beside: Vec<&'static str>,
}

impl Pack {
    /// The names of all packs to load.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        std::iter::once(self.name)
            .chain(self.beside.iter().copied())
            .collect()
    }
}

impl fmt::Display for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pack {}, because the target exposes {}",
            self.name, self.because
        )?;
        if !self.beside.is_empty() {
            write!(f, "; beside it {}", self.beside.join(" and "))?;
        }
        Ok(())
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

/// Ordered from the engine outwards: vLLM inside KServe or behind FastAPI is vLLM. A Triton with the
/// vLLM backend is a Triton, which has models of other backends too.
const SERVERS: [Server; 29] = [
    server("triton", &["nv_inference_"]),
    server("dynamo", &["dynamo_frontend_"]),
    server("vllm", &["vllm:"]),
    server("vllm-ray", &["ray_vllm:"]),
    server("vllm-ray-underscored", &["ray_vllm_"]),
    server("vllm-underscored", &UNDERSCORED),
    server("sglang", &["sglang:"]),
    server(
        "sglang-underscored",
        &["sglang_num_", "sglang_token_", "sglang_e2e_"],
    ),
    server("trtllm", &["trtllm_"]),
    server("lmdeploy", &["lmdeploy:"]),
    server("llama-cpp", &["llamacpp:"]),
    server("tgi", &["tgi_"]),
    server("lorax", &["lorax_"]),
    server("tei", &["te_request_", "te_embed_"]),
    server("lightllm", &["lightllm_"]),
    server("ovms", &["ovms_"]),
    server("torchserve", &["ts_inference_", "ts_queue_"]),
    server("tf-serving", &[":tensorflow:serving:"]),
    server("ray-serve", &["ray_serve_"]),
    server("seldon", &["seldon_"]),
    server("bentoml", &["bentoml_"]),
    server("mosec", &["mosec_service_"]),
    server("litellm", &["litellm_"]),
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
    server("knative", &["revision_request_", "revision_app_request_"]),
    server("dcgm", &["DCGM_FI_"]),
];

/// Names of vLLM with `_` for the colon, which no other program has.
const UNDERSCORED: [&str; 4] = [
    "vllm_num_requests_",
    "vllm_e2e_request_",
    "vllm_time_to_first_",
    "vllm_generation_tokens",
];

/// Routers before engines, whose metrics have the names of the engines.
const ROUTERS: [(&str, &str); 3] = [
    (
        "vllm:healthy_pods_total",
        "the router of the vLLM production stack, whose engines have a pack",
    ),
    (
        "vllm:current_qps",
        "the router of the vLLM production stack, whose engines have a pack",
    ),
    (
        "sgl_router_",
        "a router of SGLang, whose engines have a pack",
    ),
];

/// Programs without a pack.
const OTHERS: [(&str, &str); 6] = [
    ("aphrodite:", "an Aphrodite engine"),
    ("xinference:", "an Xinference server"),
    ("modelmesh_", "a ModelMesh"),
    ("inference_pool_", "an inference gateway"),
    ("node_", "the node exporter"),
    ("sidewatch_", "Sidewatch itself"),
];

/// Packs to load beside that of the server, or alone, where they find series.
const BESIDE: [&str; 2] = ["accuracy", "drift"];

/// The pack for a target with metrics of these names; `prometheus-client` for a model of one's own
/// with the usual names.
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
    let mut beside = companions(&names);
    let known = |programs: &[(&'static str, &'static str)]| {
        programs.iter().find_map(|(prefix, who)| {
            let name = names.iter().find(|name| name.starts_with(prefix))?;
            Some(Why::NoPack(who, (*name).to_owned()))
        })
    };
    if let Some(why) = known(&ROUTERS) {
        return Err(why);
    }
    for server in &SERVERS {
        let mut marks = server
            .prefixes
            .iter()
            .filter_map(|prefix| names.iter().find(|name| name.starts_with(prefix)));
        if let Some(last) = marks.nth(server.least - 1) {
            return Ok(Pack {
                name: server.pack,
                because: (*last).to_owned(),
                beside,
            });
        }
    }
    if let Some(why) = known(&OTHERS) {
        return Err(why);
    }
    let usual = names_of(GENERIC);
    let found = names.iter().find(|name| usual.matches(name));
    if let Some(name) = found {
        return Ok(Pack {
            name: GENERIC,
            because: (*name).to_owned(),
            beside,
        });
    }
    let Some(pack) = (!beside.is_empty()).then(|| beside.remove(0)) else {
        let shown = few(&names).unwrap_or_else(|| (*first).to_owned());
        return Err(Why::Unknown(shown));
    };
    let read = names_of(pack);
    let name = names.iter().find(|name| read.matches(name));
    Ok(Pack {
        name: pack,
        because: (*name.unwrap_or(first)).to_owned(),
        beside,
    })
}

/// The packs beside that of the server that find series among these names.
#[must_use]
pub(crate) fn companions(names: &[&str]) -> Vec<&'static str> {
    let finds = |pack: &&str| {
        let read = names_of(pack);
        names.iter().any(|name| read.matches(name))
    };
    BESIDE.into_iter().filter(finds).collect()
}

/// What packs and metrics of these names miss of each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Coverage {
    /// The required records that find nothing.
    pub(crate) missing: Vec<String>,
    /// The names that no rule reads; of a histogram only the count.
    pub(crate) unwatched: Vec<String>,
}

/// What packs and metrics of these names miss of each other.
#[must_use]
pub(crate) fn coverage(packs: &[&str], names: &[&str]) -> Coverage {
    let rules: Vec<Rule> = packs.iter().flat_map(|pack| rules_of(pack)).collect();
    let records: Vec<&str> = rules.iter().map(Rule::name).collect();
    let mut missing = Vec::new();
    let mut read: Vec<Selector> = Vec::new();
    for rule in &rules {
        let selectors = rule.expressions().into_iter().flat_map(Expr::selectors);
        let own = selectors.filter(|selector| {
            let name = selector.metric_name();
            !name.is_some_and(|name| records.contains(&name) || name == "up")
        });
        let own: Vec<Selector> = own.collect();
        let finds = |selector: &Selector| names.iter().any(|name| selector.may_match_name(name));
        let is_required = matches!(rule, Rule::Record(record) if !record.optional);
        if is_required && !own.is_empty() && !own.iter().any(finds) {
            missing.push(rule.name().to_owned());
        }
        read.extend(own);
    }
    let is_read = |name: &str| read.iter().any(|selector| selector.may_match_name(name));
    let unwatched = names.iter().filter(|name| {
        let is_part = ["_bucket", "_sum", "_created"]
            .iter()
            .any(|end| name.ends_with(end));
        !is_part && !is_read(name) && !is_read(&name.replace("_count", "_bucket"))
    });
    Coverage {
        missing,
        unwatched: unwatched.map(|name| (*name).to_owned()).collect(),
    }
}

/// The names that identify a target; of a histogram only the count.
#[must_use]
pub(crate) fn marks<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let read = own_names();
    let prefixes: Vec<&str> = prefixes().collect();
    let tells = |name: &str| {
        prefixes.iter().any(|prefix| name.starts_with(prefix))
            || read.iter().any(|read| read.matches(name))
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
/// that [`recognise`] uses.
#[must_use]
pub(crate) fn pattern() -> String {
    let begin = prefixes().map(|prefix| format!("{}.*", regex::escape(prefix)));
    let read = own_names().into_iter().flat_map(|read| read.patterns());
    let mut parts: Vec<String> = begin.chain(read).collect();
    parts.sort();
    parts.dedup();
    parts.join("|")
}

fn prefixes() -> impl Iterator<Item = &'static str> {
    let servers = SERVERS.iter().flat_map(|server| server.prefixes).copied();
    let others = ROUTERS.iter().chain(&OTHERS).map(|(prefix, _)| *prefix);
    servers.chain(others)
}

const GENERIC: &str = "prometheus-client";

/// The packs that look for metrics of a model of one's own.
fn own_names() -> Vec<Read> {
    let packs = std::iter::once(GENERIC).chain(BESIDE);
    packs.map(names_of).collect()
}

/// The metrics that a pack reads, where the name alone tells.
struct Read(Vec<Matcher>);

impl Read {
    fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|matcher| matcher.matches(name))
    }

    /// Regular expressions for the names.
    fn patterns(&self) -> Vec<String> {
        let text = |matcher: &Matcher| match matcher.op() {
            MatchOp::Equal => regex::escape(matcher.value()),
            MatchOp::NotEqual | MatchOp::Regex | MatchOp::NotRegex => matcher.value().to_owned(),
        };
        self.0.iter().map(text).collect()
    }
}

fn names_of(pack: &str) -> Read {
    let rules = rules_of(pack);
    let records: Vec<&str> = rules.iter().map(Rule::name).collect();
    let selectors = rules
        .iter()
        .flat_map(Rule::expressions)
        .flat_map(Expr::selectors);
    let mut names = Vec::new();
    for selector in selectors {
        // A selector with other matchers finds nothing where the labels differ.
        let [matcher] = selector.matchers() else {
            continue;
        };
        let name = matcher.value();
        let is_metric = matcher.name() == Labels::NAME && name != "up" && !records.contains(&name);
        if is_metric && matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex) {
            names.push(matcher.clone());
        }
    }
    Read(names)
}

fn rules_of(pack: &str) -> Vec<Rule> {
    let registry = Registry::built_in();
    let reader = RuleReader::new(&registry);
    let text = packs::find(pack).unwrap_or_default();
    let groups = reader.read(pack, text).unwrap_or_default();
    groups.into_iter().flat_map(|group| group.rules).collect()
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
            "vllm:healthy_pods_total",
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
    fn a_model_of_ones_own_gets_the_generic_pack_by_its_usual_names_only() {
        let pack = recognise(&["a", "request_latency_seconds_bucket"]).unwrap();
        assert_eq!(
            pack.to_string(),
            "pack prometheus-client, because the target exposes request_latency_seconds_bucket"
        );
        for word in [
            "my_inference_total",
            "model_loaded",
            "predictor_up",
            "python_info",
        ] {
            assert_eq!(name(&[word]), None, "{word}");
        }
    }

    #[test]
    fn accuracy_and_drift_are_watched_where_their_series_are() {
        let own = recognise(&["fraud_accuracy"]).unwrap();
        assert_eq!((own.name, own.beside), ("accuracy", vec![]));
        let names = [
            "request_latency_seconds_count",
            "fraud_accuracy",
            "prediction_score_bucket",
        ];
        let pack = recognise(&names).unwrap();
        assert_eq!(pack.names(), ["prometheus-client", "accuracy", "drift"]);
        assert_eq!(recognise(&["tgi_queue_size"]).unwrap().names(), ["tgi"]);
    }

    #[test]
    fn a_program_is_recognised_by_what_it_is_and_not_by_what_it_contains() {
        for (names, expected) in [
            (
                vec!["nv_inference_count", "vllm:num_requests_waiting"],
                Some("triton"),
            ),
            (
                vec!["vllm:num_requests_running", "vllm:healthy_pods_total"],
                None,
            ),
            (vec!["sgl_router_requests_total"], None),
            (
                vec![
                    "ray_vllm_num_requests_waiting",
                    "ray_serve_num_http_requests_total",
                ],
                Some("vllm-ray-underscored"),
            ),
            (vec!["ray_vllm:num_requests_waiting"], Some("vllm-ray")),
            (vec!["vllm_num_requests_waiting"], Some("vllm-underscored")),
            (vec!["sglang_num_queue_reqs"], Some("sglang-underscored")),
            (vec!["bentoml_api_server_request_total"], Some("bentoml")),
            (vec!["seldon_pipeline_infer_total"], Some("seldon")),
            (vec!["te_request_count"], Some("tei")),
            (vec!["lorax_request_count"], Some("lorax")),
            (vec!["ovms_requests_success"], Some("ovms")),
            (vec!["lmdeploy:num_requests_waiting"], Some("lmdeploy")),
            (vec!["dynamo_frontend_requests_total"], Some("dynamo")),
            (
                vec![
                    "dynamo_component_requests_total",
                    "vllm:num_requests_waiting",
                ],
                Some("vllm"),
            ),
            (
                vec!["litellm_proxy_total_requests_metric_total"],
                Some("litellm"),
            ),
            (vec!["mosec_service_throughput"], Some("mosec")),
            (vec!["revision_request_count"], Some("knative")),
            (vec!["lightllm_request_success_total"], Some("lightllm")),
            (
                vec!["trtllm_e2e_request_latency_seconds_count"],
                Some("trtllm"),
            ),
            (vec!["llamacpp:requests_deferred"], Some("llama-cpp")),
            (vec!["DCGM_FI_DEV_GPU_UTIL"], Some("dcgm")),
            (vec!["modelmesh_invoke_model_count"], None),
            (vec!["xinference:throughput"], None),
            (
                vec![
                    "inference_objective_request_total",
                    "inference_pool_average_queue_size",
                ],
                None,
            ),
        ] {
            assert_eq!(name(&names), expected, "{names:?}");
        }
    }

    #[test]
    fn what_finds_nothing_and_what_nobody_watches_is_known() {
        let names = [
            "tgi_queue_size",
            "tgi_new_count",
            "tgi_new_sum",
            "tgi_request_success",
            "x",
        ];
        let coverage = super::coverage(&["tgi"], &names);
        assert_eq!(coverage.unwatched, ["tgi_new_count", "x"]);
        assert!(coverage.missing.contains(&"tgi_latency_p95_ms".to_owned()));
        assert!(!coverage.missing.contains(&"tgi_error_ratio".to_owned()));
        assert!(
            !coverage.missing.contains(&"tgi_batch_fill".to_owned()),
            "optional"
        );
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
            why(&["xinference:throughput"])
                .starts_with("the target is an Xinference server, for which there is no pack")
        );
    }
}
