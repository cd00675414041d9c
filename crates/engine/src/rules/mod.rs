//! Checked rules with every default filled in. Reading them from YAML happens elsewhere.

mod definition;
mod id;
mod recorded;

pub use definition::{definitions, optional};
pub use id::RuleId;
pub use recorded::{Origin, Recorded};

use std::time::Duration;

use crate::alert;
use crate::judge::StrategyConfig;
use crate::map::drift::DriftRule;
use crate::map::estimate::EstimateRule;
use crate::map::ratio::RatioRule;
use crate::map::{Recording, Source};
use crate::metric::{Direction, Metric};
use crate::promql::Expr;
use crate::retrain::Verify;

/// How long an incident lasts until a steady new level is accepted, where a watch does not say.
pub const DEFAULT_ADAPT_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Every rule of every file, in order.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// The groups, by file and then as written.
    pub groups: Vec<Group>,
}

impl RuleSet {
    /// The rules of every group, in order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.groups.iter().flat_map(|group| &group.rules)
    }
}

/// Rules that are evaluated one after the other, so that a later one sees what an earlier one
/// recorded.
#[derive(Debug, Clone)]
pub struct Group {
    /// The file as the user named it.
    pub file: String,
    /// Its place in the file.
    pub place: Place,
    /// Unique within its file.
    pub name: String,
    /// Time between evaluations; the scrape interval when `None`.
    pub interval: Option<Duration>,
    /// Most alerts of one rule that are pending or firing at once; 0 is no limit.
    pub limit: usize,
    /// Keys that are written and have no effect.
    pub without_effect: Vec<&'static str>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// The place of a group in its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Which YAML document of the file, from 0; empty documents do not count.
    pub document: usize,
    /// The path in the document, such as `groups[0]` or `spec.groups[2]`.
    pub path: String,
}

/// One rule of a group.
#[derive(Debug, Clone)]
pub enum Rule {
    /// `record`: a value under a new name, perhaps a model metric.
    Record(Recording),
    /// `alert`: fires while its expression returns something, as in Prometheus.
    Alert {
        /// The condition.
        expr: Expr,
        /// Timing, labels and annotations.
        alert: alert::AlertRule,
    },
    /// `watch`: fires while its strategy finds the value anomalous.
    Watch(Box<Watch>),
}

impl Rule {
    /// The name behind `record`, `alert` or `watch`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Record(recording) => &recording.name,
            Self::Alert { alert, .. } => &alert.name,
            Self::Watch(watch) => &watch.alert.name,
        }
    }

    /// The drift behind a record.
    #[must_use]
    pub fn drift(&self) -> Option<&DriftRule> {
        match self {
            Self::Record(Recording {
                source: Source::Drift(drift),
                ..
            }) => Some(drift),
            Self::Record(_) | Self::Alert { .. } | Self::Watch(_) => None,
        }
    }

    /// The ratio behind a record.
    #[must_use]
    pub fn ratio(&self) -> Option<&RatioRule> {
        match self {
            Self::Record(Recording {
                source: Source::Ratio(ratio),
                ..
            }) => Some(ratio),
            Self::Record(_) | Self::Alert { .. } | Self::Watch(_) => None,
        }
    }

    /// The estimate behind a record.
    #[must_use]
    pub fn estimate(&self) -> Option<&EstimateRule> {
        match self {
            Self::Record(Recording {
                source: Source::Estimate(estimate),
                ..
            }) => Some(estimate),
            Self::Record(_) | Self::Alert { .. } | Self::Watch(_) => None,
        }
    }

    /// Whether a record counts, so that its selectors are of counters.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.drift().is_some() || self.ratio().is_some() || self.estimate().is_some()
    }

    /// Timing, labels and annotations of the rule's alerts; `None` for a record.
    #[must_use]
    pub fn alert(&self) -> Option<&alert::AlertRule> {
        match self {
            Self::Record(_) => None,
            Self::Alert { alert, .. } => Some(alert),
            Self::Watch(watch) => Some(&watch.alert),
        }
    }

    /// The PromQL in the `query` calls of the rule's templates, where it is a literal.
    #[must_use]
    pub fn template_queries(&self) -> Vec<String> {
        self.alert()
            .map(alert::AlertRule::queries)
            .unwrap_or_default()
    }

    /// Every expression of the rule, that of its value first, a watch's veto of retraining
    /// included.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expr> {
        match self {
            Self::Record(recording) => recording.expressions(),
            Self::Alert { expr, .. } => vec![expr],
            Self::Watch(watch) => {
                let veto = watch
                    .retrain
                    .as_ref()
                    .and_then(|retrain| retrain.unless.as_ref());
                std::iter::once(&watch.expr)
                    .chain(&watch.samples)
                    .chain(veto)
                    .collect()
            }
        }
    }

    /// The number of observations behind each value, if the rule says it.
    #[must_use]
    pub fn samples(&self) -> Option<&Expr> {
        match self {
            Self::Record(recording) => recording.samples.as_ref(),
            Self::Alert { .. } => None,
            Self::Watch(watch) => watch.samples.as_ref(),
        }
    }
}

/// A judged alert.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The value that is judged.
    pub expr: Expr,
    /// The number of observations behind each value, if the rule says it.
    pub samples: Option<Expr>,
    /// What the value is about.
    pub metric: Metric,
    /// The side that is bad.
    pub direction: Direction,
    /// How it is judged.
    pub strategy: StrategyConfig,
    /// Timing, labels and annotations of its alert.
    pub alert: alert::AlertRule,
    /// How long an incident lasts until a steady new level is accepted as normal; zero for ever.
    pub adapt_after: Duration,
    /// Longest time between two observations of a series; `None` if none are expected.
    pub expect: Option<Duration>,
    /// When to request retraining.
    pub retrain: Option<Retrain>,
}

/// When a firing watch requests retraining.
#[derive(Debug, Clone)]
pub struct Retrain {
    /// At most one request in this time. Default 6h.
    pub cooldown: Duration,
    /// At least this many of the last evaluations must be anomalous; `(1, 1)` by default.
    pub after: (u32, u32),
    /// No request while this returns something, nor on evidence from such a time.
    pub unless: Option<Expr>,
    /// How the next version is compared with the one before; `None` for not at all.
    pub verify: Option<Verify>,
    /// Whether the version before is requested when the next one is worse.
    pub rollback: bool,
}
