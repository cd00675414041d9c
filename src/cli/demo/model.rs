//! A model server in miniature: it answers imaginary requests and counts them as a real one would.

use std::fmt::Write as _;

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 10] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Upper bounds of the histogram of prediction scores.
const SCORE_BOUNDS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
/// Requests a second.
const RATE: f64 = 120.0;

/// How the model behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// About 40 ms at the median, 96 % right, scores towards 1.
    Good,
    /// Three times as slow, 74 % right, scores in the middle.
    Degraded,
}

/// A cumulative histogram as a client library keeps it.
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

/// The model and its counters; the same seed gives the same story.
#[derive(Debug, Clone)]
pub(super) struct Model {
    random: Random,
    owed: f64,
    latency: Histogram,
    scores: Histogram,
    predictions: u64,
    correct: u64,
}

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            owed: 0.0,
            latency: Histogram::new(&LATENCY_BOUNDS),
            scores: Histogram::new(&SCORE_BOUNDS),
            predictions: 0,
            correct: 0,
        }
    }

    /// Serves the requests of this many seconds.
    pub(super) fn serve(&mut self, seconds: f64, health: Health) {
        self.owed += RATE * seconds.clamp(0.0, 60.0);
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            self.answer(health);
        }
    }

    fn answer(&mut self, health: Health) {
        let (median, right, score) = match health {
            Health::Good => (0.04, 0.96, 0.82),
            Health::Degraded => (0.13, 0.74, 0.55),
        };
        let latency = median * (0.45 * self.random.normal()).exp();
        self.latency.observe(latency);
        self.scores
            .observe((score + 0.12 * self.random.normal()).clamp(0.0, 1.0));
        self.predictions += 1;
        self.correct += u64::from(self.random.uniform() < right);
    }

    /// The text of `/metrics`.
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

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough for a demonstration.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Box–Muller, one of the pair.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
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
