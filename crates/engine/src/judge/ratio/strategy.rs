//! Counts in, verdicts out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::base::{Base, Step, Tally};
use super::params::RatioParams;
use super::sums::{Question, Sums};
use super::text::{self, Words};
use crate::judge::registry::Built;
use crate::judge::{
    Band, Level, Registry, Side, Snapshot, StrategyContext, StrategyError, ThresholdStrategy,
    Verdict, read_params,
};
use crate::metric::{Counts, MetricSample, Quotient, Timestamp};

const KIND: &str = "ratio";

/// The evidence for being as good at which a new version is as good: 20 times likelier than a small
/// change. Evidence against it counts no more than twice that, so that a bad start can be made up.
const AS_GOOD: f64 = 3.0;

/// The reason of the verdict on a sample that is not a ratio.
const NO_COUNTS: &str =
    "the sample has no counts: judge the name of a record with ratio, without functions around it";

/// Judges counts by what they add from evaluation to evaluation. O(1); under 1 kB.
#[derive(Debug, Clone)]
struct RatioStrategy {
    params: RatioParams,
    /// Seconds between evaluations.
    interval: f64,
    memory: Memory,
    /// What the last assessed sample added, to learn it.
    step: Option<Learnable>,
}

/// What an assessed sample added.
#[derive(Debug, Clone, Copy)]
struct Learnable {
    step: Step,
    is_suspicious: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Memory {
    seen: Option<Seen>,
    base: Base,
    sums: Sums,
    /// The evidence, since a new version began, that its share is usual and not a little worse.
    #[serde(default)]
    as_good: Option<f64>,
}

/// How far the counts were seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Seen {
    at: Timestamp,
    total: Quotient,
    /// Numerators that came without their denominators: one scrape may read the one before an
    /// observation and the other after it.
    early: f64,
}

impl RatioStrategy {
    /// What the counts add since the last sample; `None` at the first and if the clock was set back.
    fn advance(&mut self, counts: &Counts, at: Timestamp) -> Option<Step> {
        let total = counts.total;
        let Some(seen) = self.memory.seen else {
            self.memory.seen = Some(Seen {
                at,
                total,
                early: 0.0,
            });
            return None;
        };
        let began_anew =
            total.denominator < seen.total.denominator || total.numerator < seen.total.numerator;
        let before = if began_anew {
            Quotient::default()
        } else {
            seen.total
        };
        let of = total.denominator - before.denominator;
        let early = if began_anew { 0.0 } else { seen.early };
        let counted = total.numerator - before.numerator + early;
        let numerator = counted.min(of);
        self.memory.seen = Some(Seen {
            at,
            total,
            early: (counted - numerator).min(counts.window.denominator),
        });
        let seconds = at.since(seen.at).as_secs_f64();
        let bad = if counts.is_good {
            of - numerator
        } else {
            numerator
        };
        (seconds > 0.0).then_some(Step {
            counts: Tally { bad, of },
            seconds,
        })
    }

    /// The evaluations in which one false alarm is accepted.
    fn evaluations(&self) -> f64 {
        (self.params.false_alarms.seconds() / self.interval).max(2.0)
    }

    /// What the sums are asked, if enough is known.
    fn question(&self, step: Step, is_good: bool) -> Option<Question> {
        let base = &self.memory.base;
        let bound = self.params.bound;
        let usual = match bound {
            Some(bound) => (if is_good { 1.0 - bound } else { bound }).clamp(1e-5, 0.95),
            None if base.is_warm() => base.cautious_share(),
            None => return None,
        };
        let per_step = match base.per_step() {
            0.0 => step.counts.of,
            known => known,
        };
        Some(Question::new(
            usual,
            self.params.least_rise(usual),
            base.dispersion(),
            self.evaluations(),
            per_step,
        ))
    }

    /// The usual share and what chance explains around it in the record's window, as the record
    /// writes them.
    fn band(&self, question: &Question, counts: &Counts) -> Band {
        let (centre, most) = match self.params.bound {
            Some(_) => (None, question.usual),
            None => {
                let usual = self.memory.base.share();
                (
                    Some(usual),
                    question.explained_by_chance(counts.window.denominator),
                )
            }
        };
        if counts.is_good {
            Band {
                lower: Some(1.0 - most),
                centre: centre.map(|share| 1.0 - share),
                upper: None,
            }
        } else {
            Band {
                lower: None,
                centre,
                upper: Some(most),
            }
        }
    }

    fn verdict(&self, score: f64, question: &Question, counts: &Counts) -> Verdict {
        let side = if counts.is_good {
            Side::Below
        } else {
            Side::Above
        };
        let band = self.band(question, counts);
        Verdict::judged(score, Some(side), band, || {
            let run = self.memory.sums.incident().unwrap_or_default();
            let words = Words {
                counts,
                question,
                usual: self.memory.base.share(),
                bound: self.params.bound,
            };
            text::why(run, &words).into()
        })
        .recovered_at_limit()
    }
}

impl ThresholdStrategy for RatioStrategy {
    fn assess(&mut self, sample: &MetricSample) -> Verdict {
        self.step = None;
        let Some(evidence) = sample.evidence.as_deref() else {
            return Verdict::insufficient(NO_COUNTS);
        };
        let Some(counts) = &evidence.counts else {
            let why = evidence.insufficient.clone();
            return Verdict::insufficient(why.unwrap_or_else(|| NO_COUNTS.to_owned()));
        };
        let step = self.advance(counts, sample.at);
        if let Some(why) = &evidence.insufficient {
            return Verdict::insufficient(why.clone());
        }
        let Some(step) = step else {
            return Verdict::warming_up("nothing was counted before");
        };
        let question = self.question(step, counts.is_good);
        let score = question.map(|question| self.memory.sums.add(step, &question));
        if let (Some(evidence), Some(question)) = (&mut self.memory.as_good, question) {
            let added = question.evidence_for_usual(step.counts);
            *evidence = (*evidence + added).clamp(-2.0 * AS_GOOD, 2.0 * AS_GOOD);
        }
        self.step = Some(Learnable {
            step,
            is_suspicious: score.is_some_and(|score| score > 0.5),
        });
        let (Some(question), Some(score)) = (question, score) else {
            return Verdict::warming_up(self.memory.base.progress());
        };
        if let Some(why) = &evidence.unproven {
            return Verdict::insufficient(why.clone());
        }
        if sample.value.is_nan() {
            return Verdict::insufficient("there were no observations in the window of the ratio");
        }
        self.verdict(score, &question, counts)
    }

    fn learn(&mut self, _sample: &MetricSample) {
        let Some(Learnable {
            step,
            is_suspicious,
        }) = self.step.take()
        else {
            return;
        };
        let limit = self.evaluations().ln();
        if self.memory.sums.is_firing() {
            self.memory.base.drop_pending();
        } else {
            self.memory.base.learn(step, is_suspicious, limit);
        }
    }

    fn duplicate(&self) -> Box<dyn ThresholdStrategy> {
        Box::new(self.clone())
    }

    fn level(&self) -> Level {
        if self.params.bound.is_some() {
            Level::Fixed
        } else {
            Level::Learned
        }
    }

    fn renew(&mut self) {
        self.memory.sums = Sums::default();
        self.memory.base = self.memory.base.renewed();
    }

    fn begin_trial(&mut self) {
        self.memory.seen = None;
        self.memory.sums = Sums::default();
        self.memory.as_good = Some(0.0);
    }

    fn is_as_good(&self) -> Option<bool> {
        let evidence = self.memory.as_good?;
        Some(evidence >= AS_GOOD)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(KIND, 1, &self.memory)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        self.memory = snapshot.open(KIND, 1)?;
        Ok(())
    }
}

pub(in crate::judge) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<RatioParams, _>(map, |params, _| {
        let interval = context.interval.as_secs_f64();
        Box::new(RatioStrategy {
            params,
            // Without an interval, that of a scrape.
            interval: if interval > 0.0 { interval } else { 15.0 },
            memory: Memory::default(),
            step: None,
        }) as Box<dyn ThresholdStrategy>
    })
}
