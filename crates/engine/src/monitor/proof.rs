//! Which verdicts of a watch are evidence for a request to retrain.

use std::time::Duration;

use super::results::Results;
use super::traffic::{Activity, activity, longest, observed};
use super::watch::Watching;
use crate::metric::{Labels, MetricSample, Timestamp};
use crate::promql::Query;
use crate::retrain::{Cause, GateKey, Gates, RequestEvidence, RetrainRequest};
use crate::rules::Retrain;
use crate::series::Window;

/// How far back a request names the times that are no evidence.
const NAMED: Duration = Duration::from_secs(7 * 86_400);

/// What is known at the end of a tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) window: &'a Window,
    /// A server's results; empty without a server.
    pub(super) results: &'a Results,
    /// The labels of every target, and whether its last scrape succeeded.
    pub(super) targets: &'a [(Labels, bool)],
    /// How long a version counts as new.
    pub(super) grace: Duration,
}

/// What decides whether the verdicts of one evaluation are evidence.
#[derive(Debug)]
pub(super) struct Proof<'a> {
    known: Known<'a>,
    watching: &'a Watching,
    pub(super) at: Timestamp,
    /// Whether `unless` returns something, or why it could not be evaluated.
    pub(super) veto: Result<bool, String>,
    /// The longest time that a value covers.
    reach: Duration,
}

impl<'a> Proof<'a> {
    pub(super) fn new(
        retrain: &Retrain,
        watching: &'a Watching,
        known: Known<'a>,
        at: Timestamp,
    ) -> Self {
        let own = watching.window.unwrap_or_default();
        Self {
            veto: vetoed(retrain, known, at),
            reach: longest(&watching.counted).max(own),
            known,
            watching,
            at,
        }
    }

    /// How long a version counts as new.
    pub(super) fn grace(&self) -> Duration {
        self.known.grace
    }

    /// The time that a value covers.
    pub(super) fn window(&self, sample: &MetricSample) -> Duration {
        let evidence = sample.evidence.as_deref();
        let own = evidence.and_then(|evidence| evidence.window);
        self.reach.max(own.unwrap_or_default())
    }

    /// Notes whether the present time is tainted: `unless` holds, or targets do not answer. A series
    /// that names no target is tainted when half of the targets do not answer.
    pub(super) fn note_taints(&self, gates: &mut Gates, rule: &str) {
        let gap = self.watching.watch.alert.interval * 2;
        let mut note = |target: &Labels, cause| {
            gates.taints_mut(rule).note(target, cause, self.at, gap);
        };
        if self.veto != Ok(false) {
            note(&Labels::empty(), Cause::Unless);
        }
        let targets = self.known.targets;
        let down: Vec<&Labels> = targets
            .iter()
            .filter_map(|(target, is_up)| (!is_up).then_some(target))
            .collect();
        if down.is_empty() {
            return;
        }
        if down.len() * 2 >= targets.len() {
            note(&Labels::empty(), Cause::TargetDown);
        }
        let mut judged = self.watching.judged.iter();
        if judged.any(|(sample, _)| sample.labels.get("instance").is_some()) {
            for target in down {
                let target = target.retain(|name| name == "instance");
                if !target.is_empty() {
                    note(&target, Cause::TargetDown);
                }
            }
        }
    }

    /// Whether a value covers a tainted time.
    pub(super) fn is_tainted(&self, gates: &Gates, rule: &str, sample: &MetricSample) -> bool {
        let window = self.window(sample).max(Duration::from_millis(1));
        let since = self.at - window;
        let taints = gates.taints(rule);
        taints.is_some_and(|taints| taints.after(&sample.labels, since).next().is_some())
    }

    /// Whether nothing exports the counters behind a series any more, such as those of a version
    /// that was replaced: its value comes from the past.
    pub(super) fn is_gone(&self, series: &Labels) -> bool {
        self.activity(series)
            .is_some_and(|activity| !activity.is_exported)
    }

    /// Whether a value rests on a new observation; `None` if there are no counters behind it.
    pub(super) fn observed(&self, sample: &MetricSample) -> Option<bool> {
        let within = self.watching.watch.alert.interval * 2;
        observed(
            self.known.window,
            &self.watching.counted,
            sample,
            within,
            self.at,
        )
    }

    fn activity(&self, series: &Labels) -> Option<Activity> {
        let within = self.watching.watch.alert.interval * 2;
        activity(
            self.known.window,
            &self.watching.counted,
            series,
            within,
            self.at,
        )
    }

    /// The request with what it rests on.
    pub(super) fn with_evidence(
        &self,
        request: RetrainRequest,
        gates: &Gates,
        key: &GateKey,
        sample: &MetricSample,
    ) -> RetrainRequest {
        let window = self.window(sample);
        let evidence = sample.evidence.as_deref();
        let taints = gates.taints(&key.rule);
        let named = |series| taints.map(|taints| taints.after(series, self.at - NAMED).cloned());
        let evidence = RequestEvidence {
            observations: evidence.map(|evidence| evidence.samples).filter(|n| *n > 0),
            window,
            from: request.active_at - window,
            to: self.at,
            taints: named(&sample.labels).into_iter().flatten().collect(),
        };
        RetrainRequest {
            evidence: Some(evidence),
            ..request
        }
    }
}

/// Whether `unless` returns something.
fn vetoed(retrain: &Retrain, known: Known<'_>, at: Timestamp) -> Result<bool, String> {
    let Some(expr) = &retrain.unless else {
        return Ok(false);
    };
    if let Some(answer) = known.results.get(expr) {
        return answer.clone().map(|values| !values.is_empty());
    }
    let evaluation = Query::new(expr.clone())
        .eval(known.window, at)
        .map_err(|error| error.to_string())?;
    let values = evaluation
        .value
        .into_vector(at)
        .map_err(|error| error.to_string())?;
    Ok(!values.is_empty())
}
