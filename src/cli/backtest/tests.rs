//! Complete outputs of short replays.

use std::fs;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Backtest, Format, Source};

const RULES: &str = "groups:\n  - name: g\n    rules:\n      - watch: High\n        expr: g\n        strategy: {type: static, bound: 1}\n        for: 15s\n        annotations: {summary: 'g is {{ $value }}'}\n";

fn backtest(values: &[&str], format: Format) -> String {
    replayed(RULES, values, format)
}

/// The output for values of `g`, with these rules.
fn replayed(text: &str, values: &[&str], format: Format) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (n, value) in (1..).zip(values) {
        fs::write(
            dir.path().join(format!("snap_{n:04}.txt")),
            format!("g{{a=\"b\"}} {value}\n"),
        )
        .unwrap();
    }
    let rules = dir.path().join("g.yaml");
    fs::write(&rules, text).unwrap();
    let command = Backtest {
        rules: vec![rules.display().to_string()],
        source: Source {
            snapshots: Some(dir.path().to_owned()),
            ..Source::default()
        },
        step: Some(Duration::from_secs(15)),
        format,
        ..Backtest::default()
    };
    let mut out = Vec::new();
    command.run(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_json_of_an_alert_has_times_score_and_reason() {
    let text = backtest(&["0.5", "2", "2", "0.5", "NaN"], Format::Json);
    let answer: Json = serde_json::from_str(&text).unwrap();
    let alert = &answer["alerts"][0];
    assert_eq!(alert["rule"], "High");
    assert_eq!(alert["labels"]["a"], "b");
    assert_eq!(alert["pending_at"], 15.0);
    assert_eq!(alert["fired_at"], 30.0);
    assert_eq!(alert["resolved_at"], 45.0);
    assert_eq!(alert["value"], 2.0);
    assert_eq!(alert["score"], 2.0);
    assert_eq!(alert["why"], "2 is above the bound 1");
    assert_eq!(answer["alerts"].as_array().unwrap().len(), 1);
    let signal = &answer["signals"][0];
    assert_eq!(signal["metric"], "custom");
    assert_eq!(signal["labels"]["a"], "b");
    assert_eq!(signal["points"].as_array().unwrap().len(), 5);
    assert_eq!(signal["points"][1]["t"], 15.0);
    assert_eq!(signal["points"][1]["state"], "anomalous");
    assert_eq!(signal["points"][1]["upper"], 1.0);
    assert_eq!(signal["points"][4]["value"], Json::Null);
    assert_eq!(signal["points"][4]["score"], Json::Null);
}

#[test]
fn a_watch_that_warms_up_to_the_end_is_no_pass() {
    let rules = RULES.replace("{type: static, bound: 1}", "{type: ewma}");
    let text = replayed(&rules, &["0.5", "2", "0.5"], Format::Text);
    assert!(
        text.starts_with("never judged, too little to learn from: High\n"),
        "{text}"
    );
    let json = replayed(&rules, &["0.5", "2", "0.5"], Format::Json);
    let answer: Json = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["unjudged"][0], "High");
    assert_eq!(answer["silent"].as_array().unwrap().len(), 0);
}

#[test]
fn without_alerts_the_text_is_one_line() {
    let text = backtest(&["0.5", "2", "0.5"], Format::Text);
    assert_eq!(text, "3 scrapes over 30s, 1 signal, 0 alerts\n");
}
