//! Expressions that the server evaluates, at one time or over a range of it, and the names that it knows.

use std::borrow::Cow;

use serde::Deserialize;

use super::api::{Matrix, query, seconds, whole};
use super::{Error, Prometheus, Range};
use crate::metric::{Labels, Matcher, Selector, Timestamp};
use crate::monitor::Question;
use crate::replay::RangeAnswer;

pub use crate::replay::Points;

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Instant<'a> {
    #[serde(borrow)]
    Vector(Vec<One<'a>>),
    #[serde(borrow)]
    Scalar((f64, Cow<'a, str>)),
    String(serde::de::IgnoredAny),
    Matrix(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct One<'a> {
    metric: Labels,
    /// Absent for a native histogram.
    #[serde(borrow)]
    value: Option<(f64, Cow<'a, str>)>,
}

impl Prometheus {
    /// The value of an expression at a time; a scalar is one element without labels.
    ///
    /// # Errors
    /// When the server does not answer, refuses, or answers with something that is no number.
    pub async fn query(&self, expr: &str, at: Timestamp) -> Result<Vec<(Labels, f64)>, Error> {
        let [thanos, victoria] = whole();
        let form = [
            ("query", expr.to_owned()),
            ("time", seconds(at)),
            thanos,
            victoria,
        ];
        let body = self.ask("/api/v1/query", &form).await?;
        match self.data::<Instant<'_>>(&body)? {
            Instant::Vector(elements) => elements
                .into_iter()
                .map(|one| {
                    let Some((_, text)) = one.value else {
                        let message =
                            format!("{} is a native histogram, which is not judged", one.metric);
                        return Err(self.refused(&message, false));
                    };
                    Ok((one.metric, self.number(&text)?))
                })
                .collect(),
            Instant::Scalar((_, text)) => Ok(vec![(Labels::empty(), self.number(&text)?)]),
            Instant::String(_) | Instant::Matrix(_) => Err(self.refused(
                "the answer is neither an instant vector nor a scalar",
                false,
            )),
        }
    }

    /// The values of an expression at every step of a range.
    ///
    /// # Errors
    /// When the server does not answer, or refuses; [`Error::Api`] says whether a shorter range may be answered.
    pub async fn query_range(
        &self,
        expr: &str,
        range: Range,
    ) -> Result<Vec<(Labels, Points)>, Error> {
        let body = self.ask_range(expr, range).await?;
        let matrix = self.data::<Matrix<'_>>(&body)?;
        let mut found = Vec::with_capacity(matrix.result.len());
        for series in matrix.result {
            let points = series.values.into_iter();
            let points =
                points.map(|(at, text)| Ok((Timestamp::from_secs_f64(at), self.number(text)?)));
            found.push((series.metric, points.collect::<Result<Points, Error>>()?));
        }
        Ok(found)
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

    /// The server's clock, to the millisecond.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        let body = self
            .ask("/api/v1/query", &[("query", "time()".to_owned())])
            .await?;
        match self.data::<Instant<'_>>(&body)? {
            Instant::Scalar((at, _)) => Ok(Timestamp::from_secs_f64(at)),
            Instant::Vector(_) | Instant::String(_) | Instant::Matrix(_) => {
                Err(self.refused("time() is no scalar there", false))
            }
        }
    }

    /// The values that a label has among the series that these matchers find at some time of the range.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn label_values(
        &self,
        label: &str,
        matchers: &[Matcher],
        range: Range,
    ) -> Result<Vec<String>, Error> {
        let mut form = vec![("start", seconds(range.start)), ("end", seconds(range.end))];
        if !matchers.is_empty() {
            form.push(("match[]", query(&Selector::new(matchers.to_vec()))));
        }
        let path = format!("/api/v1/label/{label}/values");
        let body = self.get(&path, &form).await?;
        self.data::<Vec<String>>(&body)
    }

    fn number(&self, text: &str) -> Result<f64, Error> {
        let value = crate::scrape::parse::parse_value(text.as_bytes());
        value.map_err(|error| self.refused(error, false))
    }
}
