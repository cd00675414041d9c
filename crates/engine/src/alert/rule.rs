//! An alerting rule as the tracker needs it.

use std::sync::Arc;
use std::time::Duration;

use crate::describe::worded;

use super::template::Template;

/// A label's name and value before they are sorted.
pub(super) type Pair = (Arc<str>, Arc<str>);

/// Labels or annotations with templates as values.
pub type RuleLabels = Vec<(String, Template)>;

/// Whether a rule behaves exactly as in Prometheus or is a judged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AlertKind {
    /// `alert:` presence in the result decides.
    #[default]
    Alert,
    /// `watch:` a strategy's verdict decides; missing data is no verdict.
    Watch,
}

/// What missing data means for a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoData {
    /// The state stays as it is.
    #[default]
    Keep,
    /// Missing data is itself a reason to alert.
    Alert,
    /// Missing data is healthy, as in Prometheus.
    Ok,
}

worded! {
    NoData {
        "keep" => Self::Keep, "The alert stays as it is.";
        "alert" => Self::Alert, "Missing data is a reason to alert.";
        "ok" => Self::Ok, "Missing data is healthy, as in Prometheus.";
    }
}

/// One alerting rule.
#[derive(Debug, Clone, Default)]
pub struct AlertRule {
    /// The alert's name.
    pub name: Arc<str>,
    /// Its group.
    pub group: Arc<str>,
    /// The expression as written, for the link to it.
    pub expr: Arc<str>,
    /// Plain or judged.
    pub kind: AlertKind,
    /// How long the condition must hold before the alert fires.
    pub hold: Duration,
    /// How long the alert stays firing after the condition ended.
    pub keep_firing_for: Duration,
    /// Most alerts pending or firing at once; 0 is no limit.
    pub limit: usize,
    /// What missing data means; only for a watch.
    pub no_data: NoData,
    /// How long a healthy target must have stopped exporting a series until its alert resolves
    /// under [`NoData::Keep`]; zero for never.
    pub no_data_resolve: Duration,
    /// How often the rule is evaluated.
    pub interval: Duration,
    /// Labels added to the series' own.
    pub labels: RuleLabels,
    /// Texts for people.
    pub annotations: RuleLabels,
}

impl AlertRule {
    /// The PromQL in the `query` calls of its labels and annotations, where it is a literal.
    #[must_use]
    pub fn queries(&self) -> Vec<String> {
        let templates = self.labels.iter().chain(&self.annotations);
        templates
            .flat_map(|(_, template)| template.queries())
            .collect()
    }

    /// Whether a label calls `query`, so that the identity of an alert depends on other series.
    #[must_use]
    pub fn labels_ask(&self) -> bool {
        let mut templates = self.labels.iter();
        templates.any(|(_, template)| template.source().contains("query"))
    }

    /// Whether a label or annotation calls `query`.
    #[must_use]
    pub fn asks(&self) -> bool {
        let mut templates = self.labels.iter().chain(&self.annotations);
        templates.any(|(_, template)| template.source().contains("query"))
    }
}
