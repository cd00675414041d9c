//! Reads parameters and finds every mistake in them.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::metric::Direction;

/// A mistake in a strategy's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place below the strategy, such as `alpha` or `strategies[1].bound`; empty for the strategy itself.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Parameters being read: each is taken by name, what nobody takes is a mistake.
#[derive(Debug)]
pub struct Params<'a> {
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'a> Params<'a> {
    /// Starts to read.
    #[must_use]
    pub fn new(map: &'a Map<String, Value>) -> Self {
        Self {
            map,
            known: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The value as written.
    pub fn raw(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.map.get(name)
    }

    /// A finite number, if it is there.
    pub fn optional(&mut self, name: &'static str) -> Option<f64> {
        let value = self.raw(name)?;
        let number = value.as_f64().filter(|number| number.is_finite());
        if number.is_none() {
            self.problem(name, format!("must be a number, got {value}"));
        }
        number
    }

    /// A number strictly between `low` and `high`, or `default`.
    pub fn between(&mut self, name: &'static str, default: f64, low: f64, high: f64) -> f64 {
        match self.optional(name) {
            Some(number) if number > low && number < high => number,
            Some(number) => {
                self.problem(
                    name,
                    format!("must be between {low} and {high}, got {number}"),
                );
                default
            }
            None => default,
        }
    }

    /// A positive number, or `default`.
    pub fn positive(&mut self, name: &'static str, default: f64) -> f64 {
        self.at_least(name, default, f64::MIN_POSITIVE, "above 0")
    }

    /// A number of 0 or more, or `default`.
    pub fn not_negative(&mut self, name: &'static str, default: f64) -> f64 {
        self.at_least(name, default, 0.0, "0 or more")
    }

    fn at_least(&mut self, name: &'static str, default: f64, least: f64, words: &str) -> f64 {
        match self.optional(name) {
            Some(number) if number >= least => number,
            Some(number) => {
                self.problem(name, format!("must be {words}, got {number}"));
                default
            }
            None => default,
        }
    }

    /// A whole number in `range`, or `default`.
    #[expect(clippy::cast_possible_truncation, reason = "the range fits in 32 bits")]
    #[expect(clippy::cast_sign_loss, reason = "the range starts at 0 or more")]
    pub fn count(&mut self, name: &'static str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(number) = self.optional(name) else {
            return default;
        };
        let (low, high) = (f64::from(*range.start()), f64::from(*range.end()));
        if number.fract().abs() > 0.0 || number < low || number > high {
            self.problem(
                name,
                format!("must be a whole number from {low} to {high}, got {number}"),
            );
            return default;
        }
        number as u32
    }

    /// `true` or `false`, or `default`.
    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        let Some(value) = self.raw(name) else {
            return default;
        };
        value.as_bool().unwrap_or_else(|| {
            self.problem(name, format!("must be true or false, got {value}"));
            default
        })
    }

    /// One of `words`, as its index, or `default`.
    pub fn word(&mut self, name: &'static str, default: usize, words: &[&str]) -> usize {
        let Some(value) = self.raw(name) else {
            return default;
        };
        let found = words.iter().position(|word| value.as_str() == Some(word));
        found.unwrap_or_else(|| {
            self.problem(
                name,
                format!("must be one of {}, got {value}", words.join(", ")),
            );
            default
        })
    }

    /// `direction:`, or the one of the rule.
    pub fn direction(&mut self, default: Direction) -> Direction {
        const ALL: [Direction; 3] = [Direction::Above, Direction::Below, Direction::Both];
        let own = ALL.iter().position(|one| *one == default).unwrap_or(0);
        ALL[self.word("direction", own, &["above", "below", "both"])]
    }

    /// Notes a mistake in the parameter `name`; an empty name is the strategy itself.
    pub fn problem(&mut self, name: &str, message: impl Display) {
        self.problems.push(Problem {
            path: name.to_owned(),
            message: message.to_string(),
        });
    }

    /// Adds mistakes found elsewhere.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
    }

    /// Ends reading: the value, or every mistake.
    ///
    /// # Errors
    /// Every mistake found, unknown parameters included.
    pub fn finish<T>(mut self, value: T) -> Result<T, Vec<Problem>> {
        for name in self.map.keys() {
            if !self.known.contains(&name.as_str()) {
                let message = format!("unknown parameter{}", suggestion(name, &self.known));
                self.problem(name, message);
            }
        }
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(self.problems)
        }
    }
}

/// `; did you mean alpha?`, or the list of what there is.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (distance(word, name), *name)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + word.chars().count() / 4 => {
            format!("; did you mean {name}?")
        }
        Some(_) => format!("; known are {}", known.join(", ")),
        None => "; there are no parameters".to_owned(),
    }
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let cost = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
