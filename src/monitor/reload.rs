//! Another configuration for a running monitor: what is unchanged goes on as if nothing had happened.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::alert_series::selects_alerts;
use super::memory::Retired;
use super::model_monitor::{GroupState, ModelMonitor, context, filter, longest_reach};
use super::names::{claim, keys, settling};
use super::rule::{Kind, RuleState};
use super::target::TargetState;
use super::traffic::counted;
use crate::alert::Alert;
use crate::config::Config;
use crate::metric::{SeriesFilter, Timestamp};
use crate::notify::RetrainRequest;

impl ModelMonitor {
    /// Goes on under another configuration, which has passed every check.
    ///
    /// A rule of the same group and name keeps its alerts, and what it learnt unless its strategy changed. The alerts of a rule that is
    /// gone are resolved, its recorded series end. A target that stays keeps its samples. The answer is what receivers should
    /// hear now: every end, and every firing alert again.
    pub fn reload(&mut self, config: Arc<Config>, at: Timestamp) -> Vec<Alert> {
        let before = std::mem::replace(&mut self.config, config);
        let config = Arc::clone(&self.config);
        self.context = context(&config);
        self.alert_series = selects_alerts(&config);
        let limits = self.limits();
        if self.window.limits().retention != limits.retention {
            self.window.set_retention(limits.retention);
        }
        let filter = Arc::new(filter(&config));
        let name = |config: &Config| {
            let discovery = config.settings.scrape.discovery.as_ref();
            discovery.map(|discovery| discovery.lookup.question.clone())
        };
        if name(&before) != name(&config) {
            self.discovered.addresses = None;
        }
        self.replace_targets(&filter, &before, at);
        let same_model = before.settings.model.version == config.settings.model.version;
        let mut changes = self.replace_rules(same_model, at);
        changes.extend(self.end_removed_targets(&before, at));
        self.retraining.reconfigure(&config.settings);
        self.keep_known_gates();
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            rule.renew();
        }
        self.urgent = true;
        self.announce(&changes);
        self.due(at)
    }

    fn replace_rules(&mut self, same_model: bool, at: Timestamp) -> Vec<Alert> {
        let before = std::mem::take(&mut self.groups);
        let last: BTreeMap<(String, String), Option<Timestamp>> = before
            .iter()
            .map(|group| {
                let name = (group.group.file.clone(), group.group.name.clone());
                (name, group.last)
            })
            .collect();
        let mut pool: BTreeMap<String, RuleState> = before
            .into_iter()
            .flat_map(|group| group.rules)
            .map(|rule| (rule.key.clone(), rule))
            .collect();
        let wanted = keys(&self.config);
        let mut changes = Vec::new();
        let mut groups = self.fresh_groups();
        for group in &mut groups {
            let name = (group.group.file.clone(), group.group.name.clone());
            group.last = last.get(&name).copied().flatten();
            for rule in &mut group.rules {
                let name = rule.rule.name().to_owned();
                let found = claim(&mut pool, &rule.key, &name, &wanted, |rule| {
                    rule.rule.name()
                });
                if let Some((_, old)) = found {
                    changes.extend(rule.inherit(old, same_model, at, &self.context));
                }
            }
        }
        self.groups = groups;
        let rules = || self.groups.iter().flat_map(|group| &group.rules);
        self.evidence
            .retain(|owner| rules().any(|rule| rule.owner == owner));
        for (key, rule) in pool {
            changes.extend(self.retire(key, rule, at));
        }
        changes
    }

    /// A rule is gone: its alerts end, and so do its recorded series.
    fn retire(&mut self, key: String, rule: RuleState, at: Timestamp) -> Vec<Alert> {
        // The first end accepts what was recorded last, the second finds nothing new.
        self.window.end_records(rule.owner, at);
        self.window.end_records(rule.owner, at);
        let Some((definition, _)) = rule.alerting() else {
            return Vec::new();
        };
        let definition = definition.clone();
        let tracker = match rule.kind {
            Kind::Alert(tracker) => tracker,
            Kind::Watch(watching) => watching.tracker,
            Kind::Record(..) => return Vec::new(),
        };
        if tracker.alerts(&definition, &self.context).is_empty() {
            return Vec::new();
        }
        let (retired, changes) = Retired::new(key, definition, tracker, at, &self.context);
        self.retired.push(retired);
        changes
    }

    pub(super) fn replace_targets(
        &mut self,
        filter: &Arc<SeriesFilter>,
        before: &Config,
        at: Timestamp,
    ) {
        let scrape = &self.config.settings.scrape;
        let wanted = self.targets();
        // Whoever is there before the first tick was there before this process.
        let appeared = self.last_tick.map(|_| at);
        let same_limits = {
            let was = &before.settings.scrape;
            was.honor_labels == scrape.honor_labels
                && was.honor_timestamps == scrape.honor_timestamps
                && was.body_size_limit == scrape.body_size_limit
                && was.sample_limit == scrape.sample_limit
                && was.label_limit == scrape.label_limit
                && was.label_name_length_limit == scrape.label_name_length_limit
                && was.label_value_length_limit == scrape.label_value_length_limit
        };
        let mut old = std::mem::take(&mut self.targets);
        let mut places: Vec<Option<TargetState>> = Vec::with_capacity(wanted.len());
        for target in &wanted {
            let same = old.iter().position(|known| {
                same_limits && known.url == target.url && known.labels == target.labels
            });
            places.push(same.map(|index| old.swap_remove(index)));
        }
        // Who goes makes room first: one that comes back with other limits goes on in its old block.
        for gone in old {
            self.window.remove_target(gone.id, at);
        }
        for (target, known) in wanted.iter().zip(places) {
            let mut state = known.unwrap_or_else(|| {
                TargetState::new(target, scrape, Arc::clone(filter), &mut self.window)
                    .since(appeared)
            });
            state.set_filter(Arc::clone(filter));
            self.targets.push(state);
        }
    }

    /// Ends the alerts of series that carry the identity of a target that is no longer scraped.
    fn end_removed_targets(&mut self, before: &Config, at: Timestamp) -> Vec<Alert> {
        let kept: HashSet<&str> = self
            .targets
            .iter()
            .filter_map(|target| target.labels.get("instance"))
            .collect();
        let was = before.settings.scrape.targets.iter();
        let gone: HashSet<String> = was
            .filter_map(|target| target.labels.get("instance"))
            .filter(|instance| !kept.contains(instance))
            .map(str::to_owned)
            .collect();
        self.end_of(&gone, at)
    }

    /// Ends the alerts of series that carry one of these instances.
    pub(super) fn end_of(&mut self, instances: &HashSet<String>, at: Timestamp) -> Vec<Alert> {
        if instances.is_empty() {
            return Vec::new();
        }
        let context = &self.context;
        let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        rules
            .flat_map(|rule| rule.end_of(instances, at, context))
            .collect()
    }

    /// What receivers should hear of now, of every rule; before a first tick and after a reload.
    pub(super) fn due(&mut self, at: Timestamp) -> Vec<Alert> {
        let resend_delay = self.config.settings.alerting.resend_delay;
        let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        let mut alerts: Vec<Alert> = rules
            .flat_map(|rule| rule.due(at, resend_delay, &self.context))
            .collect();
        alerts.extend(self.due_retired(at));
        alerts
    }

    /// The ends of alerts whose rules are gone, unless another rule has the same alert by now.
    pub(super) fn due_retired(&mut self, at: Timestamp) -> Vec<Alert> {
        if self.retired.is_empty() {
            return Vec::new();
        }
        let resend_delay = self.config.settings.alerting.resend_delay;
        let mut retired = std::mem::take(&mut self.retired);
        retired.retain(|retired| at < retired.until);
        let context = &self.context;
        let mut alerts: Vec<Alert> = retired
            .iter_mut()
            .flat_map(|retired| {
                retired
                    .tracker
                    .due(&retired.rule, at, resend_delay, context)
            })
            .collect();
        self.retired = retired;
        let active = self.active_labels();
        alerts.retain(|alert| !active.contains(&alert.labels));
        alerts
    }

    /// A request for a new model was carried out; its series may ask again after the cool-down. `false` when it is not under way.
    pub fn retrained(&mut self, id: &str) -> bool {
        let done = self.retraining.gates.done(id).is_some();
        self.urgent |= done;
        done
    }

    /// Whether these requests were asked by a monitor whose state is now to be written.
    pub(super) fn asked(&mut self, requests: &[RetrainRequest]) {
        self.urgent |= !requests.is_empty();
    }

    /// The groups of the configuration without any state.
    pub(super) fn fresh_groups(&mut self) -> Vec<GroupState> {
        let config = Arc::clone(&self.config);
        let interval = config.settings.global.scrape_interval;
        let mut made = keys(&config).into_iter().zip(settling(&config));
        let mut counted = counted(&config).into_iter();
        let mut fresh = |group: &crate::rules::Group| -> Vec<RuleState> {
            let every = group.interval.unwrap_or(interval);
            let rules = group.rules.iter();
            rules
                .zip(&mut made)
                .map(|(rule, (key, settling))| {
                    self.next_owner += 1;
                    let counted = counted.next().unwrap_or_default();
                    RuleState::new(
                        (key, rule.clone()),
                        (every, settling),
                        self.next_owner,
                        &self.registry,
                    )
                    .counting(counted)
                })
                .collect()
        };
        let groups = config.rules.groups.iter();
        groups
            .map(|group| GroupState {
                rules: fresh(group),
                group: group.clone(),
                interval: group.interval.unwrap_or(interval),
                last: None,
            })
            .collect()
    }

    fn limits(&self) -> crate::series::Limits {
        limits(&self.config)
    }
}

/// The sizes of the window for these rules.
pub(super) fn limits(config: &Config) -> crate::series::Limits {
    let interval: Duration = config.settings.global.scrape_interval;
    crate::series::Limits {
        retention: longest_reach(config) + interval * 2,
        interval,
        max_series: usize::try_from(config.settings.scrape.series_limit).unwrap_or(usize::MAX),
    }
}
