//! The strategy of one series, and the incident in which the series is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::judge::{
    Band, EwmaParams, EwmaStrategy, Level, Snapshot, State, StrategyContext, StrategyError,
    ThresholdStrategy, Verdict,
};
use crate::metric::{Labels, MetricSample, Timestamp, rounded};

use super::trial::Trial;

/// The result of judging one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The verdict: during an incident, by what was normal before it.
    pub verdict: Verdict,
    /// Whether the condition of the alert holds: the value is anomalous, or the series is in an
    /// incident and has not clearly recovered.
    pub holds: bool,
    /// The new level was accepted as normal with this value; the incident is over.
    pub accepted: Option<Acceptance>,
}

impl From<Verdict> for Judged {
    /// A verdict outside of an incident.
    fn from(verdict: Verdict) -> Self {
        Self {
            holds: verdict.is_anomalous(),
            verdict,
            accepted: None,
        }
    }
}

/// A new level that became normal, in the unit of the metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Acceptance {
    /// What was normal before.
    pub was: Option<f64>,
    /// What is normal now.
    pub now: f64,
    /// How long the incident lasted.
    pub lasted: Duration,
}

/// An incident as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct IncidentSnapshot {
    opened: Option<Timestamp>,
    usual: Option<f64>,
    baseline: Snapshot,
    /// How long the incident was seen to last, and until when.
    #[serde(default)]
    lasted: Duration,
    #[serde(default)]
    last: Timestamp,
    #[serde(default)]
    is_accepted: bool,
}

/// What is known about one series, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesSnapshot {
    /// The series.
    pub labels: Labels,
    /// The time of its last sample.
    pub seen: Timestamp,
    /// The state of its strategy.
    pub snapshot: Snapshot,
    /// The band by which an incident ends, for a strategy that knows no level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    band: Option<Snapshot>,
    /// The incident in which the series is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incident: Option<IncidentSnapshot>,
    /// The comparison of its version with the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trial: Option<Trial>,
}

/// A strategy that keeps its baseline during an incident.
#[derive(Debug)]
pub(super) struct Stage {
    /// Learns from every value, also during an incident.
    strategy: Box<dyn ThresholdStrategy>,
    /// The band by which an incident of a strategy without a level ends.
    band: Option<EwmaStrategy>,
    incident: Option<Box<Incident>>,
    /// The comparison of a new version with the one before.
    trial: Option<Box<Trial>>,
}

/// Intervals without a value, or without a tick, from which on it is an outage.
pub const OUTAGE_INTERVALS: u32 = 20;

/// How long things may last in an incident of any series of a rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long an incident lasts until a steady new level is accepted as normal; zero for ever.
    pub(super) adapt_after: Duration,
    /// A longer time without values is an outage, and does not count as part of an incident.
    longest_gap: Duration,
}

impl Patience {
    pub(super) fn new(adapt_after: Duration, interval: Duration) -> Self {
        let longest_gap = if interval.is_zero() {
            Duration::MAX
        } else {
            interval * OUTAGE_INTERVALS
        };
        Self {
            adapt_after,
            longest_gap,
        }
    }
}

/// A series whose values are anomalous.
#[derive(Debug)]
struct Incident {
    /// When the alert fired; `None` while it is pending.
    opened: Option<Timestamp>,
    /// The centre of the normal values before.
    usual: Option<f64>,
    /// What was known before the first anomalous value.
    baseline: Box<dyn ThresholdStrategy>,
    /// How long it was seen to last since the alert fired, or since the first value; time without
    /// values does not count.
    lasted: Duration,
    /// The time of the last value.
    last: Timestamp,
    /// Somebody declared the present level normal.
    is_accepted: bool,
}

impl Stage {
    pub(super) fn new(strategy: Box<dyn ThresholdStrategy>, context: &StrategyContext) -> Self {
        let band = (strategy.level() == Level::Unknown).then(|| {
            EwmaStrategy::new(EwmaParams {
                direction: context.direction,
                interval: context.interval,
                ..EwmaParams::default()
            })
        });
        Self {
            strategy,
            band,
            incident: None,
            trial: None,
        }
    }

    /// A stage for a new version, on trial against what is known here; without a trial it takes
    /// everything for its own.
    pub(super) fn heir(&self, trial: Option<Trial>) -> Self {
        let mut strategy = self.baseline().duplicate();
        strategy.begin_trial();
        // What is worse than the version before is no measure for the next one.
        let measure = self.undecided();
        let trial = trial.map(|trial| match measure {
            Some(measure) => Trial::against(&measure.from),
            None => trial,
        });
        Self {
            strategy,
            band: self.band.clone(),
            incident: None,
            trial: trial.map(Box::new),
        }
    }

    /// Puts the version that is judged from now on on trial.
    pub(super) fn begin_trial(&mut self, trial: Trial) {
        if self.strategy.level() != Level::Fixed {
            self.strategy.begin_trial();
            self.trial = Some(Box::new(trial));
        }
    }

    /// The comparison with the version before.
    pub(super) fn trial(&self) -> Option<&Trial> {
        self.trial.as_deref()
    }

    /// The comparison of a version that was not found as good yet: it teaches nothing.
    fn undecided(&self) -> Option<&Trial> {
        self.trial.as_deref().filter(|trial| !trial.teaches())
    }

    fn undecided_mut(&mut self) -> Option<&mut Trial> {
        self.trial.as_deref_mut().filter(|trial| !trial.teaches())
    }

    /// What is known without the present incident.
    pub(super) fn baseline(&self) -> &dyn ThresholdStrategy {
        match &self.incident {
            Some(incident) if self.band.is_none() => &*incident.baseline,
            _ => &*self.strategy,
        }
    }

    pub(super) fn strategy(&self) -> &dyn ThresholdStrategy {
        &*self.strategy
    }

    /// Judges a value, and learns from it.
    pub(super) fn judge(&mut self, sample: &MetricSample, patience: Patience) -> Judged {
        let Some(incident) = &mut self.incident else {
            return self.judge_normally(sample);
        };
        incident.pass(sample.at, patience.longest_gap);
        let mut verdict = incident.baseline.assess(sample);
        let present = self.strategy.judge(sample);
        if verdict.state == State::WarmingUp {
            // A part of the baseline that knows too little will never know more.
            verdict = present.clone();
        }
        if let Some(band) = &mut self.band {
            band.judge(sample);
            if present.is_anomalous() {
                verdict = present.clone();
            }
        }
        let holds = incident.holds(&verdict);
        if holds && incident.is_acceptable(patience.adapt_after, &present) {
            return self.accept_level(sample, present);
        }
        if holds && !verdict.is_anomalous() {
            verdict.why = incident.not_recovered(sample).into();
        }
        let is_over = incident.opened.is_none() && verdict.state == State::Ok && !holds;
        if is_over {
            self.drop_incident();
        }
        Judged {
            verdict,
            holds,
            accepted: None,
        }
    }

    /// Forgets an incident whose alert did not fire. A version on trial learned nothing from it.
    fn drop_incident(&mut self) {
        if let Some(incident) = self.incident.take()
            && self.undecided().is_some()
            && self.band.is_none()
        {
            self.strategy = incident.baseline;
        }
    }

    fn judge_normally(&mut self, sample: &MetricSample) -> Judged {
        let verdict = self.strategy.assess(sample);
        let expected = match &mut self.band {
            Some(band) => band.assess(sample).expected,
            None => verdict.expected,
        };
        if verdict.is_anomalous() {
            self.incident = self.begin(sample.at, expected).map(Box::new);
        }
        if self.undecided().is_none() {
            self.strategy.learn(sample);
            if let Some(band) = &mut self.band {
                band.learn(sample);
            }
        }
        if let Some(trial) = &mut self.trial {
            trial.note(&verdict, sample.at, self.strategy.is_as_good());
        }
        verdict.into()
    }

    /// The incident that an anomalous value begins; `None` if there is no level to come back to.
    fn begin(&self, at: Timestamp, expected: Band) -> Option<Incident> {
        let baseline = match (self.strategy.level(), &self.band) {
            (Level::Fixed, _) => return None,
            (Level::Unknown, Some(band)) if expected.centre.is_some() => band.duplicate(),
            (Level::Unknown, _) => return None,
            (Level::Learned, _) => self.strategy.duplicate(),
        };
        Some(Incident {
            opened: None,
            usual: expected.centre,
            baseline,
            lasted: Duration::ZERO,
            last: at,
            is_accepted: false,
        })
    }

    fn accept_level(&mut self, sample: &MetricSample, verdict: Verdict) -> Judged {
        // A version whose level is accepted is compared no longer.
        self.trial = None;
        let incident = self.incident.take();
        let accepted = incident.map(|incident| Acceptance {
            was: incident.usual,
            now: verdict.expected.centre.unwrap_or(sample.value),
            lasted: incident.lasted,
        });
        Judged {
            verdict,
            holds: false,
            accepted,
        }
    }

    /// The alert of the series fires.
    pub(super) fn open(&mut self, at: Timestamp) -> bool {
        let Some(incident) = &mut self.incident else {
            return false;
        };
        let is_new = incident.opened.is_none();
        if is_new {
            incident.opened = Some(at);
            incident.lasted = Duration::ZERO;
            self.strategy.renew();
            if let Some(trial) = self.undecided_mut() {
                trial.is_worse();
            }
        }
        is_new
    }

    /// The alert of the series has ended: the baseline is in force again. Returns whether an
    /// incident was open.
    pub(super) fn recover(&mut self) -> bool {
        if !self.is_open() {
            return false;
        }
        let Some(incident) = self.incident.take() else {
            return false;
        };
        if let Some(trial) = self.undecided_mut() {
            trial.again();
        }
        match &mut self.band {
            // A band always restores the snapshot of a band.
            Some(band) => {
                self.strategy.recovered();
                band.restore(&incident.baseline.snapshot()).is_ok()
            }
            None => {
                self.strategy = incident.baseline;
                true
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        let incident = self.incident.as_ref();
        incident.is_some_and(|incident| incident.opened.is_some())
    }

    pub(super) fn is_learned(&self) -> bool {
        self.strategy.level() == Level::Learned
    }

    pub(super) fn is_in_incident(&self) -> bool {
        self.incident.is_some()
    }

    /// What was normal before the open incident.
    pub(super) fn usual(&self) -> Option<f64> {
        let incident = self.incident.as_ref();
        incident.filter(|_| self.is_open())?.usual
    }

    /// Makes the next value's level normal. Returns whether an incident is open.
    pub(super) fn accept(&mut self) -> bool {
        let is_open = self.is_open();
        if let Some(incident) = self.incident.as_mut().filter(|_| is_open) {
            incident.is_accepted = true;
        }
        is_open
    }

    /// Moves the times back after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        if let Some(incident) = &mut self.incident {
            incident.opened = incident.opened.map(|at| at - by);
            incident.last = incident.last - by;
        }
        if let Some(trial) = &mut self.trial {
            trial.set_back(by);
        }
    }

    /// Everything to store about the series.
    pub(super) fn snapshot(&self, labels: &Labels, seen: Timestamp) -> SeriesSnapshot {
        SeriesSnapshot {
            labels: labels.clone(),
            seen,
            snapshot: self.strategy.snapshot(),
            band: self.band.as_ref().map(EwmaStrategy::snapshot),
            incident: self.incident.as_ref().map(|incident| IncidentSnapshot {
                opened: incident.opened,
                usual: incident.usual,
                baseline: incident.baseline.snapshot(),
                lasted: incident.lasted,
                last: incident.last,
                is_accepted: incident.is_accepted,
            }),
            trial: self.trial.as_deref().cloned(),
        }
    }

    /// Restores what [`snapshot`](Self::snapshot) returned.
    pub(super) fn restore(&mut self, stored: &SeriesSnapshot) -> Result<(), StrategyError> {
        let mut baseline = match &self.band {
            Some(band) => band.duplicate(),
            None => self.strategy.duplicate(),
        };
        if let Some(incident) = &stored.incident {
            baseline.restore(&incident.baseline)?;
        }
        if let (Some(own), Some(band)) = (&mut self.band, &stored.band) {
            own.restore(band)?;
        }
        self.strategy.restore(&stored.snapshot)?;
        self.trial = stored.trial.clone().map(Box::new);
        self.incident = stored.incident.as_ref().map(|incident| {
            Box::new(Incident {
                opened: incident.opened,
                usual: incident.usual,
                baseline,
                lasted: incident.lasted,
                last: incident.last,
                is_accepted: incident.is_accepted,
            })
        });
        Ok(())
    }
}

impl Incident {
    /// Counts the time since the last value, unless it is longer than `longest_gap`: what happened
    /// in a longer one is unknown.
    fn pass(&mut self, at: Timestamp, longest_gap: Duration) {
        let passed = at.since(self.last);
        if passed <= longest_gap {
            self.lasted += passed;
        }
        self.last = at;
    }

    /// Whether a verdict by the baseline keeps the condition of the alert.
    fn holds(&self, verdict: &Verdict) -> bool {
        let limit = if self.opened.is_some() {
            verdict.recovery
        } else {
            1.0
        };
        verdict.score.is_some_and(|score| score > limit)
    }

    /// Whether the present level becomes the new normal: on request, or because it has lasted and
    /// the strategy that went on learning finds it normal.
    fn is_acceptable(&self, adapt_after: Duration, present: &Verdict) -> bool {
        let is_over = !adapt_after.is_zero() && self.lasted >= adapt_after;
        self.is_accepted || (is_over && present.state == State::Ok)
    }

    fn not_recovered(&self, sample: &MetricSample) -> String {
        let value = rounded(sample.value);
        match self.usual {
            Some(usual) => format!(
                "{value} is not clearly normal again; usual is {}",
                rounded(usual)
            ),
            None => format!("{value} is not clearly normal again"),
        }
    }
}
