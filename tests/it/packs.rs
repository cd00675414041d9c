//! The packs' own tests: correct on made-up counters, silent before the fault in a recording,
//! and correct after it.

use std::fs;
use std::path::{Path, PathBuf};

use sidewatch::internals::cli::test::{Format, Test};
use tempfile::TempDir;

use super::support::{SERVERS, unpack};

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

/// A copy of the packs and their tests, with the recordings where the tests look for them.
fn rules_beside_recordings() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (copy, unpacked) = (
        dir.path().join("rules"),
        dir.path().join("tests/fixtures/recordings"),
    );
    fs::create_dir_all(&copy).unwrap();
    fs::create_dir_all(&unpacked).unwrap();
    for name in files(".yaml") {
        let name = format!("{name}.yaml");
        fs::copy(rules().join(&name), copy.join(&name)).unwrap();
    }
    for server in SERVERS {
        unpack(server, &unpacked);
    }
    dir
}

#[test]
fn every_pack_passes_its_tests() {
    let dir = rules_beside_recordings();
    let test = Test {
        files: Vec::new(),
        run: None,
        require_snapshots: true,
        format: Format::Text,
    };
    let failed: Vec<String> = files(".test.yaml")
        .iter()
        .map(|pack| test.report(&dir.path().join(format!("rules/{pack}.test.yaml"))))
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
