//! Events counted since the start, by rule.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use prometheus::IntCounterVec;

use super::catalogue;
use super::encode::Writer;
use super::registry::Counted;
use super::server::Http;
use super::snapshot::{RuleKind, Snapshot};
use crate::metric::Labels;

/// The events of all rules of one name.
#[derive(Debug, Default)]
struct Totals {
    /// Alerts that started to fire; `None` for a record.
    fired: Option<u64>,
    evaluations: u64,
    failures: u64,
}

/// One counter for each rule. It starts at 0 and is removed with the rule.
#[derive(Debug)]
pub(super) struct Counters {
    counted: Counted,
    alerts: IntCounterVec,
    evaluations: IntCounterVec,
    failures: IntCounterVec,
    rules: Mutex<BTreeSet<String>>,
    http: Http,
}

impl Counters {
    /// Counters that carry the labels of the model.
    pub(super) fn new(model: &Labels) -> Self {
        let counted = Counted::new(model);
        Self {
            alerts: counted.counter(&catalogue::ALERTS),
            evaluations: counted.counter(&catalogue::RULE_EVALUATIONS),
            failures: counted.counter(&catalogue::RULE_EVALUATION_FAILURES),
            rules: Mutex::default(),
            http: Http::new(model),
            counted,
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
        // Two rules of one name share a counter.
        let mut totals: BTreeMap<&str, Totals> = BTreeMap::new();
        for rule in snapshot.groups.iter().flat_map(|group| &group.rules) {
            let total = totals.entry(&rule.definition.name).or_default();
            if rule.definition.kind != RuleKind::Record {
                *total.fired.get_or_insert(0) += rule.fired;
            }
            total.evaluations += rule.evaluations;
            total.failures += rule.failures;
        }
        for (name, total) in &totals {
            if let Some(fired) = total.fired {
                raise(&self.alerts, name, fired);
            }
            raise(&self.evaluations, name, total.evaluations);
            raise(&self.failures, name, total.failures);
        }
        for gone in known
            .iter()
            .filter(|name| !totals.contains_key(name.as_str()))
        {
            for counter in [&self.alerts, &self.evaluations, &self.failures] {
                // A record never had a counter of alerts.
                drop(counter.remove_label_values(&[gone]));
            }
        }
        *known = totals.keys().map(|name| (*name).to_owned()).collect();
    }

    /// Writes the counters, and those of the web server.
    pub(super) fn write(&self, out: &mut Writer) {
        for family in self.counted.gather().iter().chain(&self.http.gather()) {
            out.gathered(family);
        }
    }
}

/// Raises a counter to a total; a lower total leaves it as it is.
fn raise(counter: &IntCounterVec, rule: &str, total: u64) {
    let counter = counter.with_label_values(&[rule]);
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::encode::{Exposition, Writer};
    use super::super::snapshot::{Definition, Group, Rule, RuleKind, Snapshot};
    use super::Counters;
    use crate::metric::Labels;

    fn snapshot(rules: &[(&str, u64, u64)]) -> Snapshot {
        let rules = rules.iter().map(|(name, fired, evaluations)| Rule {
            definition: Arc::new(Definition {
                name: (*name).to_owned(),
                kind: RuleKind::Watch,
                ..Definition::default()
            }),
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
        counters.write(&mut out);
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
