//! The time axis that all charts of a report share.

use std::fmt::Write as _;

use crate::cli::backtest::times::is_relative;
use crate::cli::replay::Replay;
use crate::metric::{Timestamp, format_duration};

/// Width of every chart.
pub(super) const WIDTH: f64 = 960.0;
/// Left margin, for the numbers beside a chart.
pub(super) const LEFT: f64 = 58.0;
/// Right margin, for marks at the edge.
const RIGHT: f64 = 10.0;
/// Maximum number of labels, not counting the first.
const MAX_TICKS: u64 = 8;
/// Round distances between labels, in seconds.
const STEPS: [u64; 15] = [
    1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
];

/// A time range, mapped to the width of a chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    start: Timestamp,
    end: Timestamp,
}

impl Axis {
    pub(super) fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// The axis of a whole replay.
    pub(super) fn of(replay: &Replay) -> Self {
        let (start, end) = replay.span.unwrap_or_default();
        Self::new(start, end)
    }

    pub(super) fn end(&self) -> Timestamp {
        self.end
    }

    /// The horizontal position of a time.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let span = self.end.since(self.start).as_secs_f64();
        let share = at.since(self.start).as_secs_f64() / span.max(f64::MIN_POSITIVE);
        LEFT + share.min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Draws labels below `height`, and a vertical line above each.
    pub(super) fn draw(&self, height: f64, out: &mut String) {
        let span = self.end.since(self.start).as_secs();
        let step = STEPS
            .into_iter()
            .find(|step| span / step <= MAX_TICKS)
            .unwrap_or(span / MAX_TICKS + 1);
        let step = i64::try_from(step * 1000).unwrap_or(i64::MAX);
        let first = self.start.as_millis().div_euclid(step) * step;
        for index in 0..=i64::try_from(MAX_TICKS).unwrap_or(0) + 1 {
            let at = Timestamp::from_millis(first.saturating_add(step.saturating_mul(index)));
            if at < self.start || at > self.end {
                continue;
            }
            let x = self.x(at);
            // Writing to a String cannot fail.
            write!(
                out,
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{height}\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                height + 14.0,
                label(at, step)
            )
            .ok();
        }
    }
}

/// The time of day, the date at midnight, or the time since the start if the replay has no dates.
fn label(at: Timestamp, step: i64) -> String {
    if is_relative(at) {
        return format_duration(at.since(Timestamp::default()));
    }
    let text = at.to_string();
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    if at.as_millis() % 86_400_000 == 0 {
        return day.get(5..).unwrap_or(day).to_owned();
    }
    let digits = if step % 60_000 == 0 { 5 } else { 8 };
    clock.get(..digits).unwrap_or(clock).to_owned()
}

#[cfg(test)]
mod tests {
    use super::Axis;
    use crate::metric::Timestamp;

    fn labels(start: i64, end: i64) -> Vec<String> {
        let millis = |seconds| Timestamp::from_millis(seconds * 1000);
        let mut svg = String::new();
        Axis::new(millis(start), millis(end)).draw(100.0, &mut svg);
        svg.split("middle\">")
            .skip(1)
            .map(|part| part.split('<').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn labels_are_round_times() {
        assert_eq!(labels(0, 600), ["0s", "5m", "10m"]);
        let day = labels(1_700_000_000, 1_700_086_400);
        assert_eq!(day.first().unwrap(), "11-15");
        assert_eq!(day.last().unwrap(), "21:00");
        assert_eq!(
            labels(1_700_000_000, 1_700_000_060).first().unwrap(),
            "22:13:30"
        );
        assert_eq!(labels(1_700_000_000, 1_700_000_000), ["22:13:20"]);
    }
}
