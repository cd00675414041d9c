//! A simulated model server: it answers simulated requests and counts them as a real one would.

use std::fmt::Write as _;

use crate::metric::SplitMix64;

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 10] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Upper bounds of the histogram of prediction scores.
const SCORE_BOUNDS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
/// Requests per second.
const RATE: f64 = 120.0;

/// How the model behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// Median latency 40 ms, accuracy 96 %, scores near 0.8.
    Good,
    /// Median latency 130 ms, accuracy 74 %, scores near 0.55.
    Degraded,
}

/// A cumulative histogram, as in a client library.
#[derive(Debug, Clone)]
struct Histogram {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            sum: 0.0,
            count: 0,
        }
    }

    fn observe(&mut self, value: f64) {
        for (count, bound) in self.counts.iter_mut().zip(self.bounds) {
            *count += u64::from(value <= *bound);
        }
        self.sum += value;
        self.count += 1;
    }

    fn write(&self, name: &str, help: &str, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram")?;
        for (count, bound) in self.counts.iter().zip(self.bounds) {
            writeln!(
                out,
                "{name}_bucket{{model_name=\"demo\",le=\"{bound:?}\"}} {count}"
            )?;
        }
        writeln!(
            out,
            "{name}_bucket{{model_name=\"demo\",le=\"+Inf\"}} {}",
            self.count
        )?;
        writeln!(out, "{name}_sum{{model_name=\"demo\"}} {}", self.sum)?;
        writeln!(out, "{name}_count{{model_name=\"demo\"}} {}", self.count)
    }
}

/// The model and its counters. The same seed gives the same values.
#[derive(Debug, Clone)]
pub(super) struct Model {
    random: SplitMix64,
    /// Requests that have arrived and are not answered; a fraction is kept for the next call.
    pending: f64,
    latency: Histogram,
    scores: Histogram,
    predictions: u64,
    correct: u64,
}

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: SplitMix64::new(seed),
            pending: 0.0,
            latency: Histogram::new(&LATENCY_BOUNDS),
            scores: Histogram::new(&SCORE_BOUNDS),
            predictions: 0,
            correct: 0,
        }
    }

    /// Answers the requests of this many seconds, at most 60.
    pub(super) fn serve(&mut self, seconds: f64, health: Health) {
        self.pending += RATE * seconds.clamp(0.0, 60.0);
        while self.pending >= 1.0 {
            self.pending -= 1.0;
            self.answer(health);
        }
    }

    fn answer(&mut self, health: Health) {
        let (median, right, score) = match health {
            Health::Good => (0.04, 0.96, 0.82),
            Health::Degraded => (0.13, 0.74, 0.55),
        };
        let latency = median * (0.45 * normal(&mut self.random)).exp();
        self.latency.observe(latency);
        self.scores
            .observe((score + 0.12 * normal(&mut self.random)).clamp(0.0, 1.0));
        self.predictions += 1;
        self.correct += u64::from(self.random.next_unit() < right);
    }

    /// The metrics in the text format.
    pub(super) fn exposition(&self) -> String {
        let mut out = String::with_capacity(4096);
        // Writing to a String cannot fail.
        let written = self.write(&mut out);
        debug_assert!(written.is_ok());
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        self.latency
            .write("request_latency_seconds", "Time to answer a request.", out)?;
        self.scores
            .write("prediction_score", "Score of the predicted class.", out)?;
        for (name, help, value) in [
            (
                "predictions_total",
                "Predictions whose truth is known.",
                self.predictions,
            ),
            (
                "predictions_correct_total",
                "Predictions that were right.",
                self.correct,
            ),
        ] {
            writeln!(
                out,
                "# HELP {name} {help}\n# TYPE {name} counter\n{name}{{model_name=\"demo\"}} {value}"
            )?;
        }
        Ok(())
    }
}

/// A standard normal number by the Box–Muller transform.
fn normal(random: &mut SplitMix64) -> f64 {
    let radius = (-2.0 * (1.0 - random.next_unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.next_unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::{Health, Model, RATE};

    #[test]
    fn a_degraded_model_is_slower_and_wrong_more_often() {
        let share = |health| {
            let mut model = Model::new(7);
            model.serve(60.0, health);
            assert_eq!(model.predictions, (60.0 * RATE) as u64);
            let slow = 1.0 - model.latency.counts[4] as f64 / model.latency.count as f64;
            (model.correct as f64 / model.predictions as f64, slow)
        };
        let (good, good_slow) = share(Health::Good);
        let (bad, bad_slow) = share(Health::Degraded);
        assert!(good > 0.94 && bad < 0.78, "{good} {bad}");
        assert!(good_slow < 0.05 && bad_slow > 0.5, "{good_slow} {bad_slow}");
    }

    #[test]
    fn the_exposition_has_cumulative_buckets() {
        let mut model = Model::new(1);
        model.serve(1.0, Health::Good);
        let text = model.exposition();
        assert!(
            text.contains("request_latency_seconds_bucket{model_name=\"demo\",le=\"+Inf\"} 120")
        );
        assert!(text.contains("predictions_total{model_name=\"demo\"} 120"));
    }
}
