//! The lifecycle of an alert: pending, firing, resolved, with `for`, `keep_firing_for`, templates
//! and identity.
//!
//! A plain `alert` behaves as in Prometheus. A `watch` has the same state machine with three
//! differences: missing data keeps the state (`no_data`), a limit keeps the first alerts, and every
//! alert has an explanation. This module reads no clock and sends nothing: time arrives with the
//! evaluation.

mod absence;
mod absent;
mod annotations;
mod ending;
mod entry;
mod event;
mod explanation;
mod labels;
mod link;
mod notice;
mod outcome;
mod pass;
mod rule;
pub mod template;
mod tracker;

#[cfg(test)]
mod tests;

pub use annotations::Annotations;
pub use entry::NOTICES;
pub use event::{Alert, AlertState};
pub use explanation::Explanation;
pub(crate) use explanation::with_unit;
pub use link::{is_static_label, rule_id};
pub use outcome::{Changes, Condition, Observation, Outcome};
pub use rule::{AlertKind, AlertRule, NoData, RuleLabels};
pub use template::{Answerer, Context, Template, TemplateEnvironment};
pub use tracker::{Tracker, TrackerSnapshot};
