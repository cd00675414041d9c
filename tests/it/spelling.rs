//! Text stays as it is written, also where it looks like a number, a boolean or a date.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sidewatch::internals::cli::test::{Format, Test};
use sidewatch::internals::config::{RuleReader, read_settings};
use sidewatch::internals::runtime::http::{Auth, Secret};
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::Labels;
use sidewatch_engine::retrain::idempotency_key;
use sidewatch_engine::rules::Rule;

use super::support::tool;

/// Text that YAML 1.1 or 1.2 takes for something else.
const SCALARS: [&str; 40] = [
    "1.10",
    "1.0",
    "1.",
    ".5",
    "+.5",
    "+7",
    "-0",
    "007",
    "0x1F",
    "0X1F",
    "0o17",
    "0b101",
    "1_000",
    "0x_1F",
    "1e3",
    "1E+3",
    "1e-7",
    "6820e10",
    "1e400",
    "3.0e+5",
    "12345678901234567890123",
    "-340282366920938463463374607431768211456",
    ".inf",
    "-.INF",
    ".NaN",
    "True",
    "FALSE",
    "true",
    "yes",
    "No",
    "on",
    "Off",
    "y",
    "N",
    "2024-01-01",
    "2001-12-14t21:59:43.10-05:00",
    "2001-12-14 21:59:43",
    "12:30:00",
    "190:20:30.15",
    "1.2.3",
];

/// Random text of the same kinds.
fn scalar() -> impl Strategy<Value = String> {
    let number = "[-+]?[0-9]{1,30}(_[0-9]{1,3}){0,2}(\\.[0-9_]{0,6})?([eE][-+]?[0-9]{1,3})?";
    let clock = "([tT ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,3})?(Z|[-+][01][0-9]:00)?)?";
    prop_oneof![
        4 => proptest::string::string_regex(number).unwrap(),
        1 => "[-+]?\\.[0-9]{1,4}",
        1 => "[-+]?0[xob][0-9a-fA-F_]{1,20}",
        1 => "[-+]?\\.(inf|Inf|INF|nan|NaN|NAN)",
        1 => proptest::string::string_regex(&format!("[0-9]{{4}}-[01][0-9]-[0-3][0-9]{clock}")).unwrap(),
        1 => "[0-9]{1,3}(:[0-5][0-9]){1,3}",
        1 => proptest::sample::select(SCALARS.to_vec()).prop_map(str::to_owned),
    ]
}

/// Every way to write a scalar into labels.
fn rules(scalar: &str) -> String {
    format!(
        "groups:
- name: {scalar}
  labels: {{group: {scalar}}}
  rules:
  - alert: {scalar}
    expr: up
    labels:
      block: &anchor {scalar} # a comment
      alias: *anchor
      tagged: !!str {scalar}
      \"quoted key\": {scalar}
      {scalar}: {scalar}
    annotations: {{flow: {scalar}, tail: {scalar} }}
  - {{record: r, expr: up, labels: {{label: {scalar}}}}}
"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_looks_like_something_else_is_text_where_text_is_expected(scalar in scalar()) {
        let registry = Registry::default();
        let groups = RuleReader::new(&registry).read("r.yaml", &rules(&scalar)).unwrap();
        let group = &groups[0];
        prop_assert_eq!(&group.name, &scalar);
        let [Rule::Alert { alert, .. }, Rule::Record(record)] = group.rules.as_slice() else {
            panic!("two rules");
        };
        prop_assert_eq!(&*alert.name, scalar.as_str());
        let texts = alert.labels.iter().chain(&alert.annotations);
        let texts: Vec<&str> = texts.map(|(_, template)| template.source()).collect();
        prop_assert_eq!(texts, vec![scalar.as_str(); 8]);
        prop_assert!(alert.labels.iter().any(|(name, _)| *name == scalar));
        prop_assert_eq!(record.labels.iter().map(|label| &*label.value).collect::<Vec<_>>(), vec![scalar.as_str(); 2]);
    }
}

/// Rules with plain scalars, and a test file that expects their text.
fn files(scalars: &[String]) -> (String, String) {
    let (mut plain, mut quoted) = (String::new(), String::new());
    for (index, scalar) in scalars.iter().enumerate() {
        write!(plain, "l{index}: {scalar}, ").unwrap();
        write!(quoted, "l{index}: '{scalar}', ").unwrap();
    }
    let rules = format!(
        "groups:
- name: g
  rules:
  - {{alert: A, expr: up == 1, labels: {{{plain}}}, annotations: {{{plain}}}}}
  - {{record: r, expr: up, labels: {{{plain}}}}}
"
    );
    let expected: Vec<String> = scalars
        .iter()
        .enumerate()
        .map(|(index, scalar)| format!("l{index}=\"{scalar}\""))
        .collect();
    // Expected labels may be written either way.
    let tests = format!(
        "rule_files: [r.yaml]
tests:
- input_series: [{{series: up, values: 1}}]
  alert_rule_test:
  - {{alertname: A, eval_time: 0s, exp_alerts: [{{exp_labels: {{{quoted}}}, exp_annotations: {{{plain}}}}}]}}
  promql_expr_test:
  - {{expr: r, eval_time: 0s, exp_samples: [{{labels: 'r{{{}}}', value: 1}}]}}
",
        expected.join(",")
    );
    (rules, tests)
}

/// Whether `sidewatch test` and, where it is there, `promtool test rules` pass.
fn both_pass(dir: &Path, rules: &str, tests: &str) {
    fs::write(dir.join("r.yaml"), rules).unwrap();
    let path = dir.join("t.test.yaml");
    fs::write(&path, tests).unwrap();
    let ours = Test {
        files: Vec::new(),
        run: None,
        require_snapshots: false,
        format: Format::Text,
    };
    let report = ours.report(&path);
    assert!(report.passed(), "{}{rules}", report.text());
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let output = Command::new(promtool)
        .args(["test", "rules", "t.test.yaml"])
        .current_dir(dir)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}{rules}");
}

#[test]
fn promtool_reads_the_same_text() {
    let dir = tempfile::tempdir().unwrap();
    let (rules, tests) = files(&SCALARS.map(str::to_owned));
    both_pass(dir.path(), &rules, &tests);
    let mut runner = TestRunner::deterministic();
    for _ in 0..5 {
        let some = proptest::collection::vec(scalar(), 60);
        let some = some.new_tree(&mut runner).unwrap().current();
        let (rules, tests) = files(&some);
        both_pass(dir.path(), &rules, &tests);
    }
}

#[test]
fn text_in_settings_stays_as_written() {
    let text = "
global: {external_labels: {zone: 1.10}}
model: {id: 0x1F, version: 1.10}
scrape:
  targets: [{url: 'http://a', labels: {release: 1.20}}]
alerting:
  alert_relabel_configs: [{target_label: rel, regex: 1.0, replacement: 1.10}]
  alertmanagers:
  - url: http://am
    basic_auth: {username: +7, password: 6820e10}
    http_headers: {X-Scope-OrgID: {values: [1_000, 0x10, 2.50]}}
";
    let settings = read_settings("c.yaml", text, &|_| None).unwrap();
    assert_eq!(
        (
            settings.model.id.as_str(),
            settings.model.version.as_deref()
        ),
        ("0x1F", Some("1.10"))
    );
    assert_eq!(settings.global.external_labels.get("zone"), Some("1.10"));
    assert_eq!(
        settings.scrape.targets[0].labels.get("release"),
        Some("1.20")
    );
    let step = &settings.alerting.relabel[0];
    assert_eq!(
        (step.regex.as_str(), step.replacement.as_str()),
        ("1.0", "1.10")
    );
    let http = &settings.alerting.alertmanagers[0].http;
    let Auth::Basic { username, password } = &http.auth else {
        panic!("no user");
    };
    assert_eq!(*username, Secret::Inline("+7".to_owned()));
    assert_eq!(*password, Secret::Inline("6820e10".to_owned()));
    let values = ["1_000", "0x10", "2.50"].map(|value| Secret::Inline(value.to_owned()));
    assert_eq!(http.headers[0].values, values);
}

#[test]
fn two_spellings_of_a_version_are_two_versions() {
    let key = |version: &str| {
        let text = format!(
            "model: {{id: m, version: {version}}}\nscrape: {{targets: [{{url: 'http://a'}}]}}\n"
        );
        let model = read_settings("c.yaml", &text, &|_| None).unwrap().model;
        idempotency_key(
            (&model.id, &model.version.unwrap()),
            "rule",
            &Labels::empty(),
            0,
        )
    };
    assert_ne!(key("1.10"), key("1.1"));
    assert_eq!(key("1.10"), key("'1.10'"));
}

#[test]
fn a_number_may_be_written_in_every_way_that_yaml_has() {
    let read = |size: &str, count: &str| {
        let text = format!(
            "scrape: {{targets: [{{url: 'http://a'}}], body_size_limit: {size}}}\nalerting: {{queue_capacity: {count}}}\n"
        );
        let settings = read_settings("c.yaml", &text, &|_| None);
        settings.map_err(|problems| problems.to_string())
    };
    for number in [
        "1000",
        "0x3E8",
        "0o1750",
        "+1000",
        "1e3",
        "1000.0",
        "0b1111101000",
    ] {
        let settings = read(number, number).unwrap();
        assert_eq!(settings.alerting.queue_capacity, 1000, "{number}");
    }
    let problem = read("1000", "12345678901234567890123").unwrap_err();
    assert!(
        problem.starts_with(
            "c.yaml:2: alerting.queue_capacity: must be a whole number from 1 to 1000000, got 12345678901234567890123"
        ),
        "{problem}"
    );
    let rules = "groups:\n- name: g\n  limit: 12345678901234567890123\n";
    let registry = Registry::default();
    let problems = RuleReader::new(&registry).read("r.yaml", rules);
    assert_eq!(
        problems.unwrap_err().to_string(),
        "r.yaml:3: groups[0].limit: must be a smaller number, got 12345678901234567890123"
    );
}
