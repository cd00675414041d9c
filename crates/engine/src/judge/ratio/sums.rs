//! Evidence that the share of bad observations rose, added up from evaluation to evaluation.

use serde::{Deserialize, Serialize};

use super::base::{Step, Tally};

/// The number of changes that are looked for: a small, a medium and a great one.
pub(super) const CHANGES: usize = 3;
/// How the false-alarm budget is divided among them. The parts add up to more than 1, because the
/// sums rise together.
const PARTS_OF_BUDGET: [f64; CHANGES] = [0.7, 0.4, 0.1];
/// No single evaluation adds more than this part of the limit: one glitch is not an incident.
const MAX_PART: f64 = 0.6;
/// The evidence that the share is usual again, which ends an incident: 3000 times likelier.
const END: f64 = 8.0;
/// The evidence for a small change that does not keep an incident from ending, and the most that is
/// remembered.
const DOUBT: f64 = 1.2;
const MAX_DOUBT: f64 = 4.0;
/// Half-life of the counts that the incident's own share is estimated from, in seconds.
const INCIDENT_HALF_LIFE: f64 = 6.0 * 3600.0;
/// The number of observations that the least change is worth in that estimate.
const INCIDENT_PRIOR: f64 = 20.0;

/// The question that the sums answer: is the share still `usual`, or has it risen to one of these?
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Question {
    /// The usual share.
    pub(super) usual: f64,
    /// The shares after a small, a medium and a great change.
    pub(super) changed: [f64; CHANGES],
    /// How many times more the counts vary than chance explains.
    pub(super) dispersion: f64,
    /// The evidence at which each sum raises an alarm.
    pub(super) limits: [f64; CHANGES],
}

impl Question {
    /// `least` is the least change that matters, as a share; `evaluations` is how many evaluations
    /// may pass until a false alarm, and `per_step` how many observations each adds.
    pub(super) fn new(
        usual: f64,
        least: f64,
        dispersion: f64,
        evaluations: f64,
        per_step: f64,
    ) -> Self {
        let small = (usual + least).min(0.98 + 0.02 * usual);
        let medium = (usual + 0.1 * (1.0 - usual)).max((small + least).min(0.985 + 0.015 * usual));
        let great = (usual + 0.5 * (1.0 - usual)).max(medium);
        let changed = [small, medium, great];
        let limit = |change: f64, part: f64| {
            // The time between false alarms of such a sum is e^limit over what it loses in an
            // evaluation without a change (Siegmund 1985, section 2.6).
            let one = Tally {
                bad: usual,
                of: 1.0,
            };
            let lost = -one.evidence(usual, change) * per_step / dispersion;
            (evaluations / part * lost.clamp(1e-4, 1.0)).ln().max(4.0)
        };
        let limits = [0, 1, 2].map(|n| limit(changed[n], PARTS_OF_BUDGET[n]));
        Self {
            usual,
            changed,
            dispersion,
            limits,
        }
    }

    /// The evidence in counts that the share is usual and not a little worse.
    pub(super) fn evidence_for_usual(&self, counts: Tally) -> f64 {
        let [small, ..] = self.changed;
        counts.evidence(small, self.usual) / self.dispersion
    }

    /// The greatest share of so many observations that raises no alarm by itself, by Bernstein's
    /// inequality.
    pub(super) fn explained_by_chance(&self, of: f64) -> f64 {
        let [limit, ..] = self.limits;
        let scale = limit * self.dispersion / of.max(1.0);
        let variance = self.usual * (1.0 - self.usual);
        let excess = scale / 3.0 + ((scale / 3.0).powi(2) + 2.0 * scale * variance).sqrt();
        (self.usual + excess).min(1.0)
    }
}

/// Counts since a time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) counts: Tally,
    pub(super) seconds: f64,
}

impl Run {
    fn add(&mut self, step: Step) {
        self.counts.add(step.counts);
        self.seconds += step.seconds;
    }
}

/// One sum of evidence, and the counts since it began.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Sum {
    evidence: f64,
    run: Run,
}

/// An incident: the share has risen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Incident {
    /// The counts since the change began.
    run: Run,
    /// The recent counts, from which its own share is estimated.
    recent: Tally,
    /// The greatest score so far.
    score: f64,
    /// The evidence that it is over.
    over: f64,
    /// The evidence, since that began, that the share is not quite usual yet.
    doubt: f64,
}

/// The sums of one series.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    sums: [Sum; CHANGES],
    incident: Option<Incident>,
}

impl Sums {
    /// Adds the counts of an evaluation. Returns the score: above 1 during an incident.
    pub(super) fn add(&mut self, step: Step, question: &Question) -> f64 {
        if let Some(incident) = &mut self.incident {
            if !incident.is_over(step, question) {
                return incident.score();
            }
            *self = Self::default();
            return 0.0;
        }
        let mut score = 0.0;
        let mut run = Run::default();
        for (n, sum) in self.sums.iter_mut().enumerate() {
            let limit = question.limits[n];
            let evidence = step.counts.evidence(question.usual, question.changed[n]);
            sum.evidence += (evidence / question.dispersion).min(MAX_PART * limit);
            sum.run.add(step);
            if sum.evidence <= 0.0 {
                *sum = Sum::default();
            }
            if sum.evidence / limit > score {
                score = sum.evidence / limit;
                run = sum.run;
            }
        }
        if score > 1.0 {
            self.incident = Some(Incident {
                run,
                recent: run.counts,
                score,
                over: 0.0,
                doubt: 0.0,
            });
        }
        score
    }

    /// Whether an incident is on.
    pub(super) fn is_firing(&self) -> bool {
        self.incident.is_some()
    }

    /// The counts since the change began.
    pub(super) fn incident(&self) -> Option<Run> {
        self.incident.map(|incident| incident.run)
    }
}

impl Incident {
    /// Adds the counts of an evaluation; whether the share is usual again.
    fn is_over(&mut self, step: Step, question: &Question) -> bool {
        self.run.add(step);
        let own = self.share(question);
        let weight = 1.0 / question.dispersion;
        let evidence = weight * step.counts.evidence(own, question.usual);
        self.over = (self.over + evidence.min(MAX_PART * END)).clamp(0.0, 2.0 * END);
        // A share between the usual one and the incident's may be nearer to the usual one, and yet
        // not be usual.
        let [small, ..] = question.changed;
        let doubt = weight * step.counts.evidence(question.usual, small);
        self.doubt = (self.doubt + doubt).clamp(0.0, MAX_DOUBT);
        if self.over <= 0.0 {
            self.doubt = 0.0;
        }
        let faded = 0.5_f64.powf(step.seconds.max(0.0) / INCIDENT_HALF_LIFE);
        self.recent = Tally {
            bad: self.recent.bad * faded + step.counts.bad,
            of: self.recent.of * faded + step.counts.of,
        };
        self.over > END && self.doubt <= DOUBT
    }

    /// The incident's own share, cautiously: at least halfway to the least change.
    fn share(&self, question: &Question) -> f64 {
        let [small, ..] = question.changed;
        let bad = self.recent.bad + small * INCIDENT_PRIOR;
        let of = self.recent.of + INCIDENT_PRIOR;
        let share = bad / of;
        let error = (question.dispersion * share * (1.0 - share) / of).sqrt();
        (share - error)
            .max(f64::midpoint(question.usual, small))
            .min(0.99)
    }

    /// The greatest score so far, which falls to 1 as evidence for the end comes in.
    fn score(&mut self) -> f64 {
        let left = (1.0 - self.over / END).clamp(0.0, 1.0);
        1.0 + ((self.score - 1.0) * left).max(1e-6)
    }
}
