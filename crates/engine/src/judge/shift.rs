//! `shift`: detects small lasting shifts, with a guaranteed mean time between false alarms.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::normal::quantile;
use super::registry::Built;
use super::streaming::{Common, Core, Step, Streaming, TOO_FEW_SAMPLES};
use super::{
    Band, Level, Registry, Side, StrategyContext, ThresholdStrategy, Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{Direction, SplitMix64, Timestamp, rounded};

/// Bins of the ranks.
const BINS: usize = 64;
/// The shifts to detect, in standard deviations.
const SHIFTS: [f64; 8] = [0.25, 0.5, 1.0, 2.0, -0.25, -0.5, -1.0, -2.0];

section! {
    /// Small lasting shifts, with a guaranteed average time between false alarms.
    pub(super) struct ShiftParams {
        /// How many values lie between two false alarms on average.
        pub(super) budget: f64 = 40_320.0, at_least(10.0);
        /// How many values are learned before the first is judged.
        pub(super) warm_up: usize = 200, within(20.0, 100_000.0);
        /// Whether the dependence of a value on the one before it is removed.
        pub(super) whiten: bool = true;
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        pub(super) cooldown: Duration = Duration::ZERO;
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of the rule");
    }
}

/// A conformal e-detector (Shin, Ramdas and Rinaldo 2022, "E-detectors: a nonparametric framework
/// for sequential change detection"; Vovk et al. 2024) over binned ranks. O(64) time and memory.
///
/// The first half of the warm-up sets the bins and the AR(1) coefficient, the second half fills the
/// bins. After that the rank of a value among the earlier ones gives a p-value, which is uniform
/// while the values are exchangeable. With `z = −Φ⁻¹(p)`, `e = exp(δz − δ²/2)` has mean
/// 1, and the Shiryaev–Roberts sum `M ← (1 + M) e`, averaged over the shifts δ, takes at least
/// `budget` samples on average to reach `budget`. After an alarm it restarts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shift {
    seen: usize,
    first: Vec<f64>,
    edges: Vec<f64>,
    counts: Vec<f64>,
    total: f64,
    mean: f64,
    phi: f64,
    previous: f64,
    evidence: [f64; 8],
    /// Breaks ties; the same series always breaks them alike.
    ties: SplitMix64,
}

impl Shift {
    /// Sets the bins at the quantiles of the first values, after removing their AR(1) component.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    fn set_bins(&mut self, whiten: bool) {
        let n = self.first.len();
        self.mean = self.first.iter().sum::<f64>() / n as f64;
        let deviations: Vec<f64> = self.first.iter().map(|x| x - self.mean).collect();
        let square: f64 = deviations.iter().map(|d| d * d).sum();
        let lagged: f64 = deviations.windows(2).map(|pair| pair[0] * pair[1]).sum();
        if whiten && square > 0.0 {
            self.phi = (lagged / square).clamp(-0.999, 0.999);
        }
        let mut residuals: Vec<f64> = deviations
            .windows(2)
            .map(|pair| pair[1] - self.phi * pair[0])
            .collect();
        residuals.sort_by(f64::total_cmp);
        let at = |bin: usize| residuals[bin * (residuals.len() - 1) / BINS];
        self.edges = (1..BINS).map(at).collect();
        self.counts = vec![0.0; BINS];
        self.first = Vec::new();
    }

    fn residual(&mut self, x: f64) -> f64 {
        let deviation = x - self.mean;
        let residual = deviation - self.phi * self.previous;
        self.previous = deviation;
        residual
    }

    /// The p-value of a residual among the earlier ones; then counts it.
    fn p_value(&mut self, residual: f64) -> f64 {
        let bin = self.edges.partition_point(|edge| *edge < residual);
        let above: f64 = self.counts[bin + 1..].iter().sum();
        let p =
            (above + self.ties.next_open_unit() * (self.counts[bin] + 1.0)) / (self.total + 1.0);
        self.counts[bin] += 1.0;
        self.total += 1.0;
        p.clamp(1e-12, 1.0 - 1e-12)
    }
}

impl Core for Shift {
    const KIND: &'static str = "shift";
    const LEVEL: Level = Level::Unknown;
    type Params = ShiftParams;

    fn new(_params: &ShiftParams) -> Self {
        Self {
            seen: 0,
            first: Vec::new(),
            edges: Vec::new(),
            counts: Vec::new(),
            total: 0.0,
            mean: 0.0,
            phi: 0.0,
            previous: 0.0,
            evidence: [0.0; 8],
            ties: SplitMix64::new(0),
        }
    }

    fn band(&self, params: &ShiftParams, _at: Timestamp, _direction: Direction) -> Option<Band> {
        (self.seen >= params.warm_up).then_some(Band::about(self.mean))
    }

    fn recovered(&mut self, params: &Self::Params) {
        *self = Self::new(params);
    }

    fn assess(&mut self, params: &ShiftParams, step: Step) -> Verdict {
        self.seen += 1;
        let half = params.warm_up / 2;
        if self.seen <= half {
            self.first.push(step.x);
            if self.seen == half {
                self.previous = step.x;
                self.set_bins(params.whiten);
                self.previous -= self.mean;
            }
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        }
        let residual = self.residual(step.x);
        let p = self.p_value(residual);
        if self.seen <= params.warm_up {
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        }
        let z = -quantile(p);
        let (mut up, mut down) = (0.0, 0.0);
        let mut watched = 0;
        for (m, delta) in self.evidence.iter_mut().zip(SHIFTS) {
            if !Side::of(delta).is_watched(step.direction) {
                continue;
            }
            watched += 1;
            *m = ((1.0 + *m) * (delta * z - delta * delta / 2.0).exp()).min(1e200);
            *(if delta > 0.0 { &mut up } else { &mut down }) += *m;
        }
        let evidence = (up + down) / f64::from(watched.max(1));
        let score = evidence.max(1.0).ln() / params.budget.ln();
        let side = if down > up { Side::Below } else { Side::Above };
        let band = Band::about(self.mean);
        let verdict = Verdict::judged(score, Some(side), band, || {
            let (word, mean) = (side.as_str(), self.mean);
            Cow::Owned(format!(
                "values have been ranked {word} the earlier ones (mean {} at the start) for too long to be chance",
                rounded(mean)
            ))
        });
        if verdict.is_anomalous() {
            let ties = self.ties;
            *self = Self::new(params);
            self.ties = ties;
        }
        verdict
    }

    fn fits(&self, params: &ShiftParams) -> Result<(), &'static str> {
        let learning =
            self.edges.is_empty() && self.counts.is_empty() && self.seen < params.warm_up / 2;
        let ready = self.edges.len() == BINS - 1
            && self.counts.len() == BINS
            && self.seen >= params.warm_up / 2;
        if learning || ready {
            Ok(())
        } else {
            Err("warm_up")
        }
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<ShiftParams, _>(map, |params, _| {
        let common = Common::new(context, params.direction, params.cooldown);
        Box::new(Streaming::<Shift>::new(params, common)) as Box<dyn ThresholdStrategy>
    })
}

#[cfg(test)]
mod tests {
    use super::{Core, Shift, ShiftParams};

    #[test]
    fn the_bins_are_those_of_the_residuals_of_the_ar_model() {
        let params = ShiftParams {
            budget: 40_320.0,
            warm_up: 200,
            whiten: true,
            ..ShiftParams::default()
        };
        let mut shift = Shift::new(&params);
        shift.first = [2.0, -2.0].repeat(50);
        shift.set_bins(true);
        // For 100 deviations of ±2 with alternating signs φ is -99/100, which leaves a hundredth
        // of each.
        assert!((shift.phi + 0.99).abs() < 1e-12);
        let ends = [shift.edges[0], shift.edges[62]];
        assert!((ends[0] + 0.02).abs() < 1e-12 && (ends[1] - 0.02).abs() < 1e-12);
        assert!(shift.edges.iter().all(|edge| edge.abs() < 0.021));
    }
}
