//! The past as a server evaluated it, step by step.

use std::collections::BTreeSet;

use crate::config::settings::Settings;
use crate::config::target::ATTACHED;
use crate::history::{Error, Points, Prometheus, Range};
use crate::metric::{Labels, Timestamp};

use super::results::{Question, Results};

/// Series with their points, or why there are none.
pub(crate) type Answer = Result<Vec<(Labels, Points)>, String>;

/// What a server answered about a range, by the expression as written.
#[derive(Debug, Default)]
pub struct Answers(Vec<(String, Answer)>);

impl Question {
    /// Asks a server about a range. An expression that the server refuses is an answer too.
    ///
    /// # Errors
    /// When the server does not answer, or could later or about less.
    pub(crate) async fn ask(
        self,
        prometheus: &Prometheus,
        range: Range,
    ) -> Result<(String, Answer), Error> {
        let answer = match &self.sent {
            Err(why) => Err(why.clone()),
            Ok(sent) => match prometheus.query_range(sent, range).await {
                Ok(series) => Ok(series),
                Err(Error::Api {
                    message,
                    too_large: false,
                    again: false,
                    ..
                }) => Err(message),
                Err(error) => return Err(error),
            },
        };
        Ok((self.written, answer))
    }
}

impl Answers {
    /// Adds the answer about an expression.
    pub fn put(&mut self, written: String, answer: Answer) {
        self.0.push((written, answer));
    }

    /// Samples of all answers together.
    #[must_use]
    pub fn samples(&self) -> usize {
        let series = self
            .0
            .iter()
            .flat_map(|(_, answer)| answer.iter().flatten());
        series.map(|(_, points)| points.len()).sum()
    }

    /// The expressions that the server refused, and why.
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

/// The steps of a range with what the server answered about each.
#[derive(Debug)]
pub struct Past {
    answers: Answers,
    /// The next point of each series, by answer.
    cursors: Vec<Vec<usize>>,
    range: Range,
    next: Timestamp,
}

impl Past {
    /// The steps of a range, oldest first.
    #[must_use]
    pub fn new(range: Range, answers: Answers) -> Self {
        let series = answers.0.iter();
        Self {
            cursors: series
                .map(|(_, answer)| vec![0; answer.as_ref().map_or(0, Vec::len)])
                .collect(),
            next: range.start,
            answers,
            range,
        }
    }
}

impl Iterator for Past {
    type Item = (Timestamp, Results);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.range.end {
            return None;
        }
        let at = self.next;
        self.next = at + self.range.step;
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
        // Several targets of the past may stand for one of today: the first of them does.
        if *time == at && now.iter().all(|(known, _)| known != labels) {
            now.push((labels.clone(), *value));
        }
    }
    now
}

/// The labels of the targets that are scraped here. Prometheus calls a target by other names than a sidecar does.
#[derive(Debug, Default)]
pub(super) struct Here {
    /// Of those that are listed.
    listed: Vec<Labels>,
    /// Of every one that is found by name, all but `instance`.
    found: Option<Labels>,
}

impl Here {
    /// Those of a configuration; none under a source, where the labels of the past are those of the present.
    pub(super) fn of(settings: &Settings) -> Self {
        let scrape = &settings.scrape;
        let found = scrape.discovery.as_ref();
        Self {
            listed: scrape.targets.iter().map(|t| t.labels.clone()).collect(),
            found: found.map(|discovery| discovery.shared_labels(&settings.model)),
        }
    }

    /// Series of the past as they would be here. `kept` are the labels that their expression keeps, when it says so.
    pub(super) fn mapped(
        &self,
        mut series: Vec<(Labels, Points)>,
        kept: Option<&BTreeSet<String>>,
    ) -> Vec<(Labels, Points)> {
        if self.listed.is_empty() && self.found.is_none() {
            return series;
        }
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        let renamed = series.into_iter();
        renamed
            .map(|(labels, points)| (self.renamed(&labels, kept), points))
            .collect()
    }

    fn renamed(&self, labels: &Labels, kept: Option<&BTreeSet<String>>) -> Labels {
        let Some(target) = self.target(labels) else {
            return labels.clone();
        };
        let own = labels.retain(|name| !ATTACHED.contains(&name));
        let target = match kept {
            Some(kept) => target.retain(|name| kept.contains(name)),
            // A series as a target has it.
            None if labels.get("instance").is_some() => target,
            // A sum that keeps some of the labels.
            None => target.retain(|name| labels.get(name).is_some()),
        };
        own.overlaid_with(&target)
    }

    /// The labels of the target that a series is of, or that all targets share where it is of several.
    fn target(&self, labels: &Labels) -> Option<Labels> {
        let instance = labels.get("instance");
        let is_same = |target: &&Labels| target.get("instance") == instance;
        let same = self.listed.iter().find(is_same);
        match (instance, same, &self.found, self.listed.as_slice()) {
            (Some(_), Some(target), ..) => Some(target.clone()),
            // It would be found, or would have been: its instance is its address there as here.
            (Some(instance), None, Some(found), _) => Some(found.with("instance", instance)),
            (_, _, None, [target]) => Some(target.clone()),
            (Some(_), None, None, _) => None,
            (None, _, found, listed) => {
                let mut all = found.iter().chain(listed);
                let first = all.next()?.clone();
                Some(all.fold(first, |shared, other| {
                    shared.retain(|name| shared.get(name) == other.get(name))
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answers, Here, Past};
    use crate::history::Range;
    use crate::metric::{Labels, Timestamp};
    use crate::promql::Expr;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn every_step_has_the_values_of_its_own_time_and_no_other() {
        let range = Range {
            start: at(0),
            end: at(30),
            step: Duration::from_secs(15),
        };
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
        let steps: Vec<_> = Past::new(range, answers).collect();
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

    #[test]
    fn a_series_of_the_past_gets_the_labels_that_it_has_here() {
        let one = |labels: &[(&str, &str)], targets: &[Labels]| {
            let here = Here {
                listed: targets.to_vec(),
                found: None,
            };
            shown(&here, labels, None)
        };
        let here = [Labels::new([
            ("job", "fraud"),
            ("instance", "127.0.0.1:80"),
            ("pod", "new"),
        ])];
        let past = [
            ("job", "ml/fraud"),
            ("instance", "10.0.0.1:80"),
            ("pod", "old"),
            ("container", "c"),
            ("code", "500"),
        ];
        assert_eq!(
            one(&past, &here),
            r#"{code="500", instance="127.0.0.1:80", job="fraud", pod="new"}"#
        );
        assert_eq!(
            one(&[("pod", "old"), ("code", "500")], &here),
            r#"{code="500", pod="new"}"#
        );
        assert_eq!(one(&[("model", "m")], &here), r#"{model="m"}"#);
        let two = [
            here[0].clone(),
            Labels::new([("job", "fraud"), ("instance", "10.0.0.1:80")]),
        ];
        assert_eq!(
            one(&past, &two),
            r#"{code="500", instance="10.0.0.1:80", job="fraud"}"#
        );
        assert_eq!(
            one(&[("instance", "10.0.0.9:80"), ("job", "x")], &two),
            r#"{instance="10.0.0.9:80", job="x"}"#
        );
    }
    fn shown(here: &Here, labels: &[(&str, &str)], kept: Option<&[&str]>) -> String {
        let labels = Labels::new(labels.iter().copied());
        let kept = kept.map(|kept| kept.iter().map(|name| (*name).to_owned()).collect());
        here.mapped(vec![(labels, Vec::new())], kept.as_ref())[0]
            .0
            .to_string()
    }

    #[test]
    fn a_replica_that_is_found_keeps_its_address_and_gets_the_labels_of_the_discovery() {
        let here = Here {
            listed: Vec::new(),
            found: Some(Labels::new([("job", "fraud"), ("namespace", "prod")])),
        };
        let past = [
            ("job", "kubernetes-pods"),
            ("instance", "10.0.0.7:8000"),
            ("pod", "fraud-0"),
            ("namespace", "ml"),
            ("code", "500"),
        ];
        assert_eq!(
            shown(&here, &past, None),
            r#"{code="500", instance="10.0.0.7:8000", job="fraud", namespace="prod"}"#
        );
        // A sum has what it keeps, and nothing of the target besides.
        let by = |kept: &[&str], labels: &[(&str, &str)]| shown(&here, labels, Some(kept));
        let instance = [past[1]];
        assert_eq!(
            by(&["instance"], &instance),
            r#"{instance="10.0.0.7:8000"}"#
        );
        assert_eq!(
            by(&["job", "code"], &[past[0], past[4]]),
            r#"{code="500", job="fraud"}"#
        );
        assert_eq!(by(&["pod"], &[past[2]]), "{}", "nobody has a pod here");
        assert_eq!(by(&["namespace"], &[]), r#"{namespace="prod"}"#);
        assert_eq!(shown(&here, &[past[4]], None), r#"{code="500"}"#);
    }

    #[test]
    fn a_sum_over_several_targets_gets_what_all_of_them_share() {
        let target = |instance| Labels::new([("job", "fraud"), ("instance", instance)]);
        let here = Here {
            listed: vec![target("a:1"), target("b:1")],
            found: None,
        };
        let past = [("job", "ml/fraud"), ("model", "m")];
        assert_eq!(shown(&here, &past, None), r#"{job="fraud", model="m"}"#);
    }
}
