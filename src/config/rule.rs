//! One rule: `record`, `alert` or `watch`, from its keys.

use std::time::Duration;

use serde_json::Value as Json;

use super::drift::drift_rule;
use super::estimate::estimate_rule;
use super::estimate_keys::EstimateKeys;
use super::ratio::ratio_rule;
use super::rule_keys::{AlertKeys, RecordKeys, RetrainKeys, RuleKeys, VerifyKeys, WatchKeys};
use super::rule_shapes::templates;
use super::rules::{References, RuleReader};
use crate::alert::{self, AlertKind, Template};
use crate::describe::Node;
use crate::judge::{StrategyConfig, StrategyContext};
use crate::map::estimate::Estimated;
use crate::map::{Recording, Source};
use crate::metric::{Direction, Label, Metric};
use crate::notify::retrain::Verify;
use crate::rules::{Retrain, Rule, Watch};

/// The context of a rule: inherited settings and limits.
pub(super) struct RuleContext<'a> {
    pub(super) file: &'a str,
    pub(super) reader: &'a RuleReader<'a>,
    pub(super) group: &'a str,
    pub(super) labels: &'a [(String, String)],
    pub(super) limit: usize,
    pub(super) interval: Duration,
    pub(super) recorded: &'a [(String, Metric)],
    /// Whether reference files must exist.
    pub(super) references: References,
}

/// Builds a rule from its keys; `None` if a mistake prevents it.
pub(super) fn rule(keys: RuleKeys, node: &Node<'_>, context: &RuleContext<'_>) -> Option<Rule> {
    match keys {
        RuleKeys::Record(keys) => record(*keys, node, context),
        RuleKeys::Alert(keys) => Some(plain(keys, node, context)),
        RuleKeys::Watch(keys) => watch(*keys, node, context),
    }
}

fn record(keys: RecordKeys, node: &Node<'_>, context: &RuleContext<'_>) -> Option<Rule> {
    let metric = keys
        .metric
        .or(keys.drift.as_ref().map(|_| Metric::PredictionDrift))
        .or_else(|| estimated(keys.estimate.as_ref()?));
    let source = if let Some(estimate) = &keys.estimate {
        let below = node.peek("estimate")?;
        Source::Estimate(Box::new(estimate_rule(
            estimate,
            &keys.record,
            &below,
            context,
        )?))
    } else if let Some(drift) = keys.drift {
        let below = node.peek("drift")?;
        Source::Drift(Box::new(drift_rule(drift, &keys.record, &below, context)?))
    } else if let Some(ratio) = keys.ratio {
        let below = node.peek("ratio")?;
        Source::Ratio(Box::new(ratio_rule(ratio, &below, context)?))
    } else {
        Source::Expr(keys.expr?)
    };
    Some(Rule::Record(Recording {
        name: keys.record,
        metric,
        direction: keys.direction,
        labels: record_labels(keys.labels, context),
        source,
        samples: keys.samples,
        optional: keys.optional,
    }))
}

/// The kind of an estimate, if the record does not say it: precision and recall are shares of right
/// answers as accuracy is.
fn estimated(estimate: &EstimateKeys) -> Option<Metric> {
    (estimate.of != Estimated::Gap).then_some(Metric::Accuracy)
}

fn plain(keys: AlertKeys, node: &Node<'_>, context: &RuleContext<'_>) -> Rule {
    let expr = keys.expr;
    let labels = alert_labels(keys.labels, node, context);
    let alert = alert::AlertRule {
        name: keys.alert.into(),
        group: context.group.into(),
        expr: expr.text().into(),
        hold: keys.hold,
        keep_firing_for: keys.keep_firing_for,
        limit: context.limit,
        interval: context.interval,
        labels,
        annotations: keys.annotations,
        ..alert::AlertRule::default()
    };
    Rule::Alert { expr, alert }
}

/// The problem of a strategy `ratio` that gets no counts.
const NO_COUNTS: &str = "must be the name of a record with ratio alone, since its strategy judges counts; a function or an operator around the name loses them";

/// Whether a strategy, or a part of it, judges the counts behind a ratio.
fn judges_counts(strategy: &StrategyConfig) -> bool {
    let is_ratio = |part: &Json| part.get("type").and_then(Json::as_str) == Some("ratio");
    let parts = strategy.params.get("strategies").and_then(Json::as_array);
    strategy.kind == "ratio" || parts.into_iter().flatten().any(is_ratio)
}

fn watch(keys: WatchKeys, node: &Node<'_>, context: &RuleContext<'_>) -> Option<Rule> {
    let recorded = keys.expr.metric_name().and_then(|name| {
        let known = context.recorded.iter().find(|(record, _)| record == name);
        known.map(|(_, metric)| metric.clone())
    });
    let metric = keys.metric.or(recorded).unwrap_or_default();
    let direction = keys.direction.unwrap_or_else(|| metric.direction());
    let expr = keys.expr;
    let labels = alert_labels(keys.labels, node, context);
    let strategy = checked(keys.strategy, direction, node, context);
    let retrain = keys.retrain.map(retrain);
    if strategy.as_ref().is_some_and(judges_counts) && expr.selector().is_none() {
        node.problem_below("expr", NO_COUNTS);
    }
    let alert = alert::AlertRule {
        kind: AlertKind::Watch,
        name: keys.watch.into(),
        group: context.group.into(),
        expr: expr.text().into(),
        hold: keys.hold,
        keep_firing_for: keys.keep_firing_for,
        limit: context.limit,
        interval: context.interval,
        no_data: keys.no_data,
        no_data_resolve: keys.no_data_resolve,
        labels,
        annotations: keys.annotations,
    };
    Some(Rule::Watch(Box::new(Watch {
        expr,
        samples: keys.samples,
        metric,
        direction,
        strategy: strategy?,
        alert,
        adapt_after: keys.adapt_after,
        expect: keys.expect.map(|expect| expect.every),
        retrain,
    })))
}

/// The group's labels that the rule does not have.
fn inherited<T>(own: &[(String, T)], context: &RuleContext<'_>) -> Vec<(String, String)> {
    let is_own = |name: &str| own.iter().any(|(known, _)| known == name);
    let labels = context.labels.iter();
    labels.filter(|(name, _)| !is_own(name)).cloned().collect()
}

/// The labels of an alert or a watch, the group's included, sorted by name.
fn alert_labels(
    own: Vec<(String, Template)>,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Vec<(String, Template)> {
    let mut labels = templates(node, inherited(&own, context));
    labels.extend(own);
    labels.sort_by(|(a, _), (b, _)| a.cmp(b));
    labels
}

/// The labels of a record, the group's included, sorted by name.
fn record_labels(own: Vec<(String, String)>, context: &RuleContext<'_>) -> Vec<Label> {
    let mut labels = inherited(&own, context);
    labels.extend(own);
    labels.sort();
    let label = |(name, value): (String, String)| Label {
        name: name.into(),
        value: value.into(),
    };
    labels.into_iter().map(label).collect()
}

/// A strategy, if it can be built.
fn checked(
    config: StrategyConfig,
    direction: Direction,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Option<StrategyConfig> {
    let about = StrategyContext {
        direction,
        interval: context.interval,
    };
    let problems = context.reader.registry.check(&config, &about);
    let place = node.peek("strategy")?;
    for problem in &problems {
        place.problem_below(&problem.path, problem.message.clone());
    }
    problems.is_empty().then_some(config)
}

fn retrain(keys: RetrainKeys) -> Retrain {
    Retrain {
        cooldown: keys.cooldown,
        after: keys.after,
        unless: keys.unless,
        verify: verify(&keys.verify),
        rollback: keys.rollback,
    }
}

fn verify(keys: &VerifyKeys) -> Option<Verify> {
    let verify = Verify {
        at_most: keys.at_most,
        within: keys.within,
        compared_for: keys.compared_for,
    };
    (keys.at_most > 0).then_some(verify)
}
