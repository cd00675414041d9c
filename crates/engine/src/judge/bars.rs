//! Bars of five minutes, and by how much one exceeds the records of all earlier ones.

use serde::{Deserialize, Serialize};

use super::record::{Record, watched};
use super::season::{Period, Season};
use crate::metric::{Direction, Timestamp};

/// The length of a bar in milliseconds.
const LENGTH: i64 = 300_000;
/// Bars that are learned before records are kept.
const WARM_UP: u32 = 100;

/// A sample, and what is known about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) at: Timestamp,
    pub(super) x: f64,
    /// How far the value is from the level, on either side.
    pub(super) distance: f64,
    /// Milliseconds since the sample before; 0 at the first one.
    pub(super) since_last: i64,
}

/// The bar that is being filled. Its value is that of its sample furthest from the level.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Bar {
    number: i64,
    x: f64,
    distance: f64,
}

/// The records of bars: of their value, of the extremes of five bars, and of their residuals from
/// the hour of the day and of the week.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bars {
    bar: Option<Bar>,
    ended: u32,
    /// The values of the last four bars.
    last: [f64; 4],
    value: Record,
    lows: Record,
    highs: Record,
    day: Residual,
    week: Residual,
}

/// Records of a seasonal residual and of the mean of its last three.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Residual {
    season: Season,
    one: Record,
    three: Record,
    last: [f64; 2],
}

/// Appends a value and drops the oldest.
fn shift<const N: usize>(last: &mut [f64; N], x: f64) {
    last.rotate_left(1);
    last[N - 1] = x;
}

impl Residual {
    fn new(period: Period, rate: f64) -> Self {
        Self {
            season: Season::new(period, rate),
            one: Record::default(),
            three: Record::default(),
            last: [0.0; 2],
        }
    }

    fn mean_with(&self, residual: f64) -> f64 {
        (self.last[0] + self.last[1] + residual) / 3.0
    }

    fn excess(&self, at: Timestamp, x: f64, direction: Direction) -> f64 {
        let residual = x - self.season.expected(at);
        watched(direction, self.one.excess(residual))
            + watched(direction, self.three.excess(self.mean_with(residual)))
    }

    fn learn(&mut self, at: Timestamp, x: f64, is_warm: bool) {
        let residual = self.season.residual(at, x);
        if is_warm {
            self.one.take(residual);
            self.three.take(self.mean_with(residual));
        }
        shift(&mut self.last, residual);
    }
}

impl Bars {
    pub(super) fn new() -> Self {
        Self {
            bar: None,
            ended: 0,
            last: [0.0; 4],
            value: Record::default(),
            lows: Record::default(),
            highs: Record::default(),
            day: Residual::new(Period::Day, 0.1),
            week: Residual::new(Period::Week, 0.2),
        }
    }

    /// The novelty of the bar that ends with this sample; 0 if none does, or too few ended before.
    pub(super) fn novelty(&self, point: Point, direction: Direction) -> f64 {
        if !ends(point) || !self.is_warm() {
            return 0.0;
        }
        let Bar { number, x, .. } = self.with(point);
        let (low, high) = self.extremes(x);
        let lasting = (self.lows.excess(low).0, self.highs.excess(high).1);
        let start = start(number);
        watched(direction, self.value.excess(x))
            + 0.5 * watched(direction, lasting)
            + 0.5 * self.day.excess(start, x, direction)
            + 0.5 * self.week.excess(start, x, direction)
    }

    /// Adds a sample to its bar; learns the bar if it ends.
    pub(super) fn learn(&mut self, point: Point) {
        let bar = self.with(point);
        self.bar = Some(bar);
        if !ends(point) {
            return;
        }
        self.bar = None;
        let is_warm = self.is_warm();
        self.ended = self.ended.saturating_add(1);
        let (low, high) = self.extremes(bar.x);
        if is_warm {
            self.value.take(bar.x);
            self.lows.take(low);
            self.highs.take(high);
        }
        shift(&mut self.last, bar.x);
        let start = start(bar.number);
        self.day.learn(start, bar.x, is_warm);
        self.week.learn(start, bar.x, is_warm);
    }

    /// Whether a restored state has the hours of its periods.
    pub(super) fn is_intact(&self) -> bool {
        self.day.season.is_intact() && self.week.season.is_intact()
    }

    /// The bytes of its state on the heap.
    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.day.season.heap() + self.week.season.heap()
    }

    fn is_warm(&self) -> bool {
        self.ended >= WARM_UP
    }

    /// The bar of this sample, with the sample.
    fn with(&self, point: Point) -> Bar {
        let number = point.at.as_millis().div_euclid(LENGTH);
        let further = |bar: &Bar| bar.number == number && bar.distance >= point.distance;
        self.bar.filter(further).unwrap_or(Bar {
            number,
            x: point.x,
            distance: point.distance,
        })
    }

    /// The least and greatest value of the last five bars, of which the last has the value `x`.
    fn extremes(&self, x: f64) -> (f64, f64) {
        let last = self.last.iter();
        last.fold((x, x), |(low, high), y| (low.min(*y), high.max(*y)))
    }
}

/// When a bar starts.
fn start(number: i64) -> Timestamp {
    Timestamp::from_millis(number.saturating_mul(LENGTH))
}

/// Whether the next sample, expected after as long as this one, belongs to another bar.
fn ends(point: Point) -> bool {
    let at = point.at.as_millis();
    let next = at.saturating_add(point.since_last);
    point.since_last > 0 && next.div_euclid(LENGTH) != at.div_euclid(LENGTH)
}
