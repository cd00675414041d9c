//! The packs on scrapes of real servers: quiet before the fault, the right alerts after it, as `rules/*.test.yaml` say.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::Value;
use sidewatch::alert::Alert;
use sidewatch::cli::replay::replay;
use sidewatch::metric::parse_duration;

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

fn matches(expected: &Value, alert: &Alert) -> bool {
    let labels = expected.get("labels").and_then(Value::as_mapping);
    let mut labels = labels.into_iter().flatten();
    let fired = alert.fired_at.unwrap().as_secs_f64();
    let between = |at: usize| expected["fired_between"][at].as_f64().unwrap();
    expected["rule"].as_str() == Some(&alert.rule)
        && labels.all(|(name, value)| alert.labels.get(name.as_str().unwrap()) == value.as_str())
        && (between(0)..=between(1)).contains(&fired)
}

/// Every expected alert fired in time, and nothing else did.
fn check(pack: &str, test: &Value) -> Vec<String> {
    let dir = rules().join(test["snapshots"].as_str().unwrap());
    let step: Duration = parse_duration(test["step"].as_str().unwrap()).unwrap();
    let replay = replay(&[pack.to_owned()], &dir, Some(step)).unwrap();
    let expected = test["exp_alerts"].as_sequence().unwrap();
    let place = format!("{pack} on {}", test["snapshots"].as_str().unwrap());
    let mut wrong = Vec::new();
    for one in expected {
        if !replay.fired.iter().any(|fired| matches(one, &fired.alert)) {
            wrong.push(format!("{place}: missing {one:?}"));
        }
    }
    for fired in &replay.fired {
        if !expected.iter().any(|one| matches(one, &fired.alert)) {
            let alert = &fired.alert;
            wrong.push(format!(
                "{place}: nobody expected {} at {:?}",
                alert.labels, alert.fired_at
            ));
        }
    }
    wrong
}

#[test]
fn packs_are_quiet_before_the_fault_and_right_after_it() {
    let (mut replayed, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(rules()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(pack) = name.strip_suffix(".test.yaml") else {
            continue;
        };
        let file: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let tests = file["tests"].as_sequence().unwrap();
        let tests = tests
            .iter()
            .filter_map(|test| test.get("scrape_test")?.as_sequence());
        for test in tests.flatten() {
            if rules().join(test["snapshots"].as_str().unwrap()).is_dir() {
                replayed += 1;
                wrong.extend(check(pack, test));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    if replayed == 0 {
        println!("skipped: no corpus beside this checkout");
    }
}
