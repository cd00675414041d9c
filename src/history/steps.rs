//! Replays a recording tick by tick.

use std::io::Write as _;
use std::time::Duration;

use super::recording::{Column, Role};
use super::{Recording, Step};
use crate::metric::Timestamp;
use crate::scrape::{self, Exposition};

/// The scrapes of all targets of a recording, at every step.
///
/// A scrape at `at` contains the newest sample of each series that is not older than the step, or
/// than the scrape interval if that is longer. A sample that is up to a twentieth of a step late
/// still counts. A step without samples between two samples of a target is a failed scrape; before
/// the first and after the last sample of a target its scrapes are empty.
#[derive(Debug)]
pub struct Steps {
    recording: Recording,
    cursors: Vec<usize>,
    /// First and last sample of each target.
    lifetimes: Vec<Option<(i64, i64)>>,
    /// Time of the next step; all times are in milliseconds.
    next: i64,
    end: i64,
    step: i64,
    /// Maximum age of a sample.
    max_age: i64,
    /// How late a sample may be.
    max_delay: i64,
}

impl Steps {
    /// Steps from `start` to `end`, both included.
    #[must_use]
    pub fn new(
        mut recording: Recording,
        (start, end): (Timestamp, Timestamp),
        step: Duration,
    ) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let sampled = recording.interval().map_or(0, millis);
        recording.sort();
        let step = millis(step).max(1);
        Self {
            cursors: vec![0; recording.columns.len()],
            lifetimes: lifetimes(&recording),
            next: start.as_millis(),
            end: end.as_millis(),
            step,
            // Series with a longer interval than the step live until their next sample, which may
            // be late.
            max_age: if sampled > step {
                sampled + sampled / 20
            } else {
                step
            },
            max_delay: step / 20,
            recording,
        }
    }

    /// The number of remaining steps.
    #[must_use]
    pub fn remaining(&self) -> usize {
        let steps = (self.end - self.next).div_euclid(self.step) + 1;
        usize::try_from(steps).unwrap_or(0)
    }

    fn scrapes(&mut self, at: i64) -> Vec<Result<Exposition, scrape::Error>> {
        let time = Timestamp::from_millis(at);
        let targets = self.recording.targets.len();
        let mut bodies: Vec<Vec<u8>> = vec![Vec::new(); targets];
        let mut states = vec![TargetState::default(); targets];
        for (column, cursor) in self.recording.columns.iter().zip(&mut self.cursors) {
            let Some(value) = newest(column, cursor, at + self.max_delay, at - self.max_age) else {
                continue;
            };
            let state = &mut states[column.target];
            state.has_samples = true;
            match column.role {
                Role::Up => state.down = value == 0.0,
                Role::Duration => state.duration = value,
                Role::Sample => {
                    let body = &mut bodies[column.target];
                    body.extend_from_slice(&column.head);
                    write_value(body, value);
                }
                Role::Ignored => {}
            }
        }
        bodies
            .into_iter()
            .zip(states)
            .zip(&self.lifetimes)
            .map(|((body, state), lifetime)| {
                let alive = lifetime.is_some_and(|(first, last)| first < at && at < last);
                if state.down || (!state.has_samples && alive) {
                    let message = "the target did not answer at this time";
                    return Err(scrape::Error::Producer(message.to_owned()));
                }
                let mut exposition = Exposition::text(body, time);
                exposition.duration =
                    Duration::try_from_secs_f64(state.duration).unwrap_or_default();
                Ok(exposition)
            })
            .collect()
    }
}

/// The state of one target at one step.
#[derive(Debug, Clone, Copy, Default)]
struct TargetState {
    has_samples: bool,
    /// `up` is 0.
    down: bool,
    /// Duration of the scrape in seconds.
    duration: f64,
}

impl Iterator for Steps {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.next > self.end {
            return None;
        }
        let at = self.next;
        self.next += self.step;
        Some(Step {
            at: Timestamp::from_millis(at),
            scrapes: self.scrapes(at),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining(), Some(self.remaining()))
    }
}

/// The first and last sample of each target.
fn lifetimes(recording: &Recording) -> Vec<Option<(i64, i64)>> {
    let mut lifetimes: Vec<Option<(i64, i64)>> = vec![None; recording.targets.len()];
    for column in &recording.columns {
        let (Some(first), Some(last)) = (column.points.first(), column.points.last()) else {
            continue;
        };
        let lifetime = lifetimes[column.target].get_or_insert((first.0, last.0));
        *lifetime = (lifetime.0.min(first.0), lifetime.1.max(last.0));
    }
    lifetimes
}

/// The newest value up to `until` and after `since`.
fn newest(column: &Column, cursor: &mut usize, until: i64, since: i64) -> Option<f64> {
    while column
        .points
        .get(*cursor)
        .is_some_and(|(at, _)| *at <= until)
    {
        *cursor += 1;
    }
    let (at, value) = column.points.get(cursor.checked_sub(1)?)?;
    (*at > since).then_some(*value)
}

/// Writes a value and a newline. Most values are whole numbers, which are faster to write and parse
/// as integers.
fn write_value(body: &mut Vec<u8>, value: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "whole and small enough")]
    let written = if value.fract() == 0.0 && value.abs() < 1e15 {
        writeln!(body, "{}", value as i64)
    } else if value.is_infinite() {
        body.write_all(if value > 0.0 { b"+Inf\n" } else { b"-Inf\n" })
    } else {
        writeln!(body, "{value}")
    };
    // Writing to memory cannot fail.
    written.ok();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Steps;
    use crate::history::Recording;
    use crate::metric::{Labels, Timestamp};

    fn body(steps: &mut Steps, target: usize) -> Result<String, String> {
        let step = steps.next().unwrap();
        let scrape = step.scrapes.into_iter().nth(target).unwrap();
        let body = scrape.map(|e| String::from_utf8_lossy(&e.body).into_owned());
        body.map_err(|error| error.to_string())
    }

    type Points<'a> = &'a [(i64, f64)];

    fn steps(series: &[(&Labels, Points<'_>)], end: i64) -> Steps {
        let mut recording = Recording::default();
        for (labels, points) in series {
            let column = recording.column(labels);
            for (at, value) in *points {
                recording.push(column, Timestamp::from_millis(*at), *value);
            }
        }
        let span = (Timestamp::default(), Timestamp::from_millis(end));
        Steps::new(recording, span, Duration::from_secs(15))
    }

    #[test]
    fn a_late_scrape_counts_and_a_missing_one_fails() {
        let x = Labels::named("x", [("a", "b")]);
        let points = [(3, 1.0), (15_005, 2.5), (29_990, 3.0), (60_000, 5.0)];
        let mut steps = steps(&[(&x, &points)], 60_000);
        assert_eq!(steps.remaining(), 5);
        for expected in ["x{a=\"b\"} 1\n", "x{a=\"b\"} 2.5\n", "x{a=\"b\"} 3\n"] {
            assert_eq!(body(&mut steps, 0).unwrap(), expected);
        }
        assert!(body(&mut steps, 0).is_err(), "nothing at 45 s");
        assert_eq!(body(&mut steps, 0).unwrap(), "x{a=\"b\"} 5\n");
        assert!(steps.next().is_none());
    }

    #[test]
    fn a_target_is_down_when_up_is_0_and_empty_outside_its_lifetime() {
        let label = |name: &str, instance: &str| Labels::named(name, [("instance", instance)]);
        let (up, x, y) = (label("up", "a"), label("x", "a"), label("x", "b"));
        let mut steps = steps(
            &[
                (&up, &[(0, 1.0), (15_000, 0.0), (30_000, 1.0)]),
                (&x, &[(0, 1.0), (15_000, 1.0), (30_000, f64::INFINITY)]),
                (&y, &[(30_000, 7.0)]),
            ],
            30_000,
        );
        let first = steps.next().unwrap();
        assert_eq!(&*first.scrapes[0].as_ref().unwrap().body, b"x 1\n");
        assert!(first.scrapes[1].as_ref().unwrap().body.is_empty());
        let second = steps.next().unwrap();
        assert!(second.scrapes[0].is_err() && second.scrapes[1].is_ok());
        let third = steps.next().unwrap();
        assert_eq!(&*third.scrapes[0].as_ref().unwrap().body, b"x +Inf\n");
        assert_eq!(&*third.scrapes[1].as_ref().unwrap().body, b"x 7\n");
    }
}
