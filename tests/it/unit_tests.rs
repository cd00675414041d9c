//! `sidewatch test`: the same results as promtool on its test files, and the additional kinds of
//! assertions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value as Json;
use sidewatch::internals::cli::test::{Format, Report, Test};

use super::support::tool;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/promtool");

pub(super) fn test() -> Test {
    Test {
        files: Vec::new(),
        run: None,
        require_snapshots: false,
        format: Format::Text,
    }
}

/// Names of the test files, and whether they pass in promtool.
fn promtool_results() -> Vec<(String, bool)> {
    let text = fs::read_to_string(Path::new(FIXTURES).join("verdicts.tsv")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let (name, verdict) = row.split_once('\t').unwrap();
        assert!(["pass", "fail"].contains(&verdict), "{row}");
        (name.to_owned(), verdict == "pass")
    })
    .collect()
}

#[test]
fn test_files_pass_or_fail_as_in_promtool() {
    let verdicts = promtool_results();
    assert!(verdicts.len() >= 33, "{}", verdicts.len());
    let files = fs::read_dir(FIXTURES).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let tests = names.filter(|name| name.ends_with(".test.yaml")).count();
    assert_eq!(tests, verdicts.len(), "a file without a verdict");
    let promtool = tool("promtool");
    for (name, passes) in verdicts {
        let file = format!("{name}.test.yaml");
        let report = test().report(&Path::new(FIXTURES).join(&file));
        assert_eq!(report.passed(), passes, "{}", report.text());
        if let Some(promtool) = &promtool {
            let mut live = Command::new(promtool);
            let live = live.args(["test", "rules", &file]).current_dir(FIXTURES);
            let live = live.output().unwrap();
            assert_eq!(
                live.status.success(),
                passes,
                "promtool on {file}: {live:?}"
            );
        }
    }
}

/// A folder with files in it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// The report on `r.test.yaml` in such a folder, without the folder's path.
pub(super) fn report(files: &[(&str, &str)], test: &Test) -> (Report, String) {
    let dir = folder(files);
    let report = test.report(&dir.path().join("r.test.yaml"));
    let text = report.text();
    let text = text.replace(&format!("{}/", dir.path().display()), "");
    (report, text)
}

const RULES: &str = "groups:
  - name: g
    rules:
      - record: double
        metric: custom
        expr: 2 * x
      - watch: High
        expr: double
        strategy: {type: static, bound: 10}
        for: 1m
        labels: {severity: page}
        annotations: {summary: 'double is {{ $value }}'}
";

#[test]
fn verdicts_and_alerts_of_a_watch_can_be_asserted() {
    let file = r#"rule_files: [r.yaml]
tests:
  - interval: 1m
    input_series:
      - {series: 'x{model_name="m", pod="a"}', values: '1 7x4 1'}
      - {series: 'x{model_name="n", pod="a"}', values: '1x6'}
    promql_expr_test:
      - {expr: double, eval_time: 5m, exp_samples: [{labels: 'double{model_name="m", pod="a"}', value: 14}, {labels: 'double{model_name="n", pod="a"}', value: 2}]}
    verdict_test:
      - eval_time: 1m30s
        rule: High
        exp_verdicts:
          - {labels: {model_name: m, pod: a}, state: anomalous, score: 1.4}
          - {labels: {model_name: n, pod: a}, state: ok}
    alert_rule_test:
      - {eval_time: 1m, alertname: High}
      - eval_time: 2m
        alertname: High
        exp_alerts:
          - exp_labels: {model_name: m, pod: a, severity: page}
            exp_annotations: {summary: double is 14, why: 14 is above the bound 10}
      - {eval_time: 6m, alertname: High}
"#;
    let (_, text) = report(&[("r.yaml", RULES), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (1 test)");
}

const WRONG: &str = r#"rule_files: [r.yaml]
tests:
  - name: too low
    interval: 1m
    input_series:
      - {series: x, values: '7x4'}
    verdict_test:
      - eval_time: 1m
        rule: High
        exp_verdicts:
          - {labels: {}, state: ok, score: 1.3}
      - {eval_time: 1m, rule: Low}
    alert_rule_test:
      - eval_time: 2m
        alertname: High
        exp_alerts:
          - exp_labels: {severity: page}
            exp_annotations: {summary: double is 4}
      - {eval_time: 0m, alertname: Lwo}
    promql_expr_test:
      - {expr: double, eval_time: 1m, exp_samples: [{labels: triple, value: 21}]}
  - name: without samples
    verdict_test:
      - {eval_time: 1m, rule: High}
"#;

#[test]
fn a_failure_has_a_diff_with_line_test_name_and_time() {
    let files = [("r.yaml", RULES), ("r.test.yaml", WRONG)];
    let (_, text) = report(&files, &test());
    let expected = r#"r.test.yaml: FAILED (2 tests)
  r.test.yaml:19: no rule has the name Lwo
  r.test.yaml:8: too low: verdict_test of High: differs at 1m (- expected, + got)
        {}
      -   state: ok
      +   state: anomalous
      -   score: 1.3
      +   score: 1.4
  r.test.yaml:12: too low: verdict_test of Low: no watch has this name; watches are High
  r.test.yaml:14: too low: alert_rule_test of High: differs at 2m (- expected, + got)
        {alertname="High", severity="page"}
      -   summary: "double is 4"
      +   summary: "double is 14"
  r.test.yaml:21: too low: promql_expr_test of double: differs at 1m (- expected, + got)
      + double
      +   value: 14
      - triple
      -   value: 21"#;
    assert_eq!(text, expected);
}

#[test]
fn only_tests_with_a_matching_name_run() {
    let run = |regex: &str| {
        let test = Test {
            run: Some(Regex::new(regex).unwrap()),
            ..test()
        };
        let (report, _) = report(&[("r.yaml", RULES), ("r.test.yaml", WRONG)], &test);
        let names = report.result.as_ref().unwrap().iter();
        (
            names.map(|test| test.name.clone()).collect::<Vec<_>>(),
            report.passed(),
        )
    };
    assert_eq!(run("with"), (vec!["without samples".to_owned()], true));
    assert_eq!(run("low$"), (vec!["too low".to_owned()], false));
}

#[test]
fn all_mistakes_of_a_test_file_are_reported_at_once() {
    let file = r#"rule_files: [r.yaml]
evaluation_interval: often
tests:
  - interval: 1m
    input_series:
      - {series: 'x{a=b}', values: '1+x2'}
      - {series: y, values: '{{schema:0 sum:1}}'}
    start_timestamp: yesterday
    verdict_test:
      - {rule: High, exp_verdicts: [{labels: {}, state: fine}]}
    promql_expr_test:
      - {expr: rate(x), eval_time: 1m}
      - {expr: x, exp_samples: [{labels: x, histogram: '{{}}'}]}
    alert_rule_tests: []
  - scrape_test:
      - {step: 15s, exp_alerts: [{rule: High, fired_between: [1]}]}
"#;
    let (_, text) = report(&[("r.yaml", RULES), ("r.test.yaml", file)], &test());
    let expected = r#"r.test.yaml: FAILED (invalid)
  r.test.yaml:2: evaluation_interval: not a duration: "often"; write it as 30s, 5m or 1h30m
  r.test.yaml:6: tests[0].input_series[0].series: expected a value in quotes at "b}"
  r.test.yaml:6: tests[0].input_series[0].values: not a value: "1+x2"; write a number, a+bxn, a-bxn, axn, _, _xn or stale
  r.test.yaml:7: tests[0].input_series[1].values: native histograms are not evaluated here; write the buckets as series with le
  r.test.yaml:8: tests[0].start_timestamp: not a time: "yesterday"; write Unix seconds or RFC 3339
  r.test.yaml:10: tests[0].verdict_test[0].exp_verdicts[0].state: not a state: "fine"; states are warming_up, ok, anomalous, insufficient_data, stale
  r.test.yaml:12: tests[0].promql_expr_test[0].expr: argument 1 of rate must be a range vector, found an instant vector: add a range such as [5m] (1:6 in "rate(x)")
  r.test.yaml:13: tests[0].promql_expr_test[1].exp_samples[0].histogram: native histograms are not evaluated here; test a quantile or a bucket of a classic one
  r.test.yaml:14: tests[0].alert_rule_tests: unknown key; did you mean alert_rule_test?
  r.test.yaml:16: tests[1].scrape_test[0]: snapshots is missing
  r.test.yaml:16: tests[1].scrape_test[0].exp_alerts[0].fired_between: must be two times in seconds: [from, to]"#;
    assert_eq!(text, expected);
}

#[test]
fn mistakes_of_a_rule_file_are_reported_with_their_line() {
    let rules = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: rate(x)\n";
    let file = "rule_files: [r.yaml]\ntests: []\n";
    let (report, text) = report(&[("r.yaml", rules), ("r.test.yaml", file)], &test());
    assert!(!report.passed());
    assert!(
        text.contains("\n  r.yaml:5: groups[0].rules[0].expr: argument 1 of rate"),
        "{text}"
    );
}

/// Twelve scrapes of `x`. From the sixth on, at 75 seconds, twice its value is above the bound.
fn with_scrapes(expected: &str) -> Vec<(String, String)> {
    let scrape = |n: usize| {
        let value = if n < 6 { 1 } else { 7 };
        (
            format!("scrapes/snap_{n:04}.txt"),
            format!("x{{model_name=\"m\"}} {value}\n"),
        )
    };
    let file = format!(
        "rule_files: [r.yaml]\ntests:\n  - scrape_test:\n      - snapshots: scrapes\n        step: 15s\n        exp_alerts: {expected}\n"
    );
    let rules = [
        ("r.yaml".to_owned(), RULES.to_owned()),
        ("r.test.yaml".to_owned(), file),
    ];
    (1..=12).map(scrape).chain(rules).collect()
}

fn replayed(expected: &str) -> String {
    let files = with_scrapes(expected);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    report(&files, &test()).1
}

#[test]
fn a_scrape_test_passes_if_exactly_the_expected_alerts_fire() {
    let passes = "[{rule: High, labels: {model_name: m}, fired_between: [135, 135]}]";
    assert_eq!(replayed(passes), "r.test.yaml: SUCCESS (1 test)");
    assert_eq!(replayed("[{rule: High}]"), "r.test.yaml: SUCCESS (1 test)");
    let missed = replayed("[{rule: High, fired_between: [0, 130]}, {rule: Low}]");
    let lines: Vec<&str> = missed.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "r.test.yaml: FAILED (1 test)",
            "  r.test.yaml:4: unnamed#0: scrape_test of scrapes: other alerts fired (- expected, + got)",
            "      - r.test.yaml:6: High{} fired between 0 and 130",
            "      - r.test.yaml:6: Low{}",
        ]
    );
    assert!(
        lines[4].starts_with("      + {alertname=\"High\"")
            && lines[4].ends_with("fired at 135: double is 14"),
        "{missed}"
    );
}

#[test]
fn a_missing_folder_fails_unless_it_is_optional_and_not_required() {
    let file = |optional: &str| {
        format!(
            "rule_files: [r.yaml]\ntests:\n  - scrape_test:\n      - {{snapshots: nowhere, {optional}exp_alerts: []}}\n"
        )
    };
    let run = |optional: &str, require_snapshots: bool| {
        let test = Test {
            require_snapshots,
            ..test()
        };
        let (report, text) = report(
            &[("r.yaml", RULES), ("r.test.yaml", &file(optional))],
            &test,
        );
        (report.passed(), text)
    };
    let (passed, text) = run("optional: true, ", false);
    assert!(passed);
    assert_eq!(
        text,
        "r.test.yaml: SUCCESS (1 test)\n  r.test.yaml:4: unnamed#0: skipped: nowhere is not a folder"
    );
    for (optional, required) in [("", false), ("optional: true, ", true)] {
        let (passed, text) = run(optional, required);
        assert!(
            !passed && text.ends_with("scrape_test of nowhere: nowhere is not a folder"),
            "{text}"
        );
    }
}

#[test]
fn a_group_with_a_watch_keeps_its_interval() {
    let rules = "groups:
  - name: plain
    interval: 5m
    rules: [{record: copy, expr: x}]
  - name: judged
    interval: 2m
    rules: [{watch: High, expr: x, strategy: {type: static, bound: 10}}]
";
    let file = "rule_files: [r.yaml]
tests:
  - input_series: [{series: x, values: 1 20 20 20}]
    promql_expr_test: [{expr: copy, eval_time: 1m, exp_samples: [{labels: copy, value: 20}]}]
    verdict_test:
      - {eval_time: 1m, rule: High, exp_verdicts: [{state: ok}]}
      - {eval_time: 2m, rule: High, exp_verdicts: [{state: anomalous, score: 2}]}
";
    let (_, text) = report(&[("r.yaml", rules), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (1 test)");
}

#[test]
fn an_empty_label_removes_the_label_of_the_series_and_of_the_group() {
    let rules = "groups:
  - name: g
    labels: {team: core, worker: ''}
    rules:
      - {alert: A, expr: x > 5, labels: {team: ''}}
      - {record: copy, expr: x, labels: {team: ''}}
      - {record: kept, expr: x, labels: {worker: w2}}
      - {watch: W, expr: x, strategy: {type: static, bound: 5}, labels: {zone: ''}}
";
    let file = "rule_files: [r.yaml]
tests:
  - input_series: [{series: 'x{worker=\"w1\", zone=\"z\"}', values: 9 9}]
    promql_expr_test:
      - {expr: copy, eval_time: 1m, exp_samples: [{labels: 'copy{zone=\"z\"}', value: 9}]}
      - {expr: kept, eval_time: 1m, exp_samples: [{labels: 'kept{team=\"core\", worker=\"w2\", zone=\"z\"}', value: 9}]}
    alert_rule_test:
      - {eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {zone: z}}]}
      - {eval_time: 1m, alertname: W, exp_alerts: [{exp_labels: {team: core}}]}
";
    let (_, text) = report(&[("r.yaml", rules), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (1 test)");
}

#[test]
fn a_drift_watch_is_tested_like_any_other_watch() {
    let rules = "groups:
  - name: g
    rules:
      - record: class_drift
        drift: {counter: predictions_total, label: predicted_class, by: [model_name], window: 10m, reference: {buckets: {cat: 4100, dog: 5900}}}
      - watch: Drifted
        expr: class_drift
        strategy: {type: drift}
        annotations: {summary: classes drifted}
";
    let file = r#"rule_files: [r.yaml]
tests:
  - input_series:
      - {series: 'predictions_total{model_name="m", predicted_class="cat"}', values: '0+41x30 1271+90x20'}
      - {series: 'predictions_total{model_name="m", predicted_class="dog"}', values: '0+59x30 1780+10x20'}
    verdict_test:
      - {eval_time: 1m, rule: Drifted, exp_verdicts: [{labels: {model_name: m}, state: insufficient_data}]}
      - {eval_time: 25m, rule: Drifted, exp_verdicts: [{labels: {model_name: m}, state: ok}]}
      - {eval_time: 45m, rule: Drifted, exp_verdicts: [{labels: {model_name: m}, state: anomalous}]}
"#;
    let (_, text) = report(&[("r.yaml", rules), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (1 test)");
}

#[test]
fn newer_keys_of_promtool_are_supported() {
    let rules = "groups:
  - name: g
    rules: [{alert: A, expr: 'up == 0', annotations: {summary: down}}]
";
    let file = "rule_files: [r.yaml]
fuzzy_compare: true
tests:
  - start_timestamp: 2024-01-01T00:00:00Z
    input_series: [{series: up, values: 0.1 0x9}]
    promql_expr_test:
      - {expr: time(), eval_time: 5m, exp_samples: [{value: 1704067500}]}
      - {expr: up @ 1704067200 + 0.2, eval_time: 5m, exp_samples: [{value: 0.3}]}
      - {expr: ALERTS_FOR_STATE, eval_time: 5m, exp_samples: [{labels: 'ALERTS_FOR_STATE{alertname=\"A\"}', value: 1704067260}]}
    alert_rule_test: [{eval_time: 5m, alertname: A, ignore_annotations: true, exp_alerts: [{}]}]
  - start_timestamp: 1609459200
    ignore_annotations: true
    input_series: [{series: up, values: 0}]
    promql_expr_test: [{expr: timestamp(up), eval_time: 1m, exp_samples: [{value: 1609459200}]}]
    alert_rule_test: [{eval_time: 0, alertname: A, exp_alerts: [{}]}]
";
    let (_, text) = report(&[("r.yaml", rules), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (2 tests)");
    let (exact, _) = report(
        &[
            ("r.yaml", rules),
            ("r.test.yaml", &file.replace("fuzzy_compare: true", "")),
        ],
        &test(),
    );
    assert!(!exact.passed(), "0.1 + 0.2 is not 0.3 to the last bit");
}

#[test]
fn a_series_may_be_longer_than_a_test_needs() {
    let rules = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n";
    let file = "rule_files: [r.yaml]
tests:
  - input_series: [{series: up, values: 0x10000000}]
    alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{}]}]
";
    let (_, text) = report(&[("r.yaml", rules), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (1 test)");
}

/// As in promtool.
#[test]
fn a_series_that_is_recorded_and_given_with_another_value_fails_the_test() {
    let rules = "groups: [{name: g, rules: [{record: r, expr: vector(2)}]}]\n";
    let file = |values: &str| {
        format!(
            "rule_files: [r.yaml]
tests:
  - input_series: [{{series: r, values: {values}}}]
    promql_expr_test: [{{expr: r, eval_time: 2m, exp_samples: [{{labels: r, value: 2}}]}}]
"
        )
    };
    for (values, is_right) in [
        ("2x5", true),
        ("_x5", true),
        ("1x5", false),
        ("_ 2 3", false),
    ] {
        let (_, text) = report(
            &[("r.yaml", rules), ("r.test.yaml", &file(values))],
            &test(),
        );
        assert_eq!(text.contains("SUCCESS"), is_right, "{values}: {text}");
        assert_eq!(!text.contains("duplicate sample"), is_right, "{text}");
    }
}

/// Runs the binary in the folder of the fixtures; returns the exit code and standard output.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewatch"));
    let output = command.arg("test").args(arguments).current_dir(FIXTURES);
    let output = output.output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn the_exit_code_is_1_when_one_file_fails_and_json_says_which() {
    let passes = run(&["two-tests.test.yaml", "no-rules.test.yaml"]);
    let text = "two-tests.test.yaml: SUCCESS (2 tests)\nno-rules.test.yaml: SUCCESS (1 test)\n";
    assert_eq!(passes, (Some(0), text.to_owned()));
    let files = [
        "two-tests.test.yaml",
        "wrong-sample.test.yaml",
        "unknown-key.test.yaml",
    ];
    let (code, text) = run(&[&["--format", "json"], &files[..]].concat());
    assert_eq!(code, Some(1));
    let json: Json = serde_json::from_str(&text).unwrap();
    let verdicts: Vec<&str> = (0..3)
        .map(|n| json["files"][n]["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["pass", "fail", "invalid"]);
    let failure = &json["files"][1]["tests"][0]["failures"][0];
    assert_eq!(failure["line"], 8);
    assert_eq!(failure["eval_time"], "0s");
    assert_eq!(failure["diff"][1], "-   value: 7");
    assert_eq!(
        json["files"][2]["problems"][0]["path"],
        "tests[0].input_serie"
    );
    let (code, text) = run(&["nowhere.test.yaml"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("nowhere.test.yaml: cannot be read"), "{text}");
}

#[test]
fn a_day_at_15_seconds_is_tested_in_seconds() {
    let rules = "groups:
  - name: g
    rules:
      - {record: rate, metric: custom, expr: 'rate(x[5m])'}
      - {watch: Unusual, expr: rate, strategy: {type: ewma}}
";
    let file = "rule_files: [r.yaml]
evaluation_interval: 15s
tests:
  - input_series: [{series: x, values: 0+15x5760}]
    promql_expr_test:
      - {expr: 'round(rate, 0.001)', eval_time: 1d, exp_samples: [{value: 1}]}
      - {expr: 'count_over_time(x[1d])', eval_time: 1d, exp_samples: [{value: 5760}]}
    verdict_test: [{eval_time: 1d, rule: Unusual, exp_verdicts: [{state: ok}]}]
";
    let started = tokio::time::Instant::now();
    let (_, text) = report(&[("r.yaml", rules), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (1 test)");
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn patterns_are_relative_to_the_test_file_and_may_match_nothing() {
    let path: PathBuf = Path::new(FIXTURES).join("glob.test.yaml");
    let report = test().report(&path);
    let remark = format!("{}:1: no file matches nothing-*.yaml", path.display());
    assert_eq!(report.remarks, [remark]);
    assert!(report.passed());
}
