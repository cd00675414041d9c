//! Replays history through a monitor and collects the alerts that fired and every judgement.

use std::collections::HashMap;
use std::sync::Arc;

use crate::alert::{Alert, AlertState};
use crate::judge::{self, Registry, Verdict};
use crate::metric::{Labels, Metric, MetricSample, Timestamp};
use crate::monitor::{ModelMonitor, Results, Scraped, Settings, Tick};
use crate::rules::{Rule, RuleSet};

/// An alert that fired.
#[derive(Debug, Clone)]
pub struct Fired {
    /// The alert at the time it fired.
    pub alert: Alert,
    /// When it ended; `None` while it still fired at the end.
    pub resolved_at: Option<Timestamp>,
    /// Why it ended, for a watch: `recovered`, or accepted as normal.
    pub resolved: Option<String>,
}

/// One judgement; unknown numbers are NaN.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
    /// Least normal value.
    pub lower: f64,
    /// Greatest normal value.
    pub upper: f64,
    /// 1 is at the limit.
    pub score: f64,
    /// The strategy's state.
    pub state: judge::State,
}

/// Every judgement of one series by one watch.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The watch.
    pub rule: Arc<str>,
    /// What the value is about.
    pub metric: Metric,
    /// The series, without its name.
    pub labels: Labels,
    /// The judgements, oldest first.
    pub points: Vec<Point>,
}

impl Judged {
    /// Whether any value was found normal or anomalous.
    fn is_judged(&self) -> bool {
        let known = [judge::State::Ok, judge::State::Anomalous];
        self.points.iter().any(|point| known.contains(&point.state))
    }
}

/// The results of a replay.
#[derive(Debug, Default)]
pub struct Replay {
    /// Alerts in the order in which they fired.
    pub fired: Vec<Fired>,
    /// Judgements, by watch and labels.
    pub judged: Vec<Judged>,
    /// Watches that never received a value.
    pub silent: Vec<String>,
    /// Watches that received values and judged none: they warmed up to the end, or had too few
    /// observations.
    pub unjudged: Vec<String>,
    /// Steps that were replayed.
    pub scrapes: usize,
    /// The first and last step.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Scrapes that failed, all targets together.
    pub failed: Failed,
}

/// Scrapes that failed.
#[derive(Debug, Default)]
pub struct Failed {
    /// How many.
    pub count: usize,
    /// The error of the last one.
    pub last: Option<String>,
}

/// A monitor that replays history and keeps the results.
#[derive(Debug)]
pub struct Player {
    monitor: ModelMonitor,
    watches: Vec<String>,
    replay: Replay,
    /// The position of each series' judgements, by watch.
    places: HashMap<Arc<str>, HashMap<Labels, usize>>,
}

impl Player {
    /// A player before the first step.
    #[must_use]
    pub fn new(settings: Settings, rules: Arc<RuleSet>, registry: &Registry) -> Self {
        let watches = rules.rules().filter(|rule| matches!(rule, Rule::Watch(_)));
        Self {
            watches: watches.map(|rule| rule.name().to_owned()).collect(),
            monitor: ModelMonitor::new(settings, rules, registry),
            replay: Replay::default(),
            places: HashMap::new(),
        }
    }

    /// One tick: the scrape of each target, in their order.
    pub fn step(&mut self, at: Timestamp, scraped: &[Scraped]) -> Tick {
        let tick = self.monitor.observe(at, scraped);
        self.note(at, &tick);
        tick
    }

    /// One tick: a server's results for the rules' expressions.
    pub fn recall(&mut self, at: Timestamp, mut results: Results) -> Tick {
        let tick = self.monitor.observe_results(at, &mut results);
        self.note(at, &tick);
        tick
    }

    fn note(&mut self, at: Timestamp, tick: &Tick) {
        let replay = &mut self.replay;
        replay.scrapes += 1;
        let first = replay.span.map_or(at, |(first, _)| first);
        replay.span = Some((first, at));
        for error in self.monitor.scrape_errors() {
            replay.failed.count += 1;
            if replay.failed.last.as_deref() != Some(error) {
                replay.failed.last = Some(error.to_owned());
            }
        }
        for alert in &tick.changes {
            replay.change(alert);
        }
        let judged = self.monitor.judged();
        for (rule, sample, verdict) in judged.filter(|(.., now)| now.state != judge::State::Stale) {
            let place = match self.places.get(rule).and_then(|of| of.get(&sample.labels)) {
                Some(place) => *place,
                None => self.replay.place(&mut self.places, rule, sample),
            };
            if let Some(judged) = self.replay.judged.get_mut(place) {
                judged.points.push(point(at, sample, verdict));
            }
        }
    }

    /// Ends the replay.
    #[must_use]
    pub fn finish(self) -> Replay {
        let mut replay = self.replay;
        for watch in self.watches {
            let mut of = replay.judged.iter().filter(|one| *one.rule == *watch);
            let (judged, valued) = (of.clone().any(Judged::is_judged), of.next().is_some());
            match (valued, judged) {
                (false, _) => replay.silent.push(watch),
                (true, false) => replay.unjudged.push(watch),
                (true, true) => {}
            }
        }
        replay.silent.dedup();
        replay.unjudged.dedup();
        let key = |judged: &Judged| (Arc::clone(&judged.rule), judged.labels.to_string());
        replay.judged.sort_by_cached_key(key);
        replay
    }
}

impl Replay {
    fn change(&mut self, alert: &Alert) {
        match alert.state {
            AlertState::Firing => self.fired.push(Fired {
                alert: alert.clone(),
                resolved_at: None,
                resolved: None,
            }),
            AlertState::Resolved => {
                let open = self.fired.iter_mut().rev();
                let mut open = open.filter(|fired| fired.resolved_at.is_none());
                if let Some(fired) = open.find(|fired| fired.alert.labels == alert.labels) {
                    fired.resolved_at = alert.resolved_at;
                    fired.resolved = alert.annotations.get("resolved").map(str::to_owned);
                }
            }
            AlertState::Pending => {}
        }
    }

    /// Adds an empty list for the judgements of a series.
    fn place(
        &mut self,
        places: &mut HashMap<Arc<str>, HashMap<Labels, usize>>,
        rule: &str,
        sample: &MetricSample,
    ) -> usize {
        let rule: Arc<str> = rule.into();
        self.judged.push(Judged {
            rule: Arc::clone(&rule),
            metric: sample.metric.clone(),
            labels: sample.labels.without_name(),
            points: Vec::new(),
        });
        let place = self.judged.len() - 1;
        let of_rule = places.entry(rule).or_default();
        of_rule.insert(sample.labels.clone(), place);
        place
    }
}

fn point(at: Timestamp, sample: &MetricSample, verdict: &Verdict) -> Point {
    let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
    Point {
        at,
        value: sample.value,
        lower: known(verdict.expected.lower),
        upper: known(verdict.expected.upper),
        score: known(verdict.score),
        state: verdict.state,
    }
}
