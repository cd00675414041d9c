//! Maps the labels of historical series to those of the targets scraped here.

use std::collections::BTreeSet;

use crate::config::settings::Settings;
use crate::config::target::ATTACHED;
use crate::history::Points;
use crate::metric::Labels;

/// The labels of the targets that are scraped here. Prometheus and a sidecar name the same target
/// differently.
#[derive(Debug, Default)]
pub(super) struct TargetLabels {
    /// Labels of the listed targets.
    listed: Vec<Labels>,
    /// Labels of every discovered target, except `instance`.
    found: Option<Labels>,
}

impl TargetLabels {
    /// The labels of a configuration; none with a source, where historical and present labels are
    /// the same.
    pub(super) fn of(settings: &Settings) -> Self {
        let scrape = &settings.scrape;
        let found = scrape.discovery.as_ref();
        Self {
            listed: scrape.targets.iter().map(|t| t.labels.clone()).collect(),
            found: found.map(|discovery| discovery.shared_labels(&settings.model)),
        }
    }

    /// Historical series with the labels that they would have here. `kept` are the labels that
    /// their expression keeps, if it lists them.
    pub(super) fn mapped(
        &self,
        mut series: Vec<(Labels, Points)>,
        kept: Option<&BTreeSet<String>>,
    ) -> Vec<(Labels, Points)> {
        if self.listed.is_empty() && self.found.is_none() {
            return series;
        }
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        let renamed = series.into_iter();
        renamed
            .map(|(labels, points)| (self.renamed(&labels, kept), points))
            .collect()
    }

    fn renamed(&self, labels: &Labels, kept: Option<&BTreeSet<String>>) -> Labels {
        let Some(target) = self.target(labels) else {
            return labels.clone();
        };
        let own = labels.retain(|name| !ATTACHED.contains(&name));
        let target = match kept {
            Some(kept) => target.retain(|name| kept.contains(name)),
            // A series of a single target.
            None if labels.get("instance").is_some() => target,
            // An aggregation that keeps some labels.
            None => target.retain(|name| labels.get(name).is_some()),
        };
        own.overlaid_with(&target)
    }

    /// The labels of a series' target, or the common labels of all targets if it aggregates
    /// several.
    fn target(&self, labels: &Labels) -> Option<Labels> {
        let instance = labels.get("instance");
        let is_same = |target: &&Labels| target.get("instance") == instance;
        let same = self.listed.iter().find(is_same);
        match (instance, same, &self.found, self.listed.as_slice()) {
            (Some(_), Some(target), ..) => Some(target.clone()),
            // A discovered target: its instance is its address on both sides.
            (Some(instance), None, Some(found), _) => Some(found.with("instance", instance)),
            (_, _, None, [target]) => Some(target.clone()),
            (Some(_), None, None, _) => None,
            (None, _, found, listed) => {
                let mut all = found.iter().chain(listed);
                let first = all.next()?.clone();
                Some(all.fold(first, |shared, other| {
                    shared.retain(|name| shared.get(name) == other.get(name))
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TargetLabels;
    use crate::metric::Labels;

    #[test]
    fn a_historical_series_gets_its_present_labels() {
        let one = |labels: &[(&str, &str)], targets: &[Labels]| {
            let here = TargetLabels {
                listed: targets.to_vec(),
                found: None,
            };
            shown(&here, labels, None)
        };
        let here = [Labels::new([
            ("job", "fraud"),
            ("instance", "127.0.0.1:80"),
            ("pod", "new"),
        ])];
        let past = [
            ("job", "ml/fraud"),
            ("instance", "10.0.0.1:80"),
            ("pod", "old"),
            ("container", "c"),
            ("code", "500"),
        ];
        assert_eq!(
            one(&past, &here),
            r#"{code="500", instance="127.0.0.1:80", job="fraud", pod="new"}"#
        );
        assert_eq!(
            one(&[("pod", "old"), ("code", "500")], &here),
            r#"{code="500", pod="new"}"#
        );
        assert_eq!(one(&[("model", "m")], &here), r#"{model="m"}"#);
        let two = [
            here[0].clone(),
            Labels::new([("job", "fraud"), ("instance", "10.0.0.1:80")]),
        ];
        assert_eq!(
            one(&past, &two),
            r#"{code="500", instance="10.0.0.1:80", job="fraud"}"#
        );
        assert_eq!(
            one(&[("instance", "10.0.0.9:80"), ("job", "x")], &two),
            r#"{instance="10.0.0.9:80", job="x"}"#
        );
    }
    fn shown(here: &TargetLabels, labels: &[(&str, &str)], kept: Option<&[&str]>) -> String {
        let labels = Labels::new(labels.iter().copied());
        let kept = kept.map(|kept| kept.iter().map(|name| (*name).to_owned()).collect());
        here.mapped(vec![(labels, Vec::new())], kept.as_ref())[0]
            .0
            .to_string()
    }

    #[test]
    fn a_discovered_replica_keeps_its_address_and_gets_the_labels_of_the_discovery() {
        let here = TargetLabels {
            listed: Vec::new(),
            found: Some(Labels::new([("job", "fraud"), ("namespace", "prod")])),
        };
        let past = [
            ("job", "kubernetes-pods"),
            ("instance", "10.0.0.7:8000"),
            ("pod", "fraud-0"),
            ("namespace", "ml"),
            ("code", "500"),
        ];
        assert_eq!(
            shown(&here, &past, None),
            r#"{code="500", instance="10.0.0.7:8000", job="fraud", namespace="prod"}"#
        );
        // A sum has the labels that it keeps, and no other labels of the target.
        let by = |kept: &[&str], labels: &[(&str, &str)]| shown(&here, labels, Some(kept));
        let instance = [past[1]];
        assert_eq!(
            by(&["instance"], &instance),
            r#"{instance="10.0.0.7:8000"}"#
        );
        assert_eq!(
            by(&["job", "code"], &[past[0], past[4]]),
            r#"{code="500", job="fraud"}"#
        );
        assert_eq!(by(&["pod"], &[past[2]]), "{}", "no target has a pod");
        assert_eq!(by(&["namespace"], &[]), r#"{namespace="prod"}"#);
        assert_eq!(shown(&here, &[past[4]], None), r#"{code="500"}"#);
    }

    #[test]
    fn a_sum_over_several_targets_gets_their_common_labels() {
        let target = |instance| Labels::new([("job", "fraud"), ("instance", instance)]);
        let here = TargetLabels {
            listed: vec![target("a:1"), target("b:1")],
            found: None,
        };
        let past = [("job", "ml/fraud"), ("model", "m")];
        assert_eq!(shown(&here, &past, None), r#"{job="fraud", model="m"}"#);
    }
}
