//! Mistakes in rule files, sixty of them, each with its message.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use sidewatch::internals::config::RuleReader;
use sidewatch::internals::config::packs::NAMES;
use sidewatch_engine::judge::Registry;

use super::support::tool;

const BAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rules/bad");
const SLIPS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rules/lint");

#[test]
fn every_mistake_is_named_with_its_line_its_place_and_its_remedy() {
    let registry = Registry::default();
    let reader = RuleReader {
        registry: &registry,
        interval: Duration::from_secs(15),
    };
    let mut said = String::new();
    let files = yaml_files(BAD);
    assert!(files.len() >= 75, "{}", files.len());
    for name in &files {
        let text = fs::read_to_string(Path::new(BAD).join(name)).unwrap();
        match reader.read(name, &text) {
            Ok(_) => said.push_str(&format!("{name}: accepted\n")),
            Err(problems) => said.push_str(&format!("{problems}\n")),
        }
    }
    compare(BAD, &said);
}

#[test]
fn every_slip_is_remarked_on_with_its_line_its_place_its_remedy_and_its_name() {
    let mut said = String::new();
    for name in yaml_files(SLIPS) {
        let output = check(Path::new(SLIPS), &[&name]);
        assert_eq!(output.status.code(), Some(3), "{name}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let remarks = lines.lines().filter(|line| line.ends_with(']'));
        said.extend(remarks.map(|line| format!("{line}\n")));
    }
    compare(SLIPS, &said);
}

fn yaml_files(dir: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    names
}

/// Every line is as in the folder's `expected.txt`.
fn compare(dir: &str, said: &str) {
    let expected = fs::read_to_string(Path::new(dir).join("expected.txt")).unwrap();
    let wrong: Vec<(&str, &str)> = said
        .lines()
        .zip(expected.lines())
        .filter(|(said, expected)| said != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(said.lines().count(), expected.lines().count());
}

fn check(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(["check", "rules"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap()
}

#[test]
fn nothing_about_a_pack_looks_like_a_slip() {
    let dir = tempfile::tempdir().unwrap();
    for pack in NAMES {
        let output = check(dir.path(), &[pack]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
}

#[test]
fn promtool_accepts_what_is_exported_from_every_pack() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for pack in NAMES {
        let file = format!("{pack}.yaml");
        let args = [pack, "--export-prometheus", "--out", &file];
        let output = check(dir.path(), &args);
        assert_eq!(output.status.code(), Some(0), "{pack}");
    }
    // All at once, and everything that a rule can have.
    fs::write(dir.path().join("own.txt"), OWN).unwrap();
    let args = ["own.txt", "--export-prometheus", "--out", "own.yaml"];
    assert_eq!(check(dir.path(), &args).status.code(), Some(0));
    let files: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    assert_eq!(files.len(), NAMES.len() + 1);
    let output = Command::new(promtool)
        .args(["check", "rules", "--lint-fatal"])
        .args(&files)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{wrong}");
    assert!(said.contains("SUCCESS: 5 rules found"), "{said}");
}

/// Two manifests with groups of one name, and every kind of rule.
const OWN: &str = r##"
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
spec:
  groups:
  - name: g
    interval: 30s
    limit: 5
    labels: {team: ml}
    rules:
    - {record: r, metric: accuracy, expr: "sum(a)\n/\nsum(b)", labels: {x: y}}
    - {alert: A, expr: up == 0, for: 1m, labels: {severity: page}, annotations: {summary: "s: {{ $value | humanize }} \"q\" \\ é"}}
    - {watch: W, expr: r, strategy: {type: static, bound: 0.9}, keep_firing_for: 5m, annotations: {summary: s}}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
spec:
  groups:
  - name: h
    rules:
    - {watch: B, expr: r or s, strategy: {type: static, lower: 0.1, upper: 2}, no_data: ok, annotations: {summary: s}}
    - {watch: C, expr: "vector(1) # one", strategy: {type: static, bound: 2}, annotations: {summary: s}}
    - {watch: L, expr: r, strategy: {type: ewma}, annotations: {summary: s}}
"##;
