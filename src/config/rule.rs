//! One rule: `record`, `alert` or `watch`.

use std::time::Duration;

use super::drift::read_drift;
use super::read::{Fields, Node};
use super::rules::{RuleReader, merged};
use crate::alert::{self, AlertKind, NoData, Template};
use crate::judge::{StrategyConfig, StrategyContext};
use crate::map::{Recording, Source};
use crate::metric::{Direction, Labels, Metric, format_duration};
use crate::promql::Expr;
use crate::rules::{Retrain, Rule, Watch};

/// What a rule inherits and needs to know.
pub(super) struct RuleContext<'a> {
    pub(super) file: &'a str,
    pub(super) reader: &'a RuleReader<'a>,
    pub(super) group: &'a str,
    pub(super) labels: &'a Labels,
    pub(super) limit: usize,
    pub(super) interval: Duration,
    pub(super) recorded: &'a [(String, Metric)],
}

/// Reads a rule; `None` when it is too broken to go on with.
pub(super) fn read_rule(node: &Node<'_>, context: &RuleContext<'_>) -> Option<Rule> {
    let mut fields = node.fields()?;
    let kinds = ["record", "alert", "watch"].map(|kind| node.peek(kind).map(|_| kind));
    let kinds: Vec<&str> = kinds.into_iter().flatten().collect();
    let rule = match kinds.as_slice() {
        ["record"] => record(&mut fields, context),
        ["alert"] => plain(&mut fields, context),
        ["watch"] => watch(&mut fields, context),
        [] => {
            node.problem("one of record, alert or watch is missing");
            return None;
        }
        several => {
            node.problem(format!(
                "must be one of record, alert or watch, not {}",
                several.join(" and ")
            ));
            return None;
        }
    };
    fields.finish();
    rule
}

fn record(fields: &mut Fields<'_>, context: &RuleContext<'_>) -> Option<Rule> {
    let name_node = fields.required("record")?;
    let name = name_node.text()?;
    if name.is_empty() || name.contains(['{', '}']) {
        name_node.problem(format!(
            "must be a metric name such as model:latency:p99, got {name:?}"
        ));
    }
    let kind = fields.get("metric").and_then(|node| metric(&node));
    let direction = fields.get("direction").and_then(|node| direction(&node));
    let labels = own_labels(fields, context);
    let drift = fields.get("drift");
    let metric = kind.or(drift.as_ref().map(|_| Metric::PredictionDrift));
    let source = match drift {
        Some(node) => {
            if fields.get("expr").is_some() {
                node.problem("stands in the place of expr; keep one of them");
            }
            Source::Drift(Box::new(read_drift(&node, &name, context)?))
        }
        None => Source::Expr(expr(fields, "expr", context)?),
    };
    Some(Rule::Record(Recording {
        name,
        metric,
        direction,
        labels: Labels::new(labels),
        source,
    }))
}

fn plain(fields: &mut Fields<'_>, context: &RuleContext<'_>) -> Option<Rule> {
    let alert = alert(fields, "alert", context);
    let expr = expr(fields, "expr", context);
    let (expr, mut alert) = (expr?, alert?);
    alert.expr = expr.text().into();
    Some(Rule::Alert { expr, alert })
}

fn watch(fields: &mut Fields<'_>, context: &RuleContext<'_>) -> Option<Rule> {
    let alert = alert(fields, "watch", context);
    let expr = expr(fields, "expr", context);
    let metric = fields.get("metric").and_then(|node| metric(&node));
    let direction = fields.get("direction").and_then(|node| direction(&node));
    let recorded = expr.as_ref().and_then(Expr::metric_name).and_then(|name| {
        let known = context.recorded.iter().find(|(record, _)| record == name);
        known.map(|(_, metric)| metric.clone())
    });
    let metric = metric.or(recorded).unwrap_or_default();
    let direction = direction.unwrap_or_else(|| metric.direction());
    let no_data_node = fields.get("no_data");
    let no_data = no_data_node
        .and_then(|node| no_data(&node))
        .unwrap_or_default();
    let strategy_node = fields.required("strategy");
    let strategy = strategy_node.and_then(|node| strategy(&node, direction, context));
    let retrain = fields
        .get("retrain")
        .and_then(|node| retrain(&node, context));
    let (expr, mut alert) = (expr?, alert?);
    alert.kind = AlertKind::Watch;
    alert.no_data = no_data;
    alert.expr = expr.text().into();
    Some(Rule::Watch(Box::new(Watch {
        expr,
        metric,
        direction,
        strategy: strategy?,
        alert,
        retrain,
    })))
}

fn alert(
    fields: &mut Fields<'_>,
    kind: &'static str,
    context: &RuleContext<'_>,
) -> Option<alert::AlertRule> {
    let name_node = fields.required(kind)?;
    let name = name_node.text().unwrap_or_default();
    if name.is_empty() {
        name_node.problem("must not be empty");
    }
    let hold = fields.duration("for").unwrap_or_default();
    let keep_firing_for = fields.duration("keep_firing_for").unwrap_or_default();
    let labels_node = fields.get("labels");
    let labels = own_labels(fields, context);
    let labels = labels
        .into_iter()
        .filter_map(|pair| template(labels_node.as_ref(), pair))
        .collect();
    let annotations_node = fields.get("annotations");
    let annotations = annotations_node
        .as_ref()
        .and_then(Node::text_map)
        .unwrap_or_default();
    let annotations = annotations
        .into_iter()
        .filter_map(|pair| template(annotations_node.as_ref(), pair))
        .collect();
    Some(alert::AlertRule {
        name: name.into(),
        group: context.group.into(),
        hold,
        keep_firing_for,
        limit: context.limit,
        interval: context.interval,
        labels,
        annotations,
        ..alert::AlertRule::default()
    })
}

fn own_labels(fields: &mut Fields<'_>, context: &RuleContext<'_>) -> Vec<(String, String)> {
    let own = fields.labels("labels");
    let own = own
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    merged(context.labels, own)
}

fn template(node: Option<&Node<'_>>, (name, text): (String, String)) -> Option<(String, Template)> {
    match Template::parse(&text) {
        Ok(template) => Some((name, template)),
        Err(error) => {
            if let Some(node) = node {
                node.problem_below(&name, error.to_string());
            }
            None
        }
    }
}

fn expr(fields: &mut Fields<'_>, key: &'static str, context: &RuleContext<'_>) -> Option<Expr> {
    let node = fields.required(key)?;
    parse_expr(&node, context)
}

pub(super) fn parse_expr(node: &Node<'_>, context: &RuleContext<'_>) -> Option<Expr> {
    let text = node.text()?;
    let expr = match Expr::parse(&text) {
        Ok(expr) => expr,
        Err(error) => {
            node.problem(error.to_string());
            return None;
        }
    };
    let retention = context.reader.retention;
    let reach = expr.reach();
    if reach > retention {
        node.problem(format!(
            "looks back over {}, more than the storage.retention of {}; shorten the range or raise the retention",
            format_duration(reach),
            format_duration(retention)
        ));
        return None;
    }
    Some(expr)
}

fn metric(node: &Node<'_>) -> Option<Metric> {
    let word = node.text()?;
    let found = Metric::from_word(&word);
    if found.is_none() {
        let known = Metric::ALL.map(|kind| kind.to_string()).join(", ");
        node.problem(format!("must be one of {known}, got {word:?}"));
    }
    found
}

fn direction(node: &Node<'_>) -> Option<Direction> {
    let known = [Direction::Above, Direction::Below, Direction::Both];
    choice(
        node,
        &known.map(|direction| (direction.as_str(), direction)),
    )
}

fn no_data(node: &Node<'_>) -> Option<NoData> {
    choice(
        node,
        &[
            ("keep", NoData::Keep),
            ("alert", NoData::Alert),
            ("ok", NoData::Ok),
        ],
    )
}

pub(super) fn choice<T: Copy>(node: &Node<'_>, known: &[(&str, T)]) -> Option<T> {
    let word = node.text()?;
    let found = known.iter().find(|(name, _)| *name == word);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        node.problem(format!("must be one of {}, got {word:?}", names.join(", ")));
    }
    found.map(|(_, value)| *value)
}

fn strategy(
    node: &Node<'_>,
    direction: Direction,
    context: &RuleContext<'_>,
) -> Option<StrategyConfig> {
    let json = node.value().to_json();
    let config: StrategyConfig = match serde_json::from_value(json) {
        Ok(config) => config,
        Err(error) => {
            node.problem(format!("{error}; write it as {{type: static, bound: 0.9}}"));
            return None;
        }
    };
    let about = StrategyContext {
        direction,
        interval: context.interval,
    };
    let problems = context.reader.registry.check(&config, &about);
    for problem in &problems {
        node.problem_below(&problem.path, problem.message.clone());
    }
    problems.is_empty().then_some(config)
}

fn retrain(node: &Node<'_>, context: &RuleContext<'_>) -> Option<Retrain> {
    const DEFAULT: Duration = Duration::from_secs(6 * 3600);
    let mut fields = node.fields()?;
    let cooldown = fields.duration("cooldown").unwrap_or(DEFAULT);
    let after = fields
        .get("after")
        .and_then(|node| after(&node))
        .unwrap_or((1, 1));
    let unless = fields
        .get("unless")
        .and_then(|node| parse_expr(&node, context));
    fields.finish();
    Some(Retrain {
        cooldown,
        after,
        unless,
    })
}

/// `3/5`: three of the last five.
fn after(node: &Node<'_>) -> Option<(u32, u32)> {
    let text = node.text()?;
    let parsed = text
        .split_once('/')
        .and_then(|(n, m)| Some((n.trim().parse::<u32>().ok()?, m.trim().parse::<u32>().ok()?)))
        .filter(|(n, m)| *n >= 1 && n <= m && *m <= 1000);
    if parsed.is_none() {
        node.problem(format!(
            "must be N/M with 1 ≤ N ≤ M ≤ 1000, such as 3/5, got {text:?}"
        ));
    }
    parsed
}
