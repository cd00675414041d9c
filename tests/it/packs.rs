//! The packs' own tests: right about made-up counters, quiet before the fault of the corpus and right after it.

use std::fs;
use std::path::{Path, PathBuf};

use sidewatch::cli::test::{Format, Test};

use super::support::shared;

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

fn files(suffix: &str) -> Vec<String> {
    let entries = fs::read_dir(rules()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter_map(|name| Some(name.strip_suffix(suffix)?.to_owned()))
        .collect();
    names.sort();
    names
}

#[test]
fn every_pack_passes_its_tests() {
    let test = Test {
        files: Vec::new(),
        run: None,
        // A skipped corpus is told by `shared`.
        require_snapshots: shared("corpus").is_some(),
        format: Format::Text,
    };
    let failed: Vec<String> = files(".test.yaml")
        .iter()
        .map(|pack| test.report(&rules().join(format!("{pack}.test.yaml"))))
        .filter(|report| !report.passed() || !report.remarks.is_empty())
        .map(|report| report.text())
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_pack_has_tests() {
    let mut packs = files(".yaml");
    packs.retain(|name| !name.ends_with(".test"));
    assert!(packs.len() >= 16, "{packs:?}");
    assert_eq!(files(".test.yaml"), packs);
}
