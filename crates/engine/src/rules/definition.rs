//! What a rule's value means: its expression together with the records that it reads.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::{Rule, RuleSet};
use crate::map::Source;
use crate::metric::Selector;
use crate::promql::Expr;

/// For every rule in order, a digest of its expression and of the records that the expression
/// reads, directly or through other records. Layout and comments do not count. Values learned under
/// one digest say nothing about the values of another.
#[must_use]
pub fn definitions(rules: &RuleSet) -> Vec<String> {
    let records: Vec<Part<'_>> = rules
        .rules()
        .filter(|rule| matches!(rule, Rule::Record(_)))
        .map(Part::of)
        .collect();
    rules
        .rules()
        .map(|rule| digest(&Part::of(rule), &records))
        .collect()
}

/// For every rule in order, whether a healthy target may lack its series: the rule is an optional
/// record, or reads nothing but optional records.
#[must_use]
pub fn optional(rules: &RuleSet) -> Vec<bool> {
    let mut optional: Vec<&str> = Vec::new();
    let mut all = Vec::new();
    for rule in rules.rules() {
        let read = Part::of(rule).selectors;
        let is_known = |selector: &Selector| {
            let name = selector.metric_name();
            name.is_some_and(|name| optional.contains(&name))
        };
        let reads_optional = !read.is_empty() && read.iter().all(is_known);
        let is_optional = match rule {
            Rule::Record(recording) => recording.optional || reads_optional,
            Rule::Alert { .. } | Rule::Watch(_) => reads_optional,
        };
        if is_optional && matches!(rule, Rule::Record(_)) {
            optional.push(rule.name());
        }
        all.push(is_optional);
    }
    all
}

/// The definition of one rule without the records that it reads.
struct Part<'a> {
    name: &'a str,
    text: String,
    selectors: Vec<Selector>,
}

impl<'a> Part<'a> {
    fn of(rule: &'a Rule) -> Self {
        let (text, read) = match rule {
            Rule::Record(recording) => {
                let text = match &recording.source {
                    Source::Expr(expr) => expr.normalized(),
                    Source::Drift(drift) => format!("{drift:?}"),
                    Source::Ratio(ratio) => format!("{:?}", ratio.counted()),
                    Source::Estimate(estimate) => format!("{estimate:?}"),
                };
                (text, recording.expressions())
            }
            Rule::Alert { expr, .. } => (expr.normalized(), vec![expr]),
            Rule::Watch(watch) => (watch.expr.normalized(), vec![&watch.expr]),
        };
        Self {
            name: rule.name(),
            text,
            selectors: read.into_iter().flat_map(Expr::selectors).collect(),
        }
    }

    fn may_read(&self, record: &Part<'_>) -> bool {
        let mut selectors = self.selectors.iter();
        selectors.any(|selector| selector.may_match_name(record.name))
    }
}

fn digest(rule: &Part<'_>, records: &[Part<'_>]) -> String {
    let mut read = BTreeSet::new();
    let mut open = vec![rule];
    while let Some(part) = open.pop() {
        for (index, record) in records.iter().enumerate() {
            if part.may_read(record) && read.insert(index) {
                open.push(record);
            }
        }
    }
    let mut texts: Vec<&str> = read
        .iter()
        .map(|index| records[*index].text.as_str())
        .collect();
    texts.sort_unstable();
    texts.insert(0, &rule.text);
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let bytes = hash.finalize();
    bytes
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
