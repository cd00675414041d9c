//! The key of a gate.

use serde::{Deserialize, Serialize};

use crate::metric::Labels;

/// The key of a gate: a rule and a series without the pod's identity and the version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GateKey {
    /// What identifies the rule on every replica: the key of a watch, or the name of an alert that
    /// a relay received.
    pub rule: String,
    /// The series' labels without those that distinguish replicas and versions.
    pub series: Labels,
}

/// Labels that distinguish replicas of one model; they do not identify the model.
const POD_IDENTITY: [&str; 6] = ["instance", "pod", "namespace", "job", "container", "node"];

/// Labels that name the version of a model. A new version is what a request asks for, so it has no
/// cool-down of its own.
const VERSION: [&str; 2] = ["model_version", "version"];

impl GateKey {
    /// The key of a series under a rule.
    #[must_use]
    pub fn new(rule: &str, series: &Labels) -> Self {
        Self {
            rule: rule.to_owned(),
            series: series.retain(|name| {
                name != Labels::NAME && !POD_IDENTITY.contains(&name) && !VERSION.contains(&name)
            }),
        }
    }
}
