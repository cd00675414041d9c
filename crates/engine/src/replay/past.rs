//! A server's results for a range, step by step.

use std::time::Duration;

use crate::metric::{Labels, Timestamp};
use crate::monitor::Results;

/// The values of one series, by time.
pub type Points = Vec<(Timestamp, f64)>;

/// Series with their points, or the error.
pub type RangeAnswer = Result<Vec<(Labels, Points)>, String>;

/// A server's results for a range, by the expression as written.
#[derive(Debug, Default)]
pub struct Answers(Vec<(String, RangeAnswer)>);

impl Answers {
    /// Adds the result of an expression.
    pub fn put(&mut self, written: String, answer: RangeAnswer) {
        self.0.push((written, answer));
    }

    /// The number of samples in all results.
    #[must_use]
    pub fn samples(&self) -> usize {
        let series = self
            .0
            .iter()
            .flat_map(|(_, answer)| answer.iter().flatten());
        series.map(|(_, points)| points.len()).sum()
    }

    /// The expressions that the server refused, with the errors.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(written, answer)| {
            Some((written.as_str(), answer.as_ref().err()?.as_str()))
        })
    }

    /// Whether the server refused every expression.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, answer)| answer.is_err())
    }
}

/// The steps of a range with the server's results for each.
#[derive(Debug)]
pub struct Past {
    answers: Answers,
    /// The next point of each series, by answer.
    cursors: Vec<Vec<usize>>,
    next: Timestamp,
    end: Timestamp,
    step: Duration,
}

impl Past {
    /// The steps from `start` to `end`, both included, oldest first.
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp, step: Duration, answers: Answers) -> Self {
        let series = answers.0.iter();
        Self {
            cursors: series
                .map(|(_, answer)| vec![0; answer.as_ref().map_or(0, Vec::len)])
                .collect(),
            next: start,
            end,
            step,
            answers,
        }
    }
}

impl Iterator for Past {
    type Item = (Timestamp, Results);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.end {
            return None;
        }
        let at = self.next;
        self.next = at + self.step;
        let mut results = Results::default();
        for ((written, answer), cursors) in self.answers.0.iter().zip(&mut self.cursors) {
            let now = match answer {
                Err(why) => Err(why.clone()),
                Ok(series) => Ok(values(series, cursors, at)),
            };
            results.put(written, at, now);
        }
        Some((at, results))
    }
}

fn values(series: &[(Labels, Points)], cursors: &mut [usize], at: Timestamp) -> Vec<(Labels, f64)> {
    let mut now: Vec<(Labels, f64)> = Vec::new();
    for ((labels, points), cursor) in series.iter().zip(cursors) {
        while points.get(*cursor).is_some_and(|(time, _)| *time < at) {
            *cursor += 1;
        }
        let Some((time, value)) = points.get(*cursor) else {
            continue;
        };
        // Several past targets may map to one present target: use the first.
        if *time == at && now.iter().all(|(known, _)| known != labels) {
            now.push((labels.clone(), *value));
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answers, Past};
    use crate::metric::{Labels, Timestamp};
    use crate::promql::Expr;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn every_step_has_the_values_of_its_own_time_and_no_other() {
        let step = Duration::from_secs(15);
        let mut answers = Answers::default();
        let series = Labels::new([("a", "b")]);
        answers.put(
            "x".to_owned(),
            Ok(vec![(series, vec![(at(0), 1.0), (at(30), 3.0)])]),
        );
        answers.put("y".to_owned(), Err("refused".to_owned()));
        assert_eq!(answers.samples(), 2);
        assert!(!answers.is_hopeless());
        let (x, y) = (Expr::parse("x").unwrap(), Expr::parse("y").unwrap());
        let steps: Vec<_> = Past::new(at(0), at(30), step, answers).collect();
        let values: Vec<Vec<f64>> = steps
            .iter()
            .map(|(_, results)| {
                let values = results.get(&x).unwrap().as_ref().unwrap();
                values.iter().map(|sample| sample.value).collect()
            })
            .collect();
        assert_eq!(values, [vec![1.0], vec![], vec![3.0]]);
        assert_eq!(steps[1].1.get(&y).unwrap().as_ref().unwrap_err(), "refused");
        assert!(steps[0].1.get(&Expr::parse("z").unwrap()).is_none());
    }
}
