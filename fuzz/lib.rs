//! The fuzz targets, compiled once for all fuzzers.

#[path = "../crates/engine/tests/it/exposition_reference.rs"]
mod exposition_reference;
mod targets;

/// Gives a target its bytes.
///
/// # Panics
/// When there is no such target, and when what has to hold does not.
pub fn feed(name: &str, data: &[u8]) {
    let target = targets::TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("a target of this name").1(data);
}
