//! What Alertmanager should believe, from the conditions alone.
//!
//! Where the program may choose, there are two histories: the latest start that an alert can have,
//! after which it must fire, and the earliest, before which it must not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sidewatch_engine::metric::{Labels, Timestamp};

use super::rules::{Files, Identity, Spec};
use super::world::{INTERVAL, LEASE, PODS};

/// After a start, or under another expression, an alert is not ended before the window has filled.
const SETTLING: Duration = INTERVAL.saturating_mul(2);

/// The most waiting time that a kill costs a pending alert.
const LOST_BY_KILL: Duration = Duration::from_secs(5);

/// How often the state is written while no alert is pending.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Active {
    since: Timestamp,
    is_firing: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Series {
    latest: Option<Active>,
    earliest: Option<Active>,
}

impl Series {
    /// A kill costs a pending alert a few seconds. While none is pending, the state is written once
    /// a minute: how long a firing alert has lasted counts if `for` is raised before the first
    /// evaluation.
    fn kill(&mut self) {
        if let Some(active) = &mut self.latest {
            let lost = if active.is_firing {
                WRITTEN_EVERY
            } else {
                LOST_BY_KILL
            };
            active.since = active.since + lost;
        }
    }

    fn take_earlier(&mut self, other: Option<Active>) {
        let rank = |active: &Option<Active>| {
            active.map(|active| (active.is_firing, std::cmp::Reverse(active.since)))
        };
        if rank(&other) > rank(&self.earliest) {
            self.earliest = other;
        }
    }
}

#[derive(Debug, Clone)]
struct Rule {
    spec: Spec,
    series: [Series; PODS.len()],
    settled: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Condition {
    Holds,
    Ended,
    Unknown,
}

/// The rules with their alerts.
#[derive(Debug)]
pub(super) struct Model {
    rules: BTreeMap<Identity, Rule>,
    /// Firing alerts whose end Alertmanager does not receive: they are believed until their lease
    /// is over.
    lingering: BTreeMap<Labels, Timestamp>,
    /// The alerts that were believed when the receiver went down, and when that was.
    before_outage: Option<(BTreeSet<Labels>, Timestamp)>,
    last_tick: Option<Timestamp>,
    is_restarted: bool,
}

impl Rule {
    fn new(spec: &Spec) -> Self {
        Self {
            spec: spec.clone(),
            series: <[Series; PODS.len()]>::default(),
            settled: Timestamp::from_millis(0),
        }
    }

    /// Missing data ends a plain alert, as in Prometheus; for a watch it is no verdict.
    fn condition(&self, value: Option<f64>) -> Condition {
        match value {
            Some(value) if value > f64::from(self.spec.bound) => Condition::Holds,
            None if self.spec.is_watch => Condition::Unknown,
            Some(_) | None => Condition::Ended,
        }
    }

    fn tick(&mut self, at: Timestamp, values: &[Option<f64>; PODS.len()]) {
        let hold = self.hold();
        for (pod, value) in values.iter().enumerate() {
            let condition = self.condition(*value);
            let series = &mut self.series[pod];
            match condition {
                Condition::Unknown => {}
                Condition::Ended => {
                    series.latest = None;
                    if at >= self.settled {
                        series.earliest = None;
                    }
                }
                Condition::Holds => {
                    hold_on(&mut series.latest, at, hold);
                    hold_on(&mut series.earliest, at, hold);
                }
            }
        }
    }

    /// A firing alert is pending again where a longer `for` has not passed.
    fn withdraw(&mut self, at: Timestamp) {
        let hold = self.hold();
        let series = self.series.iter_mut();
        let tracks = series.flat_map(|series| [&mut series.latest, &mut series.earliest]);
        for active in tracks.flatten() {
            active.is_firing &= at.since(active.since) >= hold;
        }
    }

    fn hold(&self) -> Duration {
        Duration::from_secs(self.spec.hold.into())
    }
}

impl Model {
    pub(super) fn new(files: &Files) -> Self {
        let rules = files
            .rules()
            .map(|(identity, spec)| (identity, Rule::new(spec)));
        Self {
            rules: rules.collect(),
            lingering: BTreeMap::new(),
            before_outage: None,
            last_tick: None,
            is_restarted: false,
        }
    }

    /// An evaluation; the value of a pod whose target is down is `None`.
    pub(super) fn tick(&mut self, at: Timestamp, values: &[Option<f64>; PODS.len()]) {
        let last = self.last_tick.replace(at).unwrap_or(at);
        if std::mem::take(&mut self.is_restarted) {
            // Time without evaluations does not count towards `for`.
            let unseen = at.since(last).saturating_sub(INTERVAL);
            self.tracks(|active| {
                if !active.is_firing {
                    active.since = active.since + unseen;
                }
            });
        }
        for rule in self.rules.values_mut() {
            rule.tick(at, values);
        }
    }

    fn tracks(&mut self, mut change: impl FnMut(&mut Active)) {
        let series = self.rules.values_mut().flat_map(|rule| &mut rule.series);
        for series in series {
            series.latest.as_mut().map(&mut change);
            series.earliest.as_mut().map(&mut change);
        }
    }

    /// The receiver went down or came back.
    pub(super) fn receiver(&mut self, is_up: bool, at: Timestamp) {
        if is_up {
            self.before_outage = None;
        } else if self.before_outage.is_none() {
            self.before_outage = Some((self.may(at), at));
        }
    }

    /// A stop and a start with these rule files: every window is empty.
    pub(super) fn restart(&mut self, files: &Files, at: Timestamp, is_killed: bool) {
        self.replace(files, at, true);
        self.is_restarted = true;
        // What waited for the receiver is lost.
        if let Some((believed, since)) = &self.before_outage {
            let until = *since + LEASE;
            let lost = believed.iter().map(|labels| (labels.clone(), until));
            self.lingering.extend(lost);
        }
        for rule in self.rules.values_mut() {
            rule.settled = at + SETTLING;
            if is_killed {
                rule.series.iter_mut().for_each(Series::kill);
            }
        }
    }

    /// A reload of these rule files.
    pub(super) fn reload(&mut self, files: &Files, at: Timestamp) {
        self.replace(files, at, false);
    }

    /// A rule that was there keeps its alerts. One that moved to another group may keep them: at a
    /// start, a rule without alerts of its own may look like one that moved.
    fn replace(&mut self, files: &Files, at: Timestamp, is_start: bool) {
        let mut before = std::mem::take(&mut self.rules);
        let mut new = Vec::new();
        for (identity, spec) in files.rules() {
            let found = before.remove(&identity);
            let may_be_moved = is_start || found.is_none();
            let mut rule = found.unwrap_or_else(|| Rule::new(spec));
            if rule.spec.bound != spec.bound && !spec.is_watch {
                rule.settled = at + SETTLING;
            }
            rule.spec = spec.clone();
            new.push((identity, rule, may_be_moved));
        }
        for (identity, mut rule, may_be_moved) in new {
            let mut gone = before.iter();
            let moved = gone.find(|(other, _)| may_be_moved && other.is_in_other_group(&identity));
            if let Some((_, moved)) = moved {
                rule.settled = moved.settled.max(at + SETTLING);
                for (series, old) in rule.series.iter_mut().zip(&moved.series) {
                    series.take_earlier(old.earliest);
                }
            }
            rule.withdraw(at);
            self.rules.insert(identity, rule);
        }
    }

    fn firing(&self, track: impl Fn(&Series) -> Option<Active>) -> BTreeSet<Labels> {
        let rules = self.rules.iter();
        let series = rules.flat_map(|(identity, rule)| {
            let pods = PODS.iter().zip(&rule.series);
            pods.map(move |(pod, series)| (identity, pod, series))
        });
        series
            .filter(|(_, _, series)| track(series).is_some_and(|active| active.is_firing))
            .map(|(identity, pod, _)| identity.labels(pod))
            .collect()
    }

    /// The alerts that Alertmanager must believe in.
    pub(super) fn must(&self) -> BTreeSet<Labels> {
        self.firing(|series| series.latest)
    }

    /// The alerts that it may believe in.
    pub(super) fn may(&self, now: Timestamp) -> BTreeSet<Labels> {
        let mut firing = self.firing(|series| series.earliest);
        let lingering = self.lingering.iter().filter(|(_, until)| **until > now);
        firing.extend(lingering.map(|(labels, _)| labels.clone()));
        firing
    }
}

/// The condition holds.
fn hold_on(track: &mut Option<Active>, at: Timestamp, hold: Duration) {
    let active = track.get_or_insert(Active {
        since: at,
        is_firing: false,
    });
    active.is_firing |= at.since(active.since) >= hold;
}
