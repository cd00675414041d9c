//! An infinite value, as a division by zero gives it, in rules.

use super::unit_tests::{report, test};

const RULES: &str = "groups:
  - name: g
    rules:
      - watch: PerWorker
        expr: queue_depth / workers
        strategy: {type: static, bound: 5}
        annotations: {summary: x}
      - alert: PerWorkerPlain
        expr: queue_depth / workers > 5
        annotations: {summary: x}
      - record: per_worker
        metric: custom
        expr: queue_depth / workers
      - watch: PerWorkerUnusual
        expr: per_worker
        direction: both
        strategy: {type: ewma, warm_up: 5}
      - watch: PerWorkerLow
        expr: queue_depth / workers
        direction: below
        strategy: {type: any_of, strategies: [{type: static, bound: 1}, {type: ewma, warm_up: 5}]}
";

#[test]
fn a_division_by_zero_is_above_every_bound_and_zero_by_zero_is_no_verdict() {
    let file = r"rule_files: [r.yaml]
tests:
  - interval: 1m
    input_series:
      - {series: queue_depth, values: '4x9 400x9 0x9 4x9'}
      - {series: workers, values: '2x9 0x9 0x9 2x9'}
    verdict_test:
      - {eval_time: 5m, rule: PerWorker, exp_verdicts: [{labels: {}, state: ok}]}
      - {eval_time: 15m, rule: PerWorker, exp_verdicts: [{labels: {}, state: anomalous}]}
      - {eval_time: 15m, rule: PerWorkerUnusual, exp_verdicts: [{labels: {}, state: anomalous}]}
      - {eval_time: 15m, rule: PerWorkerLow, exp_verdicts: [{labels: {}, state: ok, score: 0}]}
      - {eval_time: 25m, rule: PerWorker, exp_verdicts: [{labels: {}, state: insufficient_data}]}
      - {eval_time: 35m, rule: PerWorker, exp_verdicts: [{labels: {}, state: ok}]}
      - {eval_time: 35m, rule: PerWorkerUnusual, exp_verdicts: [{labels: {}, state: ok, score: 0}]}
    alert_rule_test:
      - {eval_time: 15m, alertname: PerWorkerPlain, exp_alerts: [{exp_annotations: {summary: x}}]}
      - eval_time: 15m
        alertname: PerWorker
        exp_alerts:
          - exp_annotations: {summary: x, why: +Inf is above the bound 5, value: +Inf, score: +Inf}
      - {eval_time: 15m, alertname: PerWorkerLow}
      - {eval_time: 35m, alertname: PerWorker}
      - {eval_time: 35m, alertname: PerWorkerUnusual}
";
    let (_, text) = report(&[("r.yaml", RULES), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (1 test)");
}
