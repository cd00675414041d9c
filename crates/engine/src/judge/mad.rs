//! `mad`: rolling median and median absolute deviation.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::Built;
use super::streaming::{COOLDOWN, Common, Core, Step, Streaming, TOO_FEW_SAMPLES};
use super::{
    Band, Level, Registry, Side, StrategyContext, ThresholdStrategy, Verdict, read_params,
};
use crate::describe::{Node, section};
use crate::metric::{Direction, Timestamp, rounded};

/// The standard deviation of a normal distribution over its median absolute deviation:
/// `1/Φ⁻¹(3/4)`.
pub(super) const TO_SIGMA: f64 = 1.482_602_218_505_602;

section! {
    /// A rolling median and median absolute deviation.
    #[check(check)]
    pub(super) struct MadParams {
        /// How many values are remembered.
        pub(super) window: usize = 300, within(5.0, 100_000.0);
        /// How many values are learned before the first is judged; at most the window.
        pub(super) warm_up: usize = 50,
            within(3.0, 100_000.0), default_text("`50`, or the window when that is shorter");
        /// Half the width of the band, in standard deviations.
        pub(super) k_sigma: f64 = 6.0, above(0.0);
        /// Least standard deviation, in the unit of the value.
        pub(super) min_deviation: f64 = 1e-9, above(0.0);
        /// Least standard deviation as a share of the median, added to `min_deviation`.
        pub(super) min_relative_deviation: f64 = 1e-3, at_least(0.0);
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        pub(super) cooldown: Duration = COOLDOWN;
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of the rule");
    }
}

/// The last `window` values, in order of time and sorted. O(log n) comparisons and one short move
/// per sample; 16 bytes per value.
///
/// A new level becomes normal once it fills half the window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mad {
    recent: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Mad {
    /// The median of the window; the mean of the middle two if their number is even.
    fn median(&self) -> f64 {
        let n = self.sorted.len();
        (self.sorted[(n - 1) / 2] + self.sorted[n / 2]) / 2.0
    }

    /// The standard deviation, estimated from the MAD, or from the mean square if the MAD is 0
    /// because more than half of the values are equal.
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

    /// The median and the standard deviation, at least the configured minimum.
    fn centre(&self, params: &MadParams) -> (f64, f64) {
        let median = self.median();
        let floor = params.min_deviation + params.min_relative_deviation * median.abs();
        (median, self.sigma(median).max(floor))
    }

    fn remember(&mut self, window: usize, x: f64) {
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

/// The median of `|x − centre|` over sorted values, by bisection: the nearest `k` values are
/// always consecutive.
pub(super) fn median_distance(sorted: &[f64], centre: f64) -> f64 {
    let n = sorted.len();
    let kth = |k: usize| {
        // The k+1 nearest values are `low..=low + k`: find the `low` at which both ends are about
        // equally far away.
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
    const LEVEL: Level = Level::Learned;
    type Params = MadParams;

    fn new(_params: &MadParams) -> Self {
        Self {
            recent: VecDeque::new(),
            sorted: Vec::new(),
        }
    }

    fn band(&self, params: &MadParams, _at: Timestamp, direction: Direction) -> Option<Band> {
        if self.recent.len() < params.warm_up {
            return None;
        }
        let (median, sigma) = self.centre(params);
        Some(Band::around(median, params.k_sigma * sigma, direction))
    }

    fn assess(&mut self, params: &MadParams, step: Step) -> Verdict {
        if self.recent.len() < params.warm_up {
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        }
        let (median, sigma) = self.centre(params);
        let nearest = step.weighed.nearest(median);
        let side = Side::of(nearest - median);
        let z = (nearest - median).abs() / sigma;
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
                step.weighed.shown(),
                rounded(median)
            ))
        })
    }

    fn learn(&mut self, params: &MadParams, step: Step) {
        self.remember(params.window, step.x);
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
}

/// The warm-up fits into the window.
fn check(params: &mut MadParams, node: &Node<'_>) {
    let (window, warm_up) = (params.window, params.warm_up);
    if warm_up > window && node.has("warm_up") {
        let message = format!("must not be longer than the window {window}, got {warm_up}");
        node.problem_below("warm_up", message);
    }
    params.warm_up = warm_up.min(window);
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<MadParams, _>(map, |params, _| {
        let common = Common::new(context, params.direction, params.cooldown);
        Box::new(Streaming::<Mad>::new(params, common)) as Box<dyn ThresholdStrategy>
    })
}
