//! The results of evaluations.

use std::sync::Arc;

use super::error::{ErrorKind, PromqlError};
use super::eval::{Coverage, Note};
use crate::metric::{Evidence, Labels, Sampling, Timestamp};

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct InstantSample {
    /// The labels of the series.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// The evaluation time.
    pub at: Timestamp,
    /// The observations behind the value, if the query was asked for them and knows them.
    pub sampling: Option<Sampling>,
}

impl InstantSample {
    /// A value of which nothing more is known.
    #[must_use]
    pub fn new(labels: Labels, value: f64, at: Timestamp) -> Self {
        Self {
            labels,
            value,
            at,
            sampling: None,
        }
    }

    /// The observations behind the value as evidence.
    pub(crate) fn evidence(&self) -> Option<Arc<Evidence>> {
        let sampling = self.sampling?;
        Some(Arc::new(Evidence::of_sampling(sampling)))
    }
}

/// The samples of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoints {
    /// The labels of the series.
    pub labels: Labels,
    /// Times and values, oldest first.
    pub points: Vec<(Timestamp, f64)>,
}

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprValue {
    /// One number.
    Scalar(f64),
    /// One number per series, in the order of the result.
    Vector(Vec<InstantSample>),
    /// A range of samples per series.
    Matrix(Vec<SeriesPoints>),
    /// A string.
    Text(String),
}

impl ExprValue {
    /// The value as an instant vector; a scalar is one element without labels, as in rules.
    ///
    /// # Errors
    /// If it is a string or a range of samples.
    pub fn into_vector(self, at: Timestamp) -> Result<Vec<InstantSample>, PromqlError> {
        let message = match self {
            Self::Vector(samples) => return Ok(samples),
            Self::Scalar(value) => {
                let labels = Labels::empty();
                return Ok(vec![InstantSample::new(labels, value, at)]);
            }
            Self::Matrix(_) => {
                "expected an instant vector or a scalar, found a range vector: wrap it in a function"
            }
            Self::Text(_) => "expected an instant vector or a scalar, found a string",
        };
        Err(PromqlError::new(ErrorKind::Type, None, message))
    }
}

/// The value of an expression, with notes about the evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The value.
    pub value: ExprValue,
    /// Notes that put the value in doubt.
    pub warnings: Vec<Note>,
    /// Notes about the expression.
    pub infos: Vec<Note>,
    /// How much of the ranges was covered by samples.
    pub coverage: Coverage,
}
