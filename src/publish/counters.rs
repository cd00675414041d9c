//! Events counted since the start, by rule.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use super::catalogue;
use super::definition::{RuleKey, RuleKind};
use super::encode::Writer;
use super::families::count;
use super::family::Family;
use super::rule_labels::of_rule;
use super::server::Http;
use super::snapshot::{Rule, Snapshot};
use crate::metric::Labels;

/// The events of one rule.
#[derive(Debug, Clone, Copy)]
struct Totals {
    /// Alerts that started to fire; `None` for a record.
    fired: Option<u64>,
    evaluations: u64,
    failures: u64,
}

impl Totals {
    fn of(rule: &Rule) -> Self {
        Self {
            fired: (rule.definition.kind != RuleKind::Record).then_some(rule.fired),
            evaluations: rule.evaluations,
            failures: rule.failures,
        }
    }

    /// The higher one of each total: a counter never goes back.
    fn max(self, other: Self) -> Self {
        Self {
            fired: self.fired.max(other.fired),
            evaluations: self.evaluations.max(other.evaluations),
            failures: self.failures.max(other.failures),
        }
    }
}

/// The counters of each rule. They start at 0 and are removed with the rule.
#[derive(Debug)]
pub(super) struct Counters {
    rules: Mutex<HashMap<RuleKey, Totals>>,
    http: Http,
}

impl Counters {
    /// Counters of the web server that carry the labels of the model, and none of rules.
    pub(super) fn new(model: &Labels) -> Self {
        Self {
            rules: Mutex::default(),
            http: Http::new(model),
        }
    }

    /// The counters of the web server.
    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// Raises every counter to the totals of the snapshot, and removes those of rules that are
    /// gone.
    pub(super) fn follow(&self, snapshot: &Snapshot) {
        let mut known = self.rules.lock();
        let rules = snapshot.groups.iter().flat_map(|group| &group.rules);
        let fresh = rules.map(|rule| {
            let totals = Totals::of(rule);
            let key = rule.definition.key.clone();
            let before = known.get(&key).copied();
            (key, before.map_or(totals, |before| before.max(totals)))
        });
        let fresh = fresh.collect();
        *known = fresh;
    }

    /// Writes the counters, and those of the web server.
    pub(super) fn write(&self, model: &Labels, out: &mut Writer) {
        for family in self.families(model) {
            if !family.samples.is_empty() {
                out.family(&family);
            }
        }
        for family in self.http.gather() {
            out.gathered(&family);
        }
    }

    fn families(&self, model: &Labels) -> [Family; 3] {
        let mut alerts = Family::new(&catalogue::ALERTS);
        let mut failures = Family::new(&catalogue::RULE_EVALUATION_FAILURES);
        let mut evaluations = Family::new(&catalogue::RULE_EVALUATIONS);
        let known = self.rules.lock();
        let rules: BTreeMap<Labels, &Totals> = known
            .iter()
            .map(|(key, totals)| (of_rule(model, key), totals))
            .collect();
        for (labels, totals) in rules {
            if let Some(fired) = totals.fired {
                alerts.push(labels.clone(), count(fired));
            }
            failures.push(labels.clone(), count(totals.failures));
            evaluations.push(labels, count(totals.evaluations));
        }
        [alerts, failures, evaluations]
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::{Definition, RuleKind};
    use super::super::encode::{Exposition, Writer};
    use super::super::snapshot::{Group, Rule, Snapshot};
    use super::Counters;
    use crate::metric::Labels;

    fn snapshot(rules: &[(&str, u64, u64)]) -> Snapshot {
        let rules = rules.iter().map(|(name, fired, evaluations)| Rule {
            definition: Definition::new("", name, RuleKind::Watch, Vec::new()).into(),
            fired: *fired,
            evaluations: *evaluations,
            ..Rule::default()
        });
        let group = Group {
            rules: rules.collect(),
            ..Group::default()
        };
        Snapshot {
            groups: vec![group],
            ..Snapshot::default()
        }
    }

    fn page(counters: &Counters) -> Vec<String> {
        let mut out = Writer::new(Exposition::Text);
        counters.write(&Labels::new([("model_id", "m")]), &mut out);
        let page = out.finish();
        let alerts = page
            .lines()
            .filter(|line| line.starts_with("sidewatch_alerts_total{"));
        alerts.map(str::to_owned).collect()
    }

    #[test]
    fn a_counter_is_born_at_zero_never_goes_back_and_leaves_with_its_rule() {
        let counters = Counters::new(&Labels::new([("model_id", "m")]));
        counters.follow(&snapshot(&[("A", 0, 1)]));
        assert_eq!(
            page(&counters),
            [r#"sidewatch_alerts_total{model_id="m",rule="A"} 0"#]
        );
        counters.follow(&snapshot(&[("A", 2, 2)]));
        counters.follow(&snapshot(&[("A", 0, 3)]));
        assert_eq!(
            page(&counters),
            [r#"sidewatch_alerts_total{model_id="m",rule="A"} 2"#]
        );
        counters.follow(&snapshot(&[("B", 1, 1)]));
        assert_eq!(
            page(&counters),
            [r#"sidewatch_alerts_total{model_id="m",rule="B"} 1"#]
        );
    }
}
