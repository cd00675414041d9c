//! `mad`: rolling median and median absolute deviation.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::Built;
use super::streaming::{Common, Core, Step, Streaming};
use super::{Band, Params, Registry, Side, StrategyContext, Verdict};
use crate::metric::rounded;

/// Median absolute deviation to standard deviation of a normal distribution: `1/Φ⁻¹(3/4)`.
pub(super) const TO_SIGMA: f64 = 1.482_602_218_505_602;

#[derive(Debug, Clone)]
pub(super) struct MadParams {
    window: usize,
    warm_up: usize,
    k_sigma: f64,
    min_deviation: f64,
    min_relative_deviation: f64,
}

/// Keeps the last `window` values, also sorted. O(log n) comparisons and one short move per sample; 16 bytes per value.
///
/// A level shift is the new normal once it fills half the window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mad {
    recent: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Mad {
    /// Median of the window; of an even number of values the mean of the middle two.
    fn median(&self) -> f64 {
        let n = self.sorted.len();
        (self.sorted[(n - 1) / 2] + self.sorted[n / 2]) / 2.0
    }

    /// Standard deviation estimated by the MAD, or, when more than half the values are equal, by the mean square.
    #[expect(clippy::cast_precision_loss, reason = "a window's length")]
    fn sigma(&self, median: f64) -> f64 {
        let mad = median_distance(&self.sorted, median);
        if mad > 0.0 {
            return TO_SIGMA * mad;
        }
        let squares: f64 = self
            .sorted
            .iter()
            .map(|x| (x - median) * (x - median))
            .sum();
        (squares / self.sorted.len() as f64).sqrt()
    }

    fn learn(&mut self, window: usize, x: f64) {
        if self.recent.len() >= window
            && let Some(old) = self.recent.pop_front()
        {
            let place = self.sorted.partition_point(|y| *y < old);
            self.sorted.remove(place);
        }
        self.recent.push_back(x);
        let place = self.sorted.partition_point(|y| *y < x);
        self.sorted.insert(place, x);
    }
}

/// The median of `|x − centre|` over sorted values: the distances fall and then rise, so the middle ones are found by two
/// pointers that walk outwards from a place found by bisection.
pub(super) fn median_distance(sorted: &[f64], centre: f64) -> f64 {
    let n = sorted.len();
    let kth = |k: usize| {
        // The k+1 nearest values are the window [low, low+k]: move it until its far ends balance.
        let (mut low, mut high) = (0, n - 1 - k);
        while low < high {
            let middle = usize::midpoint(low, high);
            if centre - sorted[middle] > sorted[middle + k + 1] - centre {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (centre - sorted[low])
            .abs()
            .max((sorted[low + k] - centre).abs())
    };
    if n % 2 == 1 {
        kth(n / 2)
    } else {
        (kth(n / 2 - 1) + kth(n / 2)) / 2.0
    }
}

impl Core for Mad {
    const KIND: &'static str = "mad";
    type Params = MadParams;

    fn new(_params: &MadParams) -> Self {
        Self {
            recent: VecDeque::new(),
            sorted: Vec::new(),
        }
    }

    fn step(&mut self, params: &MadParams, step: Step) -> Verdict {
        if self.recent.len() < params.warm_up {
            self.learn(params.window, step.x);
            return Verdict::warming_up("too few samples were seen");
        }
        let median = self.median();
        let floor = params.min_deviation + params.min_relative_deviation * median.abs();
        let sigma = self.sigma(median).max(floor);
        self.learn(params.window, step.x);
        let side = Side::of(step.x - median);
        let z = (step.x - median).abs() / sigma;
        let score = if side.is_watched(step.direction) {
            z / params.k_sigma
        } else {
            0.0
        };
        let band = Band::around(median, params.k_sigma * sigma, step.direction);
        Verdict::judged(score, Some(side), band, || {
            let word = side.as_str();
            Cow::Owned(format!(
                "{} is {z:.1} robust standard deviations {word} the median {}",
                rounded(step.x),
                rounded(median)
            ))
        })
    }

    fn fits(&self, params: &MadParams) -> Result<(), &'static str> {
        let same = self.recent.len() == self.sorted.len() && self.recent.len() <= params.window;
        let ordered = self.sorted.is_sorted();
        let mut values: Vec<f64> = self.recent.iter().copied().collect();
        values.sort_by(f64::total_cmp);
        if same && ordered && values == self.sorted {
            Ok(())
        } else {
            Err("window")
        }
    }

    fn heap(&self) -> usize {
        (self.recent.capacity() + self.sorted.capacity()) * size_of::<f64>()
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    let mut params = Params::new(map);
    let window = params.count("window", 300, 5..=100_000);
    let warm_up = params.count("warm_up", window.min(50), 3..=100_000);
    if warm_up > window {
        params.problem(
            "warm_up",
            format!("must not be longer than the window {window}, got {warm_up}"),
        );
    }
    let read = MadParams {
        window: window as usize,
        warm_up: warm_up as usize,
        k_sigma: params.positive("k_sigma", 6.0),
        min_deviation: params.positive("min_deviation", 1e-9),
        min_relative_deviation: params.not_negative("min_relative_deviation", 1e-3),
    };
    let common = Common {
        direction: params.direction(context.direction),
        interval: context.interval,
        cooldown: params.count("cooldown", 5, 0..=100_000),
    };
    params.finish(Box::new(Streaming::<Mad>::new(read, common)))
}
