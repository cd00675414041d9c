//! Lints about a strategy, the metric it judges and the timing of its watch.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Finding, Lint, RuleContext};
use crate::metric::{Direction, Metric, format_duration};
use crate::rules::{DEFAULT_ADAPT_AFTER, Rule, Watch};

/// A longer warm-up is reported.
const MAX_WARM_UP: Duration = Duration::from_secs(24 * 3600);

pub(super) fn lint(context: &RuleContext<'_>, findings: &mut Vec<Finding>) {
    match context.rule {
        Rule::Record(recording) => {
            if let (Some(metric), Some(direction)) = (&recording.metric, recording.direction) {
                findings.extend(wrong_side(context, metric, direction, "direction"));
            }
        }
        Rule::Watch(watch) => {
            let parts = parts("strategy", &watch.strategy.kind, &watch.strategy.params);
            let side = wrong_side(context, &watch.metric, watch.direction, "direction");
            let own = parts.iter().find_map(|part| {
                let word = part.params.get("direction")?.as_str()?;
                let all = [Direction::Above, Direction::Below, Direction::Both];
                let direction = all.into_iter().find(|one| one.as_str() == word)?;
                wrong_side(
                    context,
                    &watch.metric,
                    direction,
                    &format!("{}.direction", part.path),
                )
            });
            findings.extend(side.or(own));
            for part in &parts {
                findings.extend(bounds(context, watch, part));
                findings.extend(warm_up(context, part));
            }
            findings.extend(needless_adaptation(context, watch, &parts));
        }
        Rule::Alert { .. } => {}
    }
}

/// A strategy that is not `any_of` or `all_of`.
struct Part<'a> {
    path: String,
    kind: &'a str,
    params: &'a Map<String, Value>,
}

/// The strategies inside any `any_of` and `all_of`.
fn parts<'a>(path: &str, kind: &'a str, params: &'a Map<String, Value>) -> Vec<Part<'a>> {
    let Some(Value::Array(inner)) = params.get("strategies") else {
        let path = path.to_owned();
        return vec![Part { path, kind, params }];
    };
    let inner = inner.iter().enumerate().filter_map(|(n, part)| {
        let params = part.as_object()?;
        let kind = params.get("type")?.as_str()?;
        Some(parts(&format!("{path}.strategies[{n}]"), kind, params))
    });
    inner.flatten().collect()
}

fn wrong_side(
    context: &RuleContext<'_>,
    metric: &Metric,
    direction: Direction,
    below: &str,
) -> Option<Finding> {
    let wrong = match metric {
        Metric::Accuracy => direction == Direction::Above,
        Metric::InferenceLatencyMs | Metric::PredictionDrift => direction == Direction::Below,
        Metric::Custom => false,
    };
    let usual = metric.direction();
    wrong.then(|| {
        context.remark(
            Lint::WrongSide,
            below,
            format!(
                "{direction} is the good side of {metric}; leave it out, which means {usual}, or write both"
            ),
        )
    })
}

fn bounds(context: &RuleContext<'_>, watch: &Watch, part: &Part<'_>) -> Vec<Finding> {
    if part.kind != "static" {
        return Vec::new();
    }
    let wrong = |name: &&str| {
        let bound = part.params.get(*name)?.as_f64()?;
        let why = match watch.metric {
            Metric::Accuracy if !(0.0..=1.0).contains(&bound) => {
                "an accuracy is a share from 0 to 1; write 0.9 for 90 %"
            }
            Metric::InferenceLatencyMs if bound < 0.0 => "a latency is never below 0",
            Metric::PredictionDrift if bound < 0.0 => "a drift is never below 0",
            Metric::Accuracy if below(watch) && bound <= 0.0 => {
                "no accuracy is below 0, so this never fires"
            }
            Metric::Accuracy
            | Metric::InferenceLatencyMs
            | Metric::PredictionDrift
            | Metric::Custom => {
                return None;
            }
        };
        let place = format!("{}.{name}", part.path);
        Some(context.remark(Lint::BoundOutOfRange, &place, format!("{why}, got {bound}")))
    };
    ["bound", "lower", "upper"]
        .iter()
        .filter_map(wrong)
        .collect()
}

fn below(watch: &Watch) -> bool {
    watch.direction == Direction::Below
}

fn warm_up(context: &RuleContext<'_>, part: &Part<'_>) -> Option<Finding> {
    let values = part.params.get("warm_up")?.as_u64()?;
    let time = context.interval() * u32::try_from(values).ok()?;
    (time > MAX_WARM_UP).then(|| {
        let [time, interval] = [time, context.interval()].map(format_duration);
        context.remark(
            Lint::LongWarmUp,
            &format!("{}.warm_up", part.path),
            format!("{values} values take {time} at an interval of {interval}, and nothing is judged before; write fewer"),
        )
    })
}

/// `adapt_after` where every bound is fixed.
fn needless_adaptation(
    context: &RuleContext<'_>,
    watch: &Watch,
    parts: &[Part<'_>],
) -> Option<Finding> {
    let is_fixed = |part: &Part<'_>| {
        part.kind == "static" || part.kind == "ratio" && part.params.contains_key("bound")
    };
    let is_default = watch.adapt_after == DEFAULT_ADAPT_AFTER;
    (!is_default && parts.iter().all(is_fixed)).then(|| {
        context.remark(
            Lint::NeedlessAdaptAfter,
            "adapt_after",
            "has no effect, because a fixed bound is never learned anew; leave it out",
        )
    })
}
