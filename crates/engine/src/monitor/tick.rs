//! One tick: scrapes in; alerts, requests and changes out.

use tracing::{debug, warn};

use super::model_monitor::ModelMonitor;
use super::pass::Pass;
use super::proof::Known;
use super::rest::Rest;
use super::results::Results;
use super::rollout::Rollout;
use super::rule::Waiting;
use super::target::Scraped;
use crate::alert::Alert;
use crate::metric::Timestamp;
use crate::retrain::RetrainRequest;

/// The changes of a tick and the notifications to send.
#[derive(Debug, Default)]
pub struct Tick {
    /// Alerts to send to Alertmanager now: changes and repetitions.
    pub alerts: Vec<Alert>,
    /// Every alert whose state changed, in order, for subscribers and the log.
    pub changes: Vec<Alert>,
    /// Requests for a new model.
    pub requests: Vec<RetrainRequest>,
}

/// A tick in progress: the rules before its position are evaluated.
#[derive(Debug)]
pub struct TickInProgress {
    at: Timestamp,
    rollout: Rollout,
    changes: Vec<Alert>,
    /// The positions of the groups that are due.
    due: Vec<usize>,
    /// The position of the group among those, and of the rule in the group.
    group: usize,
    rule: usize,
    waiting: Option<Waiting>,
}

/// The progress of a tick.
#[derive(Debug)]
pub enum Progress {
    /// Templates need a server's answers before the tick can continue.
    Asks {
        /// The tick to continue with [`ModelMonitor::advance`].
        tick: Box<TickInProgress>,
        /// The queries to answer in the results.
        queries: Vec<String>,
    },
    /// The tick is complete.
    Done(Tick),
}

impl ModelMonitor {
    /// One tick: ingests the scrape of each target, in their order, and evaluates the groups that
    /// are due.
    pub fn observe(&mut self, at: Timestamp, scraped: &[Scraped]) -> Tick {
        let tick = self.begin(at, scraped);
        self.finish(tick, &mut Results::default())
    }

    /// One tick of a monitor whose series are at a server: takes the server's results for the
    /// rules' expressions.
    pub fn observe_results(&mut self, at: Timestamp, results: &mut Results) -> Tick {
        let tick = self.begin(at, &[]);
        self.finish(tick, results)
    }

    fn finish(&mut self, tick: TickInProgress, results: &mut Results) -> Tick {
        let mut progress = self.advance(tick, results);
        loop {
            match progress {
                Progress::Done(tick) => return tick,
                Progress::Asks { tick, queries } => {
                    for query in queries {
                        let why = "the server does not answer queries of templates here";
                        results.put_template_answer(query, Err(why.to_owned()));
                    }
                    progress = self.advance(*tick, results);
                }
            }
        }
    }

    /// The first part of a tick: ingests the scrape of each target, in their order.
    pub fn begin(&mut self, at: Timestamp, scraped: &[Scraped]) -> TickInProgress {
        let has_others = self.targets.len() > 1;
        for (target, scraped) in self.targets.iter_mut().zip(scraped) {
            let started = (self.stopwatch)();
            target.take(&mut self.window, at, scraped);
            if has_others && scraped.result.is_ok() {
                let took = (self.stopwatch)().saturating_sub(started);
                let times = (scraped.duration, took);
                target.rest = Rest::after(times, self.settings.interval, at);
            }
            if let Some(error) = target.last.as_ref().and_then(|last| last.error.as_ref()) {
                warn!(target = target.shown_url(), error, "scrape failed");
            }
        }
        self.window.sweep(at);
        let departed = self.end_departed(at);
        let groups = self.groups.iter().enumerate();
        let due = groups.filter(|(_, group)| group.is_due(at));
        TickInProgress {
            at,
            rollout: self.rollout(at),
            changes: departed,
            due: due.map(|(index, _)| index).collect(),
            group: 0,
            rule: 0,
            waiting: None,
        }
    }

    /// The second part: evaluates the groups that are due, until all are done or templates need a
    /// server's answers.
    pub fn advance(&mut self, mut tick: TickInProgress, results: &Results) -> Progress {
        let mut pass = Pass {
            window: &mut self.window,
            context: &self.context,
            rollout: &tick.rollout,
            at: tick.at,
            evidence: &mut self.evidence,
            results,
            recorded: &self.recorded,
            alert_series: self.alert_series,
            stopwatch: self.stopwatch,
            changes: std::mem::take(&mut tick.changes),
        };
        let mut asked = None;
        'groups: while let Some(index) = tick.due.get(tick.group) {
            let group = &mut self.groups[*index];
            while let Some(rule) = group.rules.get_mut(tick.rule) {
                let evaluated = match tick.waiting.take() {
                    Some(waiting) => rule.resume(waiting, &mut pass),
                    None => rule.evaluate(&mut pass),
                };
                if let Err(waiting) = evaluated {
                    asked = Some(waiting);
                    break 'groups;
                }
                if let Some(error) = &rule.health.error {
                    debug!(rule = rule.name(), error, "evaluation failed");
                }
                tick.rule += 1;
            }
            group.evaluated(tick.at);
            tick.group += 1;
            tick.rule = 0;
        }
        tick.changes = pass.changes;
        match asked {
            Some(mut waiting) => {
                let queries = std::mem::take(&mut waiting.queries);
                tick.waiting = Some(waiting);
                let tick = Box::new(tick);
                Progress::Asks { tick, queries }
            }
            None => Progress::Done(self.conclude(tick, results)),
        }
    }

    /// The last part: collects alerts and retraining requests to send, and evicts idle series.
    fn conclude(&mut self, evaluated: TickInProgress, results: &Results) -> Tick {
        let TickInProgress {
            at, changes, due, ..
        } = evaluated;
        let mut tick = Tick {
            changes,
            ..Tick::default()
        };
        let resend_delay = self.settings.resend_delay;
        for index in due {
            for rule in &mut self.groups[index].rules {
                let known = Known {
                    window: &self.window,
                    results,
                    targets: &evaluated.rollout.targets,
                    grace: evaluated.rollout.grace,
                };
                let (requests, changes) = self.retraining.decide(rule, known, &self.context, at);
                tick.requests.extend(requests);
                tick.changes.extend(changes);
                tick.alerts
                    .extend(rule.due(at, resend_delay, &self.context));
            }
        }
        tick.alerts.extend(self.due_retired(at));
        tick.alerts = self.without_false_ends(tick.alerts);
        if !evaluated.rollout.idle {
            self.evict_idle(at);
        }
        self.stored.urgent |= !tick.changes.is_empty() || !tick.requests.is_empty();
        self.last_tick = Some(at);
        tick
    }

    /// Evicts the idle series of watches.
    fn evict_idle(&mut self, at: Timestamp) {
        let retention = self.window.limits().retention;
        for watching in self.watches_mut() {
            watching.evict_idle(at, retention);
        }
    }
}
