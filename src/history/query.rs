//! Queries that the server evaluates: instant queries, range queries and label values.

use super::api::{complete_response, selector_query, timestamp};
use super::response::{InstantResult, Matrix};
use super::{Error, Prometheus, Range};
use crate::metric::{Labels, Matcher, Selector, Timestamp};
use crate::monitor::Question;
use crate::replay::RangeAnswer;

pub use crate::replay::Points;

impl Prometheus {
    /// The value of an expression at a time. A scalar becomes one element without labels.
    ///
    /// # Errors
    /// When the server does not respond, refuses, or returns something else than numbers.
    pub async fn query(&self, expr: &str, at: Timestamp) -> Result<Vec<(Labels, f64)>, Error> {
        let [thanos, victoria_metrics] = complete_response();
        let form = [
            ("query", expr.to_owned()),
            ("time", timestamp(at)),
            thanos,
            victoria_metrics,
        ];
        let body = self.post("/api/v1/query", &form).await?;
        match self.data::<InstantResult<'_>>(&body)? {
            InstantResult::Vector(elements) => {
                self.check(elements.iter().map(|element| &element.metric))?;
                let elements = elements.into_iter();
                let numbers = elements.map(|element| {
                    let Some((_, text)) = element.value else {
                        return Err(self.invalid(format!(
                            "{} is a native histogram, which is not supported",
                            element.metric
                        )));
                    };
                    Ok((element.metric, self.number(&text)?))
                });
                numbers.collect()
            }
            InstantResult::Scalar((_, text)) => Ok(vec![(Labels::empty(), self.number(&text)?)]),
            InstantResult::String(_) | InstantResult::Matrix(_) => {
                Err(self.invalid("the result is neither an instant vector nor a scalar"))
            }
        }
    }

    /// The values of an expression at every step of a range.
    ///
    /// # Errors
    /// When the server does not respond, or refuses; [`Error::Api`] says whether a shorter range
    /// may succeed.
    pub async fn query_range(
        &self,
        expr: &str,
        range: Range,
    ) -> Result<Vec<(Labels, Points)>, Error> {
        let body = self.post_range_query(expr, range).await?;
        let matrix = self.data::<Matrix<'_>>(&body)?;
        self.check(matrix.result.iter().map(|series| &series.metric))?;
        let series = matrix.result.into_iter();
        series
            .map(|series| {
                let points: Result<Points, Error> = series
                    .values
                    .into_iter()
                    .map(|(at, text)| Ok((Timestamp::from_secs_f64(at), self.number(text)?)))
                    .collect();
                Ok((series.metric, points?))
            })
            .collect()
    }

    /// The values of a rule's expression at every step of a range, by the expression as written. An
    /// expression that the server refuses is an answer too.
    ///
    /// # Errors
    /// When the server does not answer, or could later or about less.
    pub async fn ask_about(
        &self,
        question: Question,
        range: Range,
    ) -> Result<(String, RangeAnswer), Error> {
        let answer = match &question.sent {
            Err(why) => Err(why.clone()),
            Ok(sent) => match self.query_range(sent, range).await {
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
        Ok((question.written, answer))
    }

    /// The clock of the server, to the millisecond.
    ///
    /// # Errors
    /// When the server does not respond, or refuses.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        let body = self
            .post("/api/v1/query", &[("query", "time()".to_owned())])
            .await?;
        match self.data::<InstantResult<'_>>(&body)? {
            InstantResult::Scalar((at, _)) => Ok(Timestamp::from_secs_f64(at)),
            InstantResult::Vector(_) | InstantResult::String(_) | InstantResult::Matrix(_) => {
                Err(self.invalid("time() is not a scalar on this server"))
            }
        }
    }

    /// The values of a label among the series that satisfy the matchers at some time of the range.
    ///
    /// # Errors
    /// When the server does not respond, or refuses.
    pub async fn label_values(
        &self,
        label: &str,
        matchers: &[Matcher],
        range: Range,
    ) -> Result<Vec<String>, Error> {
        let mut form = vec![
            ("start", timestamp(range.start)),
            ("end", timestamp(range.end)),
        ];
        if !matchers.is_empty() {
            form.push(("match[]", selector_query(&Selector::new(matchers.to_vec()))));
        }
        let path = format!("/api/v1/label/{label}/values");
        let body = self.get(&path, &form).await?;
        self.data::<Vec<String>>(&body)
    }
}
