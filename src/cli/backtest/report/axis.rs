//! The axis of time that all charts of a report share.

use std::fmt::Write as _;
use std::time::Duration;

use crate::metric::{Timestamp, format_duration};

/// Width of every chart.
pub(super) const WIDTH: f64 = 960.0;
/// Room for the numbers beside a chart.
pub(super) const LEFT: f64 = 58.0;
/// Room for the mark of what is at the edge.
const RIGHT: f64 = 10.0;
/// Most labels below a chart.
const TICKS: u64 = 8;
/// Distances of labels that people can read, in seconds.
const STEPS: [u64; 15] = [
    1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
];

/// From when to when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    start: Timestamp,
    end: Timestamp,
}

impl Axis {
    pub(super) fn new((start, end): (Timestamp, Timestamp)) -> Self {
        Self { start, end }
    }

    pub(super) fn end(&self) -> Timestamp {
        self.end
    }

    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let span = self.end.since(self.start).as_secs_f64();
        let share = at.since(self.start).as_secs_f64() / span.max(f64::MIN_POSITIVE);
        LEFT + share.min(1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Labels below `height`, with a line through the chart above each.
    pub(super) fn draw(&self, height: f64, out: &mut String) {
        let span = self.end.since(self.start).as_secs();
        let fits = STEPS.iter().find(|step| span / **step <= TICKS);
        let step = fits.copied().unwrap_or(span / TICKS + 1) * 1000;
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let first = self.start.as_millis().div_euclid(step) * step;
        for index in 0..=i64::try_from(TICKS).unwrap_or(0) + 1 {
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

/// The time of day; the day where it begins; the time since the start where the times are no dates.
fn label(at: Timestamp, step: i64) -> String {
    if at.as_millis() < 2 * 86_400_000 {
        return format_duration(at.since(Timestamp::default()));
    }
    let text = at.to_string();
    let (day, clock) = text.split_once('T').unwrap_or((&text, ""));
    let midnight = Duration::from_millis(at.as_millis().unsigned_abs() % 86_400_000).is_zero();
    if midnight {
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
        Axis::new((millis(start), millis(end))).draw(100.0, &mut svg);
        let parts = svg.split("middle\">").skip(1);
        parts
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
