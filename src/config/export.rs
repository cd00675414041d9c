//! Exports the rules that Prometheus can evaluate as a Prometheus rule file.
//!
//! Records and alerts are unchanged. A watch with fixed bounds becomes an alert on the same bounds,
//! which fires at the same times as long as there is data. Rules that learn, compare distributions
//! or request retraining are listed in comments.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::Serialize;

use super::yaml::to_yaml;
use crate::alert::{self, NoData};
use crate::map::Source;
use crate::map::ratio::{Parts, RatioRule};
use crate::metric::{Direction, Label, format_duration};
use crate::promql::ast::Type;
use crate::promql::{Expr, format_value};
use crate::rules::{Rule, RuleSet, Watch};

/// A rule as Prometheus writes it.
#[derive(Serialize)]
struct Plain<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'a str>,
    expr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Head {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

/// A rule file for Prometheus.
#[must_use]
pub(crate) fn prometheus(rules: &RuleSet) -> String {
    let mut text =
        String::from("# Exported by sidewatch check rules --export-prometheus.\ngroups:\n");
    let mut names = HashSet::new();
    for group in &rules.groups {
        let is_new = names.insert(group.name.clone());
        let name = if is_new {
            group.name.clone()
        } else {
            format!("{} ({}, {})", group.name, group.file, group.place.path)
        };
        let head = Head {
            name,
            interval: group.interval.map(format_duration),
            limit: Some(group.limit).filter(|limit| *limit > 0),
        };
        push(&mut text, 2, &written(&[head]));
        let exported: Vec<Exported<'_>> = group.rules.iter().map(export).collect();
        let has_rules = exported.iter().any(|one| matches!(one, Exported::Rule(..)));
        push(&mut text, 4, if has_rules { "rules:" } else { "rules: []" });
        for one in exported {
            match one {
                Exported::Rule(rule, remark) => {
                    if let Some(remark) = remark {
                        push(&mut text, 6, &format!("# {remark}"));
                    }
                    push(&mut text, 6, &written(&[*rule]));
                }
                Exported::Not(why) => push(&mut text, 6, &format!("# {why}")),
            }
        }
    }
    text
}

enum Exported<'a> {
    /// A rule, and the features it loses.
    Rule(Box<Plain<'a>>, Option<String>),
    /// Why it cannot be exported.
    Not(String),
}

fn export(rule: &Rule) -> Exported<'_> {
    match rule {
        Rule::Record(recording) => {
            let name = &recording.name;
            let (expr, remark) = match &recording.source {
                Source::Expr(expr) => (expr.text().to_owned(), None),
                Source::Ratio(ratio) => match quotient(ratio) {
                    Some(expr) => {
                        let remark = "here the increases are extrapolated";
                        (expr, Some(format!("record {name:?}: {remark}")))
                    }
                    None => {
                        return Exported::Not(format!(
                            "record {name:?} finds the bound of a bucket: only sidewatch does"
                        ));
                    }
                },
                Source::Estimate(_) => {
                    return Exported::Not(format!(
                        "record {name:?} estimates from buckets: only sidewatch does"
                    ));
                }
                Source::Drift(_) => {
                    return Exported::Not(format!(
                        "record {name:?} compares distributions: only sidewatch does"
                    ));
                }
            };
            let labels = plain_labels(&recording.labels);
            let plain = Plain {
                record: Some(&recording.name),
                alert: None,
                expr,
                r#for: None,
                keep_firing_for: None,
                labels,
                annotations: BTreeMap::new(),
            };
            Exported::Rule(Box::new(plain), remark)
        }
        Rule::Alert { expr, alert } => {
            Exported::Rule(Box::new(alerting(alert, expr.text().to_owned())), None)
        }
        Rule::Watch(watch) => of_watch(watch),
    }
}

/// A ratio of increases; `None` for the buckets of a histogram. A part that is not there counts as
/// 0.
fn quotient(ratio: &RatioRule) -> Option<String> {
    let Parts::Counters {
        numerator, total, ..
    } = &ratio.parts
    else {
        return None;
    };
    let (by, window) = (ratio.by.join(", "), format_duration(ratio.window));
    let one = |expr: &Expr| {
        let text = expr.text().trim();
        format!("sum by ({by}) (increase({text}[{window}]))")
    };
    let all: Vec<String> = total.iter().map(one).collect();
    let any = all.join(" or ");
    let sum = |parts: &[Expr]| {
        if parts == total.as_slice() && all.len() == 1 {
            return any.clone();
        }
        let parts = parts
            .iter()
            .map(|expr| format!("({} or 0 * ({any}))", one(expr)));
        parts.collect::<Vec<_>>().join(" + ")
    };
    Some(format!("({})\n/\n({})", sum(numerator), sum(total)))
}

fn of_watch(watch: &Watch) -> Exported<'_> {
    let name = &watch.alert.name;
    let kind = &watch.strategy.kind;
    let Some(expr) = bounds(watch) else {
        return Exported::Not(format!(
            "watch {name:?} learns ({kind}): only sidewatch does"
        ));
    };
    let lost = match watch.alert.no_data {
        NoData::Ok => None,
        NoData::Keep => Some("here the alert ends when its series does"),
        NoData::Alert => {
            return Exported::Not(format!(
                "watch {name:?} fires without data: only sidewatch does"
            ));
        }
    };
    let lost = lost.into_iter().chain(
        watch
            .retrain
            .is_some()
            .then_some("nothing asks for retraining"),
    );
    let lost: Vec<&str> = lost.collect();
    let remark = (!lost.is_empty()).then(|| format!("watch {name:?}: {}", lost.join(", and ")));
    Exported::Rule(Box::new(alerting(&watch.alert, expr)), remark)
}

/// The condition of a watch with fixed bounds: strictly beyond one of them.
fn bounds(watch: &Watch) -> Option<String> {
    if watch.strategy.kind != "static" {
        return None;
    }
    let params = &watch.strategy.params;
    let number = |name: &str| params.get(name)?.as_f64();
    let word = params.get("direction").and_then(|word| word.as_str());
    let is_below = word.map_or(watch.direction == Direction::Below, |word| word == "below");
    let (mut lower, mut upper) = (number("lower"), number("upper"));
    match number("bound") {
        Some(bound) if is_below => lower = Some(bound),
        Some(bound) => upper = Some(bound),
        None => {}
    }
    let text = watch.expr.text().trim();
    // A comment at its end would hide the rest of the expression.
    let gap = if text.contains('#') { "\n" } else { "" };
    let vector = match watch.expr.value_type() {
        Type::Scalar => "vector",
        Type::Vector | Type::Matrix | Type::Text => "",
    };
    let side = |op, bound: Option<f64>| {
        let bound = format_value(bound?);
        Some(format!("{vector}({text}{gap}) {op} {bound}"))
    };
    let sides: Vec<String> = [side("<", lower), side(">", upper)]
        .into_iter()
        .flatten()
        .collect();
    (!sides.is_empty()).then(|| sides.join("\nor\n"))
}

fn alerting(alert: &alert::AlertRule, expr: String) -> Plain<'_> {
    let time = |duration: Duration| (!duration.is_zero()).then(|| format_duration(duration));
    Plain {
        record: None,
        alert: Some(&alert.name),
        expr,
        r#for: time(alert.hold),
        keep_firing_for: time(alert.keep_firing_for),
        labels: texts(&alert.labels),
        annotations: texts(&alert.annotations),
    }
}

fn texts(templates: &alert::RuleLabels) -> BTreeMap<&str, &str> {
    let pairs = templates.iter();
    pairs
        .map(|(name, template)| (name.as_str(), template.source()))
        .collect()
}

fn plain_labels(labels: &[Label]) -> BTreeMap<&str, &str> {
    let pairs = labels.iter();
    pairs.map(|label| (&*label.name, &*label.value)).collect()
}

/// Cannot fail: the output has only maps of text, numbers and lists.
fn written<T: Serialize>(value: &T) -> String {
    to_yaml(value).unwrap_or_default()
}

/// Adds lines, indented by this many blanks.
fn push(text: &mut String, indent: usize, lines: &str) {
    for line in lines.lines() {
        if !line.is_empty() {
            text.push_str(&" ".repeat(indent));
            text.push_str(line);
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::prometheus;
    use crate::config::RuleReader;
    use crate::judge::Registry;
    use crate::rules::RuleSet;

    #[test]
    fn a_ratio_is_exported_as_a_quotient_of_increases() {
        let text = r#"
groups:
- name: g
  rules:
  - {record: r, ratio: {bad: [failed_total, aborted_total], total: "requests_total{a=\"b\"}", by: [m], window: 5m}}
  - {record: h, ratio: {histogram: x_bucket, above: 5}}
"#;
        let registry = Registry::built_in();
        let groups = RuleReader::new(&registry).read("r.yaml", text).unwrap();
        let exported = prometheus(&RuleSet { groups });
        assert_eq!(
            exported,
            r#"# Exported by sidewatch check rules --export-prometheus.
groups:
  - name: g
    rules:
      # record "r": here the increases are extrapolated
      - record: r
        expr: |-
          ((sum by (m) (increase(failed_total[5m])) or 0 * (sum by (m) (increase(requests_total{a="b"}[5m])))) + (sum by (m) (increase(aborted_total[5m])) or 0 * (sum by (m) (increase(requests_total{a="b"}[5m])))))
          /
          (sum by (m) (increase(requests_total{a="b"}[5m])))
      # record "h" finds the bound of a bucket: only sidewatch does
"#
        );
    }

    #[test]
    fn what_prometheus_can_do_is_exported_and_the_rest_is_named() {
        let text = r#"
groups:
- name: g
  interval: 30s
  limit: 5
  rules:
  - {record: r, metric: accuracy, expr: "a\n/\nb", labels: {x: y, gone: ""}}
  - {alert: A, expr: up == 0, for: 1m, labels: {severity: page}, annotations: {summary: 's: {{ $value }}'}}
  - {watch: W, expr: r, metric: accuracy, strategy: {type: static, bound: 0.9}, keep_firing_for: 5m, retrain: {}}
  - {watch: B, expr: r or s, strategy: {type: static, lower: 1e-9, upper: 2}, no_data: ok}
  - {watch: C, expr: "1 # one", strategy: {type: static, bound: 2}, no_data: ok}
  - {watch: L, expr: r, strategy: {type: ewma}}
  - {watch: N, expr: r, strategy: {type: static, bound: 1}, no_data: alert}
"#;
        let registry = Registry::built_in();
        let groups = RuleReader::new(&registry).read("r.yaml", text).unwrap();
        let exported = prometheus(&RuleSet { groups });
        assert_eq!(
            exported,
            "\
# Exported by sidewatch check rules --export-prometheus.
groups:
  - name: g
    interval: 30s
    limit: 5
    rules:
      - record: r
        expr: |-
          a
          /
          b
        labels:
          gone: ''
          x: y
      - alert: A
        expr: up == 0
        for: 1m
        labels:
          severity: page
        annotations:
          summary: 's: {{ $value }}'
      # watch \"W\": here the alert ends when its series does, and nothing asks for retraining
      - alert: W
        expr: (r) < 0.9
        keep_firing_for: 5m
      - alert: B
        expr: |-
          (r or s) < 0.000000001
          or
          (r or s) > 2
      - alert: C
        expr: |-
          vector(1 # one
          ) > 2
      # watch \"L\" learns (ewma): only sidewatch does
      # watch \"N\" fires without data: only sidewatch does
"
        );
    }
}
