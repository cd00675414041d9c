//! One distribution of a drift rule: its window and its reference.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counting::Risen;
use super::histogram::Rises;
use super::learning::{Learning, total};
use super::observe::Outcome;
use super::pieces::Span;
use super::rule::Learn;
use super::{Drift, DriftRule, LearntReference, Reference, Season};
use crate::map::sliding::Sliding;
use crate::metric::{Labels, Timestamp, format_duration};

/// One distribution and its reference.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Distribution {
    window: Sliding<Rises>,
    learning: Learning,
    learnt: Option<LearntReference>,
    /// Why the window does not cover its full length.
    note: Option<String>,
    #[serde(default)]
    accepted: Option<Accepted>,
}

/// A window that a user took for the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Accepted {
    reference: LearntReference,
    /// The reference of the rule at that time; another one is in force again.
    instead_of: Option<LearntReference>,
}

impl Distribution {
    /// Whether it must be kept though its counters are absent.
    pub(super) fn is_worth_keeping(&self, at: Timestamp, window: Duration) -> bool {
        let newest = self.window.newest();
        self.learnt.is_some()
            || self.accepted.is_some()
            || newest.is_some_and(|newest| at.since(newest) <= window)
    }

    pub(super) fn add(&mut self, rule: &DriftRule, risen: &Risen, at: Timestamp) {
        if risen.refused.is_some() {
            // What was learned stays; what is being counted might grow without end.
            self.window = Sliding::default();
            if self.learnt.is_none() {
                self.learning = Learning::default();
            }
            return;
        }
        if let Some(why) = &risen.broken {
            // Counts of different buckets cannot be added up; a reference learned from the old ones
            // is useless.
            *self = Self {
                note: Some(format!("{why} at {at}; counting anew")),
                ..Self::default()
            };
        }
        self.window.add(at, rule.window, &risen.rises);
        if let Some(learn) = rule.reference.learn() {
            self.learn(rule, learn, &risen.rises, at);
        }
    }

    fn learn(&mut self, rule: &DriftRule, learn: Learn, rises: &Rises, at: Timestamp) {
        if self.learnt.is_some() && learn.rolling.is_none() {
            return;
        }
        let is_new = self.learning.add(rule, at, rises);
        let age = self.age(at);
        if self.learnt.is_some() {
            if let Some(rolling) = learn.rolling.filter(|_| is_new) {
                self.learning.forget(at, rolling);
                let moved = self
                    .learning
                    .reference(rule, learn.season, rule.params.min_samples);
                self.learnt = moved.or_else(|| self.learnt.take());
            }
        } else if age >= learn.time {
            self.learnt = self
                .learning
                .reference(rule, learn.season, rule.params.min_samples);
            if self.learnt.is_some() {
                self.accepted = None;
                if learn.season == Season::None && learn.rolling.is_none() {
                    self.learning = Learning::default();
                }
            }
        }
    }

    fn age(&self, at: Timestamp) -> Duration {
        let since = self.learning.since();
        since.map_or(Duration::ZERO, |since| at.since(since))
    }

    /// The newest counts, and since when they are counted.
    fn newest(&self, rule: &DriftRule, at: Timestamp) -> (Rises, Timestamp) {
        let Some(least) = rule.at_least else {
            return (self.window.sum(), at - rule.window);
        };
        let (sum, since) = self
            .window
            .newest_sum(|sum| total(rule, sum) >= least as f64);
        (sum, since.unwrap_or(at))
    }

    /// Measures the window; `Err` of the outer result if it cannot be read.
    pub(super) fn measure(
        &self,
        rule: &DriftRule,
        drift: &mut Drift,
        labels: &Labels,
        at: Timestamp,
    ) -> Result<Outcome, String> {
        let (rises, since) = self.newest(rule, at);
        let current = rule.histogram(&rises)?;
        let reference = self.reference(rule, labels, Span { since, until: at });
        let window = at.since(since);
        let measured = drift.measure(&current, reference.as_ref(), window);
        Ok(measured.map_err(|mut evidence| {
            if reference.is_none() {
                evidence.learning = rule.reference.learn().is_some() && self.learnt.is_none();
                evidence.insufficient = Some(self.without_reference(rule, labels, at));
            }
            if let (Some(why), Some(note)) = (&mut evidence.insufficient, &self.note) {
                why.push_str("; ");
                why.push_str(note);
            }
            evidence
        }))
    }

    /// The reference that the rule gives, or that was learned.
    fn of_rule<'a>(&'a self, rule: &'a DriftRule, labels: &Labels) -> Option<&'a LearntReference> {
        match &rule.reference {
            Reference::Inline(given) => Some(given),
            Reference::File { series, .. } => {
                let found = series.iter().find(|(known, _)| known == labels);
                found.map(|(_, given)| given)
            }
            Reference::Learn(_) => self.learnt.as_ref(),
        }
    }

    fn reference(
        &self,
        rule: &DriftRule,
        labels: &Labels,
        window: Span,
    ) -> Option<LearntReference> {
        let of_rule = self.of_rule(rule, labels);
        if let Some(accepted) = &self.accepted
            && accepted.instead_of.as_ref() == of_rule
        {
            return Some(accepted.reference.clone());
        }
        let season = rule.reference.learn().map(|learn| learn.season);
        let season = season.filter(|season| *season != Season::None);
        match season {
            Some(season) => self.learning.at_the_time_of(window, season, of_rule?),
            None => of_rule.cloned(),
        }
    }

    /// Why there is no reference.
    fn without_reference(&self, rule: &DriftRule, labels: &Labels, at: Timestamp) -> String {
        match &rule.reference {
            Reference::Learn(_) if self.learnt.is_some() => {
                "the reference has no observations at this time of the season".to_owned()
            }
            Reference::Learn(learn) => self.progress(rule, learn.time, at),
            Reference::File { file, .. } => format!("{file} has no reference for {labels}"),
            Reference::Inline(_) => "there is no reference".to_owned(),
        }
    }

    /// How much of the reference has been learned, for people.
    fn progress(&self, rule: &DriftRule, time: Duration, at: Timestamp) -> String {
        let whole = |duration: Duration| format_duration(Duration::from_secs(duration.as_secs()));
        format!(
            "learning the reference for {} of {}, {:.0} observations of at least {}",
            whole(self.age(at).min(time)),
            whole(time),
            self.learning.total(rule),
            rule.params.min_samples
        )
    }

    /// The window is beyond the limit.
    pub(super) fn doubt(&mut self, rule: &DriftRule) {
        let learn = rule.reference.learn();
        if self.learnt.is_some() && learn.is_some_and(|learn| learn.rolling.is_some()) {
            self.learning.doubt();
        }
    }

    /// Takes the window for the reference. A rule that learns its reference begins to learn anew,
    /// and until it has, the window stands for it. Returns whether the window has enough
    /// observations.
    pub(super) fn accept(&mut self, rule: &DriftRule, labels: &Labels, at: Timestamp) -> bool {
        let (rises, since) = self.newest(rule, at);
        let counts = rule.histogram(&rises).map(|counted| counted.by_name());
        let window = counts
            .ok()
            .and_then(|counts| LearntReference::of(&counts, rule.params.min_samples));
        let Some(window) = window else {
            return false;
        };
        let span = Span { since, until: at };
        let before = self.reference(rule, labels, span);
        let spread = before.and_then(|before| before.spread());
        if rule.reference.learn().is_some() {
            self.learnt = None;
            self.learning = Learning::default();
        }
        self.accepted = Some(Accepted {
            reference: window.with_spread(spread),
            instead_of: self.of_rule(rule, labels).cloned(),
        });
        true
    }
}
