//! Scripts in Prometheus' test language, by the runner of `tools/promqltest`.
//!
//! That tool runs Prometheus' own suite, which is not part of this repository.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "../../tools/promqltest/data.rs"]
mod data;
#[path = "../../tools/promqltest/judge.rs"]
mod judge;
#[path = "../../tools/promqltest/script.rs"]
mod script;

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

/// Why an evaluation did not pass.
fn problem(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Passed => None,
        Verdict::Failed(why) | Verdict::Refused(why) => Some(why),
    }
}

/// Every function and every operator.
const SCRIPTS: [(&str, &str); 2] = [
    (
        "functions.test",
        include_str!("../fixtures/promql/functions.test"),
    ),
    (
        "operators.test",
        include_str!("../fixtures/promql/operators.test"),
    ),
];

#[test]
fn every_function_and_operator_gives_the_value_that_was_computed_by_hand() {
    let mut evaluations = 0;
    for (name, text) in SCRIPTS {
        for (origin, verdict) in run(text, name) {
            assert_eq!(problem(&verdict), None, "{origin}");
            evaluations += 1;
        }
    }
    assert!(evaluations > 120, "{evaluations} evaluations");
}

/// Corners that Prometheus' suite leaves open.
const OURS: &str = r#"
load 1m
  lat_bucket{le="1"} 0+1x10
  lat_bucket{le="2"} 0+3x10
  lat_bucket{le="+Inf"} 0+4x10
  req_total{code="200"} 0+60x4 0+60x4
  gauge{z="a"} 1 2 NaN _ stale 6
  late_bucket{le="1"} 0+1x10
  late_bucket{le="+Inf"} 0+1x10
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

# an empty side matches nothing, whatever is on the other
eval instant at 0m (twin_a > 5) * on () {__name__=~"twin_.*"}

eval instant at 0m {__name__=~"twin_.*"} * on () (twin_a > 5)

eval instant at 0m (twin_a > 5) * on () group_right {__name__=~"twin_.*"}

# several matches are an error also where a comparison would leave one
eval instant at 0m (label_replace({__name__=~"twin_.*"}, "m", "$1", "l", "(.*)")) > ignoring (l, m) vector(1)
  expect fail regex: many-to-one matching must be explicit

eval instant at 0m (label_replace({__name__=~"twin_.*"}, "m", "$1", "l", "(.*)")) <= ignoring (l, m) group_left vector(1)
  twin_a{l="1", m="1"} 1

# only the named side is filled
eval instant at 0m twin_a + on (l) group_right fill_left(10) label_replace(twin_b, "l", "2", "", "")
  {l="2"} 12

eval instant at 0m twin_a + on (l) group_left fill_right(10) label_replace(twin_b, "l", "2", "", "")
  {l="1"} 11

# quantiles of several metrics have the same labels
eval instant at 1m histogram_quantile(0.5, {__name__=~"(lat|late)_bucket"})
  expect fail msg: vector cannot contain metrics with the same labelset

eval instant at 1m histogram_quantile(0.5, {__name__=~"late_bucket"})
  {} 0.5

# no text holds a native histogram
eval instant at 0m histogram_count(twin_a) or histogram_sum(twin_a) or twin_a
  twin_a{l="1"} 1

# a range is in the order of its labels
eval range from 0 to 1m step 1m sort_desc(twin_a)
  expect warn msg: PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)
  twin_a{l="1"} 1 1

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
fn what_prometheus_suite_leaves_open_is_as_in_prometheus() {
    for (origin, verdict) in run(OURS, "ours") {
        assert_eq!(problem(&verdict), None, "{origin}");
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
