//! What happened: the differences between one snapshot and the next, as sentences.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::snapshot::{Alert, Signal, Snapshot, Target};
use crate::metric::{Labels, Timestamp, format_duration};

/// Maximum number of events that are kept.
const MAX_EVENTS: usize = 200;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was noticed.
    pub at: Timestamp,
    /// What it is about: `start`, `alert`, `target`, `configuration`, `version`, `delivery` or
    /// `retraining`.
    pub kind: &'static str,
    /// `bad`, `good`, or empty.
    pub tone: &'static str,
    /// A sentence for people.
    pub text: String,
    /// The name and the id of the rule of an alert.
    pub rule: Option<(String, String)>,
}

/// The last events, oldest first. They are in memory only.
#[derive(Debug, Default)]
pub(super) struct Events {
    ring: VecDeque<Event>,
}

impl Events {
    /// Notes what differs from the snapshot before, and since when each target is down.
    pub(super) fn follow(&mut self, before: &Snapshot, now: &mut Snapshot) {
        let at = now.at;
        self.targets(before, now);
        if before.model.is_empty() && before.config_hash.is_empty() {
            self.note(at, "start", "", "Sidewatch started".to_owned());
            return;
        }
        self.alerts(before, now);
        self.configuration(before, now);
        self.deliveries(before, now);
    }

    /// The events, oldest first.
    pub(super) fn all(&self) -> Vec<Event> {
        self.ring.iter().cloned().collect()
    }

    fn note(&mut self, at: Timestamp, kind: &'static str, tone: &'static str, text: String) {
        self.push(Event {
            at,
            kind,
            tone,
            text,
            rule: None,
        });
    }

    fn push(&mut self, event: Event) {
        if self.ring.len() == MAX_EVENTS {
            self.ring.pop_front();
        }
        self.ring.push_back(event);
    }

    fn targets(&mut self, before: &Snapshot, now: &mut Snapshot) {
        let known: HashMap<(&str, &Labels), &Target> =
            before.targets.iter().map(|t| (identity(t), t)).collect();
        let at = now.at;
        for target in &mut now.targets {
            let old = known.get(&identity(target));
            let was_down = old.and_then(|old| old.down_since);
            if target.up == Some(false) {
                target.down_since = was_down.or(target.last_scrape).or(Some(at));
            }
            let name = target.labels.get("instance").unwrap_or(&target.url);
            if let (Some(since), None) = (target.down_since, was_down) {
                let why = target.error.as_deref().unwrap_or("");
                let text = format!("{name} is down: {why}");
                self.note(since, "target", "bad", text);
            } else if let (None, Some(since)) = (target.down_since, was_down) {
                let text = format!("{name} is up after {}", lasted(since, at));
                self.note(at, "target", "good", text);
            }
        }
    }

    fn alerts(&mut self, before: &Snapshot, now: &Snapshot) {
        let fires = |alert: &&Alert| alert.state == "firing";
        let key = |alert: &Alert| (alert.rule.key.id(), alert.labels.clone());
        let old: HashSet<_> = before.alerts.iter().filter(fires).map(key).collect();
        let new: HashSet<_> = now.alerts.iter().filter(fires).map(key).collect();
        for alert in now.alerts.iter().filter(fires) {
            if !old.contains(&key(alert)) {
                let text = format!("fires: {}", said(alert));
                self.alert(now.at, "bad", alert, &text);
            }
        }
        for alert in before.alerts.iter().filter(fires) {
            if new.contains(&key(alert)) {
                continue;
            }
            let after = lasted(alert.active_at, now.at);
            let text = match end_of(alert, before, now) {
                End::Recovered => format!("ended after {after}: {}", said(alert)),
                End::Accepted => {
                    format!(
                        "ended after {after}, its new level was accepted as normal: {}",
                        said(alert)
                    )
                }
                End::Forgotten => format!("no longer watched after {after}: {}", said(alert)),
            };
            let tone = if end_of(alert, before, now) == End::Recovered {
                "good"
            } else {
                ""
            };
            self.alert(now.at, tone, alert, &text);
        }
    }

    fn alert(&mut self, at: Timestamp, tone: &'static str, alert: &Alert, text: &str) {
        let name = alert.rule.name().to_owned();
        self.push(Event {
            at,
            kind: "alert",
            tone,
            text: format!("{name} {text}"),
            rule: Some((name, alert.rule.key.id())),
        });
    }

    fn configuration(&mut self, before: &Snapshot, now: &Snapshot) {
        let at = now.at;
        if now.reload.error.is_some() && now.reload.error != before.reload.error {
            let text = "a reload of the configuration failed".to_owned();
            self.note(at, "configuration", "bad", text);
        } else if now.reload.succeeded_at != before.reload.succeeded_at {
            let text = "the configuration was loaded".to_owned();
            self.note(at, "configuration", "", text);
        }
        let version = |snapshot: &Snapshot| {
            let version = snapshot.model.get("model_version");
            version.unwrap_or("unknown").to_owned()
        };
        if version(before) != version(now) {
            let text = format!("version {} follows {}", version(now), version(before));
            self.note(at, "version", "", text);
        }
    }

    fn deliveries(&mut self, before: &Snapshot, now: &Snapshot) {
        let at = now.at;
        let peers = before.peers.iter();
        let known: HashMap<&str, _> = peers.map(|peer| (peer.url.as_str(), peer)).collect();
        for peer in &now.peers {
            let Some(old) = known.get(peer.url.as_str()) else {
                continue;
            };
            let url = &peer.url;
            match (&old.last_error, &peer.last_error) {
                (None, Some(error)) => {
                    let text = format!("Alertmanager {url} takes no alerts: {error}");
                    self.note(at, "delivery", "bad", text);
                }
                (Some(_), None) => {
                    let text = format!("Alertmanager {url} takes alerts again");
                    self.note(at, "delivery", "good", text);
                }
                _ => {}
            }
            if old.sent == 0 && peer.sent > 0 {
                let text = format!("the first alerts arrived at Alertmanager {url}");
                self.note(at, "delivery", "", text);
            }
        }
        let receivers = before.receivers.iter();
        let known: HashMap<&str, _> = receivers.map(|to| (to.name.as_str(), to)).collect();
        for to in &now.receivers {
            let old = known.get(to.name.as_str());
            let name = &to.name;
            if to.delivered > old.map_or(0, |old| old.delivered) {
                let text = format!("a retraining request arrived at {name}");
                self.note(at, "retraining", "", text);
            } else if to.dead > old.map_or(0, |old| old.dead) {
                let text = format!("a retraining request to {name} was given up");
                self.note(at, "retraining", "bad", text);
            }
        }
    }
}

/// The events of the rule of a signal, oldest first.
pub(super) fn events_of<'a>(
    snapshot: &'a Snapshot,
    signal: &Signal,
) -> impl DoubleEndedIterator<Item = &'a Event> + use<'a> {
    let id = signal.rule.key.id();
    let events = snapshot.events.iter();
    events.filter(move |event| event.rule.as_ref().is_some_and(|(_, rule)| *rule == id))
}

/// Why an alert no longer fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its condition is over.
    Recovered,
    /// The level that it was about became the normal one.
    Accepted,
    /// Its rule is gone.
    Forgotten,
}

fn end_of(alert: &Alert, before: &Snapshot, now: &Snapshot) -> End {
    let accepted = |snapshot: &Snapshot| {
        let mut rules = snapshot.groups.iter().flat_map(|group| &group.rules);
        let rule = rules.find(|rule| rule.definition.key == alert.rule.key)?;
        Some(rule.accepted.unwrap_or(0))
    };
    match (accepted(before), accepted(now)) {
        (_, None) => End::Forgotten,
        (Some(then), Some(count)) if count > then => End::Accepted,
        _ => End::Recovered,
    }
}

fn identity(target: &Target) -> (&str, &Labels) {
    (&target.url, &target.labels)
}

/// The summary of an alert, or its labels.
fn said(alert: &Alert) -> String {
    let summary = alert.annotations.get("summary");
    let summary = summary.filter(|text| !text.is_empty());
    summary.map_or_else(|| alert.labels.to_string(), str::to_owned)
}

fn lasted(since: Timestamp, at: Timestamp) -> String {
    format_duration(Duration::from_secs(at.since(since).as_secs()))
}

#[cfg(test)]
mod tests {
    use super::{Events, MAX_EVENTS};
    use crate::alert::Annotations;
    use crate::metric::{Labels, Timestamp};
    use crate::publish::{Alert, Definition, Group, Rule, RuleKind, Snapshot, Target};

    fn snapshot(second: u32, up: bool, fires: bool, accepted: u64) -> Snapshot {
        let rule: std::sync::Arc<_> = Definition::new("", "W", RuleKind::Watch, Vec::new()).into();
        let at = Timestamp::from_secs_f64(f64::from(second));
        let alert = Alert {
            rule: std::sync::Arc::clone(&rule),
            labels: Labels::empty(),
            annotations: Annotations::new([("summary", "slow")]),
            state: "firing",
            active_at: Timestamp::from_secs_f64(0.0),
            keep_firing_since: None,
            value: 1.0,
        };
        Snapshot {
            at,
            model: Labels::new([("model_id", "m")]),
            targets: vec![Target {
                labels: Labels::new([("instance", "a")]),
                up: Some(up),
                last_scrape: Some(at),
                error: (!up).then(|| "refused".to_owned()),
                ..Target::default()
            }],
            alerts: if fires { vec![alert] } else { Vec::new() },
            groups: vec![Group {
                rules: vec![Rule {
                    definition: rule,
                    accepted: Some(accepted),
                    ..Rule::default()
                }],
                ..Group::default()
            }],
            ..Snapshot::default()
        }
    }

    fn told(steps: Vec<Snapshot>) -> (Vec<String>, Snapshot) {
        let (mut events, mut before) = (Events::default(), Snapshot::default());
        for mut step in steps {
            events.follow(&before, &mut step);
            before = step;
        }
        (
            events.all().into_iter().map(|event| event.text).collect(),
            before,
        )
    }

    #[test]
    fn an_alert_and_a_target_have_a_beginning_and_an_end() {
        let (texts, _) = told(vec![
            snapshot(0, true, false, 0),
            snapshot(15, false, true, 0),
            snapshot(30, false, true, 0),
            snapshot(45, true, false, 0),
        ]);
        let expected = [
            "Sidewatch started",
            "a is down: refused",
            "W fires: slow",
            "a is up after 30s",
            "W ended after 45s: slow",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_target_is_down_since_its_first_failed_scrape() {
        let down = [0, 15, 30].map(|second| snapshot(second, second == 0, false, 0));
        let (_, last) = told(down.into());
        let since = last.targets[0].down_since;
        assert_eq!(since, Some(Timestamp::from_secs_f64(15.0)));
    }

    #[test]
    fn ended_is_not_said_of_a_level_that_was_accepted() {
        let (texts, _) = told(vec![
            snapshot(0, true, false, 0),
            snapshot(15, true, true, 0),
            snapshot(30, true, false, 1),
        ]);
        let last = texts.last().unwrap();
        assert!(last.contains("accepted as normal"), "{last}");
    }

    #[test]
    fn events_are_bounded() {
        let steps = (0..500).map(|second| snapshot(second, second % 2 == 0, false, 0));
        assert_eq!(told(steps.collect()).0.len(), MAX_EVENTS);
    }
}
