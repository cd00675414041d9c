//! `drift:` of a record: counters, window, reference, statistic.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::baseline::{counts, read_references};
use super::read::{Fields, Node};
use super::rule::{RuleContext, choice, parse_expr};
use super::yaml::MAX_FILE_BYTES;
use crate::map::drift::{
    DriftParams, DriftRule, LearntReference, Reference, References, Statistic,
};
use crate::promql::Expr;

/// How much of the past is now, unless the rule says it.
const WINDOW: Duration = Duration::from_secs(30 * 60);

/// Reads a drift rule; `name` is that of its record.
pub(super) fn read_drift(
    node: &Node<'_>,
    name: &str,
    context: &RuleContext<'_>,
) -> Option<DriftRule> {
    let mut fields = node.fields()?;
    let counters = counters(&mut fields, context);
    let by = by(&mut fields);
    let window = window(&mut fields, context);
    let params = params(
        &mut fields,
        counters.as_ref().is_none_or(|one| one.1 == "le"),
    );
    let reference = fields
        .required("reference")
        .and_then(|node| reference(&node, name, context));
    fields.finish();
    let (counters, bucket) = counters?;
    if by.contains(&bucket) {
        node.problem_below(
            "by",
            format!("must not name {bucket}, which tells the buckets apart"),
        );
    }
    Some(DriftRule {
        counters,
        bucket,
        by,
        window,
        reference: reference?,
        params,
    })
}

/// The selector, and the label of the buckets.
fn counters(fields: &mut Fields<'_>, context: &RuleContext<'_>) -> Option<(Expr, String)> {
    let histogram = fields.get("histogram");
    let counter = fields.get("counter");
    let label = fields.get("label");
    match (histogram, counter, label) {
        (Some(node), None, None) => Some((selector(&node, context)?, "le".to_owned())),
        (None, Some(node), Some(label)) => {
            let name = label.text().filter(|name| !name.is_empty());
            if name.is_none() {
                label.problem("must be the label of the categories, such as predicted_class");
            }
            Some((selector(&node, context)?, name?))
        }
        (None, Some(_), None) => {
            fields
                .node()
                .problem("label is missing: the label of counter that tells the categories apart");
            None
        }
        _ => {
            fields
                .node()
                .problem("must have either histogram, or counter and label");
            None
        }
    }
}

fn selector(node: &Node<'_>, context: &RuleContext<'_>) -> Option<Expr> {
    let expr = parse_expr(node, context)?;
    if expr.selector().is_none() {
        node.problem(format!(
            "must be a selector such as prediction_score_bucket{{model_name=\"a\"}}, without functions, offset or @; got {}",
            expr.text()
        ));
        return None;
    }
    Some(expr)
}

fn by(fields: &mut Fields<'_>) -> Vec<String> {
    let mut by = fields.texts("by");
    by.sort();
    by.dedup();
    by
}

fn window(fields: &mut Fields<'_>, context: &RuleContext<'_>) -> Duration {
    let Some(node) = fields.get("window") else {
        return WINDOW;
    };
    let Some(window) = node.duration() else {
        return WINDOW;
    };
    let days = Duration::from_secs(31 * 24 * 3600);
    if window < context.interval * 2 || window > days {
        node.problem(format!(
            "must be at least two evaluations, {}, and at most 31d",
            crate::metric::format_duration(context.interval * 2)
        ));
    }
    window
}

fn params(fields: &mut Fields<'_>, ordered: bool) -> DriftParams {
    let default = DriftParams::default();
    let statistic_node = fields.get("statistic");
    let known = Statistic::ALL.map(|statistic| (statistic.as_str(), statistic));
    let statistic = statistic_node
        .as_ref()
        .and_then(|node| choice(node, &known))
        .unwrap_or_default();
    if let Some(node) = statistic_node
        && statistic.needs_order()
        && !ordered
    {
        node.problem(format!(
            "{} needs the order of buckets, which categories do not have; use jensen_shannon, psi, hellinger or total_variation",
            statistic.as_str()
        ));
    }
    let samples_node = fields.get("min_samples");
    let min_samples = samples_node.as_ref().and_then(Node::count);
    if let Some(node) = samples_node
        && min_samples == Some(0)
    {
        node.problem("must be at least 1");
    }
    let alpha_node = fields.get("alpha");
    let alpha = alpha_node.as_ref().and_then(Node::number);
    if let (Some(node), Some(alpha)) = (alpha_node, alpha)
        && !(0.001..=0.5).contains(&alpha)
    {
        node.problem(format!(
            "must be between 0.001 and 0.5, the share of windows without a change that may exceed the critical value, got {alpha}"
        ));
    }
    DriftParams {
        statistic,
        alpha: alpha.unwrap_or(default.alpha),
        min_samples: min_samples.unwrap_or(default.min_samples),
        ordered,
    }
}

fn reference(node: &Node<'_>, rule: &str, context: &RuleContext<'_>) -> Option<Reference> {
    let mut fields = node.fields()?;
    let (file, learn, buckets) = (
        fields.get("file"),
        fields.get("learn"),
        fields.get("buckets"),
    );
    fields.finish();
    match (file, learn, buckets) {
        (Some(file), None, None) => from_file(&file, rule, context),
        (None, Some(learn), None) => {
            let time = learn.duration()?;
            if time.is_zero() {
                learn.problem("must be longer than 0s");
                return None;
            }
            Some(Reference::Learn(time))
        }
        (None, None, Some(buckets)) => inline(&buckets).map(Reference::Inline),
        _ => {
            node.problem(
                "must be one of {file: baselines.yaml}, {learn: 24h} or {buckets: {\"0.5\": 120, \"+Inf\": 4}}",
            );
            None
        }
    }
}

fn inline(node: &Node<'_>) -> Option<LearntReference> {
    let counts = counts(node)?;
    LearntReference::new(&counts)
        .map_err(|problem| node.problem(problem.trim_start_matches("buckets: ")))
        .ok()
}

/// A file that is missing leaves the rule without references, so that `sidewatch baseline` can record them.
fn from_file(node: &Node<'_>, rule: &str, context: &RuleContext<'_>) -> Option<Reference> {
    let written = node.text()?;
    let folder = Path::new(context.file).parent().unwrap_or(Path::new(""));
    let path = folder.join(&written);
    let file = path.display().to_string();
    let (text, series) = match read(&path) {
        Ok(text) => match read_references(&file, &text, rule) {
            Ok(series) => (text, series),
            Err(problems) => {
                for problem in problems.as_slice() {
                    node.problem(problem.to_string());
                }
                (text, References::new())
            }
        },
        Err(error) => {
            node.problem(format!(
                "{file} cannot be read: {error}; record it with sidewatch baseline"
            ));
            (String::new(), References::new())
        }
    };
    Some(Reference::File { file, text, series })
}

fn read(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_BYTES as u64 {
        return Err(format!("{size} bytes, more than {MAX_FILE_BYTES}"));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}
