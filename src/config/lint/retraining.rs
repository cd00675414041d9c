//! Lints about when a watch requests retraining.

use super::exprs::FAILURES;
use super::labels::labels_of;
use super::{Finding, Lint, RuleContext};
use crate::metric::Metric;
use crate::rules::{Retrain, Rule, Watch};

/// Words in the names of metrics about the server's speed.
const SPEED: [&str; 4] = ["latency", "duration", "time_to_first_token", "queue"];
/// Labels that name the version of a model.
const VERSIONS: [&str; 2] = ["model_version", "version"];

pub(super) fn lint(context: &RuleContext<'_>, findings: &mut Vec<Finding>) {
    let Rule::Watch(watch) = context.rule else {
        return;
    };
    let Some(retrain) = &watch.retrain else {
        return;
    };
    findings.extend(on_latency(context, watch));
    findings.extend(without_verify(context, watch, retrain));
}

fn on_latency(context: &RuleContext<'_>, watch: &Watch) -> Option<Finding> {
    let about = match watch.metric {
        Metric::InferenceLatencyMs => "a latency".to_owned(),
        Metric::Accuracy | Metric::PredictionDrift => return None,
        Metric::Custom => names(context, watch).into_iter().find(|name| {
            let fails = name.ends_with("_total") && FAILURES.iter().any(|word| name.contains(word));
            fails || SPEED.iter().any(|word| name.contains(word))
        })?,
    };
    Some(context.remark(
        Lint::RetrainOnLatency,
        "retrain",
        format!(
            "{about} says something about the server, which a new model does not mend; \
             request retraining for accuracy or drift"
        ),
    ))
}

/// The names of the metrics that a watch reads, directly or through a record.
fn names(context: &RuleContext<'_>, watch: &Watch) -> Vec<String> {
    let mut names = Vec::new();
    for selector in watch.expr.selectors() {
        let Some(name) = selector.metric_name() else {
            continue;
        };
        match context.set.recorded.get(name) {
            Some(recording) => {
                let read = recording.expressions().into_iter();
                let read = read.flat_map(crate::promql::Expr::selectors);
                names.extend(read.filter_map(|one| one.metric_name().map(str::to_owned)));
            }
            None => names.push(name.to_owned()),
        }
    }
    names
}

fn without_verify(context: &RuleContext<'_>, watch: &Watch, retrain: &Retrain) -> Option<Finding> {
    if retrain.verify.is_none() {
        return Some(context.remark(
            Lint::RetrainWithoutVerify,
            "retrain.verify.at_most",
            "0 switches the comparison of new versions off, so requests go on when retraining does not help; write 2",
        ));
    }
    let input = context.set.input;
    if !input.has_settings || input.config.settings.model.version.is_some() {
        return None;
    }
    let kept = labels_of(&watch.expr, context.set)?;
    let is_versioned = VERSIONS.iter().any(|name| kept.contains(*name));
    (!is_versioned).then(|| {
        context.remark(
            Lint::RetrainWithoutVerify,
            "expr",
            "drops the label model_version, so no new version is compared with the one before; keep it with by, or set model.version",
        )
    })
}
