//! The part of the rules that Prometheus itself can evaluate, as a Prometheus rule file.

use super::rules::RuleSet;

/// TODO
#[must_use]
pub fn prometheus(_rules: &RuleSet) -> String {
    String::new()
}
