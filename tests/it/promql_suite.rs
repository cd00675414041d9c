//! Prometheus' own test suite, where it is there, by the same runner as `examples/promqltest`; and scripts of our own.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "../../examples/promqltest/data.rs"]
mod data;
#[path = "../../examples/promqltest/judge.rs"]
mod judge;
#[path = "../../examples/promqltest/script.rs"]
mod script;

use std::collections::HashSet;
use std::fs;

use judge::Verdict;
use script::Command;

/// Runs a script; what came of each evaluation, by its origin.
fn run(text: &str, name: &str) -> Vec<(String, Verdict)> {
    let mut store = data::Store::default();
    let mut outcomes = Vec::new();
    for command in script::parse(text).unwrap() {
        match command {
            Command::Clear => store = data::Store::default(),
            Command::Load(series) => store.load(series),
            Command::Eval(eval) => {
                let origin = eval
                    .upstream
                    .as_ref()
                    .map(|(file, line)| format!("{file}:{line}"));
                let origin = origin.unwrap_or_else(|| format!("{name}:{}", eval.line));
                outcomes.push((origin, judge::judge(&eval, &mut store)));
            }
        }
    }
    outcomes
}

/// Evaluations of the manifest that must pass.
fn required(manifest: &str) -> HashSet<String> {
    let records: Vec<serde_json::Value> = serde_json::from_str(manifest).unwrap();
    let is_required = |record: &&serde_json::Value| {
        let expr = record["expr"].as_str().unwrap_or("");
        match record["cls"].as_str().unwrap_or("") {
            "core" | "fill" | "type_unit" => true,
            "experimental_fn" => {
                expr.contains("sort") || expr.contains("double_exponential_smoothing")
            }
            _ => false,
        }
    };
    let origin = |record: &serde_json::Value| {
        format!(
            "{}:{}",
            record["file"].as_str().unwrap_or(""),
            record["line"]
        )
    };
    records.iter().filter(is_required).map(origin).collect()
}

#[test]
fn prometheus_own_suite_passes_where_it_is_required_and_is_never_wrong() {
    let Some(dir) = super::support::shared("promqltest") else {
        return;
    };
    let mut missing = required(&fs::read_to_string(dir.join("manifest.json")).unwrap());
    let required = missing.len();
    assert!(required > 600, "{required} evaluations are required");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for (origin, verdict) in run(&fs::read_to_string(&path).unwrap(), &name) {
            match verdict {
                Verdict::Passed => {
                    missing.remove(&origin);
                }
                Verdict::Failed(why) => wrong.push(format!("{origin}: {why}")),
                Verdict::Refused(why) => assert!(!origin.starts_with("zz_gaps"), "{origin}: {why}"),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// What the suite leaves open.
const OURS: &str = r#"
load 1m
  lat_bucket{le="1"} 0+1x10
  lat_bucket{le="2"} 0+3x10
  lat_bucket{le="+Inf"} 0+4x10
  req_total{code="200"} 0+60x4 0+60x4
  gauge{z="a"} 1 2 NaN _ stale 6
  twin_a{l="1"} 1
  twin_b{l="1"} 2

# without an infinite bucket there is no quantile
eval instant at 10m histogram_quantile(0.5, lat_bucket{le!="+Inf"})
  {} NaN

# a reset inside the window
eval instant at 9m increase(req_total[9m])
  {code="200"} 472.5

# ranges are open on the left
eval instant at 5m count_over_time(req_total[5m])
  {code="200"} 5

# a stale marker hides what is before it
eval instant at 4m gauge

# but not from a range
eval instant at 5m count_over_time(gauge[10m])
  {z="a"} 4

eval instant at 1m max_over_time(gauge[5m:30s] offset -2m)
  {z="a"} 2

# equal label sets in a result are an error
eval instant at 0m abs({__name__=~"twin_.*"})
  expect fail msg: vector cannot contain metrics with the same labelset

# several matches need group_left
eval instant at 0m {__name__=~"twin_.*"} + on (l) vector(1)

eval instant at 0m {__name__=~"twin_.*"} + on (l) twin_a
  expect fail regex: many-to-one matching must be explicit

eval instant at 0m twin_a + on (l) {__name__=~"twin_.*"}
  expect fail regex: found duplicate series for the match group \{l="1"\} on the right hand-side

# infinity passes a threshold, NaN does not
eval instant at 0m (twin_a / 0) > 0.1
  {l="1"} Inf

eval instant at 0m (0 * twin_a / 0) > 0.1

eval instant at 0m topk(-1, twin_a)

eval instant at 0m count_values("v", 1e20 * twin_a)
  {v="100000000000000000000"} 1

eval instant at 0m quantile(1.5, twin_a)
  expect warn msg: PromQL warning: quantile value should be between 0 and 1, got 1.5 (1:10)
  {} Inf

eval range from 0 to 2m step 1m scalar(twin_a)
  {} 1 1 1
"#;

#[test]
fn what_the_suite_leaves_open_is_as_in_prometheus() {
    for (origin, verdict) in run(OURS, "ours") {
        assert!(matches!(verdict, Verdict::Passed), "{origin}: {verdict:?}");
    }
}

#[test]
fn the_runner_notices_a_wrong_value_label_message_and_order() {
    let wrong = r#"
load 1m
  x{a="1"} 1
  x{a="2"} 2

eval instant at 0m x
  x{a="1"} 1

eval instant at 0m x{a="1"}
  x{a="1"} 1.001

eval instant at 0m x{a="1"}
  x{b="1"} 1

eval instant at 0m abs({__name__=~"x"}, 1)
  expect fail msg: something else

eval instant at 0m x
  expect fail

eval instant at 0m sort(x)
  expect ordered
  x{a="2"} 2
  x{a="1"} 1

eval instant at 0m x{a="1"}
  expect warn
  x{a="1"} 1

eval instant at 0m 1
  2
"#;
    let outcomes = run(wrong, "wrong");
    assert_eq!(outcomes.len(), 8);
    for (origin, verdict) in outcomes {
        assert!(
            matches!(verdict, Verdict::Failed(_)),
            "{origin}: {verdict:?}"
        );
    }
}
