//! The reference pages of keys say what the code says.

use std::fs;
use std::path::Path;

use sidewatch::reference;

/// Compares a page with its file, or writes the file when `SIDEWATCH_BLESS` is set.
fn is_current(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/reference")
        .join(page);
    if std::env::var_os("SIDEWATCH_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/reference/{page} is stale; run SIDEWATCH_BLESS=1 cargo test --test it -- reference"
    );
}

#[test]
fn the_reference_of_configuration_files_is_current() {
    is_current("configuration.md", &reference::configuration());
}

#[test]
fn the_reference_of_rule_files_is_current() {
    is_current("rules.md", &reference::rules());
}

#[test]
fn the_reference_of_strategies_is_current() {
    is_current("strategies.md", &reference::strategies());
}
