//! The parameters of a request: text to checked values, with Prometheus' formats and messages.

use std::time::Duration;

use super::limits::{PATIENCE, STEPS};
use super::problem::Problem;
use crate::history::parse_time;
use crate::metric::{Selector, Timestamp, parse_duration};
use crate::promql::Expr;
use crate::publish::Query;

/// Times beyond this many milliseconds around 1970 are taken for this limit, so that a sum of times
/// never overflows. It is 285,000 years.
const FARTHEST: i64 = 1 << 53;

/// The instants of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// `time`.
    At(Timestamp),
    /// `start`, `end` and `step`.
    Range {
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    },
}

impl When {
    /// The first and the last instant.
    pub(super) fn bounds(self) -> (Timestamp, Timestamp) {
        match self {
            Self::At(at) => (at, at),
            Self::Range { start, end, .. } => (start, end),
        }
    }
}

/// What `/api/v1/query` and `/api/v1/query_range` ask.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) expr: Expr,
    pub(super) when: When,
    pub(super) lookback: Option<Duration>,
    /// How long the client waits.
    pub(super) patience: Duration,
    pub(super) limit: Option<usize>,
}

/// What the requests about series ask.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// `match[]`; none means every series.
    pub(super) selectors: Vec<Selector>,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) limit: Option<usize>,
}

impl Asked {
    /// The parameters of `/api/v1/query`.
    ///
    /// # Errors
    /// The first wrong parameter.
    pub(super) fn instant(query: &Query, now: Timestamp) -> Result<Self, Problem> {
        let at = time(query, "time").map_err(|_| {
            let text = query.first("time").unwrap_or("");
            let message = format!(
                "Invalid time value for 'time': cannot parse {text:?} to a valid timestamp"
            );
            Problem::parameter("time", message)
        })?;
        let at = at.unwrap_or(now);
        Self::read(query, When::At(at))
    }

    /// The parameters of `/api/v1/query_range`.
    ///
    /// # Errors
    /// The first wrong parameter.
    pub(super) fn range(query: &Query) -> Result<Self, Problem> {
        let needed = |name| {
            let found = time(query, name)?;
            found.ok_or_else(|| cannot_parse(name, "", "timestamp"))
        };
        let (start, end) = (needed("start")?, needed("end")?);
        if end < start {
            let message = "end timestamp must not be before start time";
            return Err(Problem::parameter("end", message));
        }
        let text = query.first("step").unwrap_or("");
        let step = seconds(text).ok_or_else(|| cannot_parse("step", text, "duration"))?;
        if step <= 0 {
            let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(Problem::parameter("step", message));
        }
        if (end.as_millis() - start.as_millis()) / step > STEPS {
            return Err(Problem::bad_data(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ));
        }
        let step = Duration::from_millis(step.unsigned_abs());
        Self::read(query, When::Range { start, end, step })
    }

    fn read(query: &Query, when: When) -> Result<Self, Problem> {
        let patience = duration(query, "timeout")?.unwrap_or(PATIENCE);
        let lookback = duration(query, "lookback_delta")?;
        let limit = limit(query)?;
        let expr = Expr::parse(query.first("query").unwrap_or(""));
        Ok(Self {
            expr: expr.map_err(|error| Problem::parameter("query", error))?,
            when,
            lookback,
            patience: patience.min(PATIENCE),
            limit,
        })
    }
}

impl Listed {
    /// The parameters of `/api/v1/series`, `labels` and `label/<name>/values`.
    ///
    /// # Errors
    /// The first wrong parameter.
    pub(super) fn read(query: &Query) -> Result<Self, Problem> {
        let limit = limit(query)?;
        let start = time(query, "start")?.unwrap_or(Timestamp::from_millis(-FARTHEST));
        let end = time(query, "end")?.unwrap_or(Timestamp::from_millis(FARTHEST));
        if end < start {
            let message = "end timestamp must not be before start timestamp";
            return Err(Problem::bad_data(message));
        }
        let selectors = query.all("match[]").map(selector);
        Ok(Self {
            selectors: selectors.collect::<Result<_, _>>()?,
            start,
            end,
            limit,
        })
    }
}

fn selector(text: &str) -> Result<Selector, Problem> {
    let expr = Expr::parse(text).map_err(|error| Problem::parameter("match[]", error))?;
    let found = expr.selector().cloned();
    found.ok_or_else(|| Problem::parameter("match[]", format!("{text:?} is no series selector")))
}

fn cannot_parse(name: &str, text: &str, what: &str) -> Problem {
    Problem::parameter(name, format!("cannot parse {text:?} to a valid {what}"))
}

/// Unix seconds or RFC 3339.
fn time(query: &Query, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = query.first(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let at = parse_time(text).ok_or_else(|| cannot_parse(name, text, "timestamp"))?;
    let within = at.as_millis().clamp(-FARTHEST, FARTHEST);
    Ok(Some(Timestamp::from_millis(within)))
}

/// Milliseconds of a number of seconds or of a Prometheus duration.
fn seconds(text: &str) -> Option<i64> {
    let millis = match text.parse::<f64>() {
        Ok(seconds) => Timestamp::from_secs_f64(Some(seconds).filter(|s| s.is_finite())?),
        Err(_) => Timestamp::from_millis(0) + parse_duration(text).ok()?,
    };
    Some(millis.as_millis()).filter(|millis| millis.unsigned_abs() <= FARTHEST.unsigned_abs())
}

/// A duration above zero.
fn duration(query: &Query, name: &str) -> Result<Option<Duration>, Problem> {
    let Some(text) = query.first(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let millis = seconds(text).and_then(|millis| u64::try_from(millis).ok());
    let found = millis.filter(|millis| *millis > 0);
    let found = found.ok_or_else(|| cannot_parse(name, text, "duration"))?;
    Ok(Some(Duration::from_millis(found)))
}

/// The most results that the client wants; 0 is no limit, as in Prometheus.
fn limit(query: &Query) -> Result<Option<usize>, Problem> {
    let Some(text) = query.first("limit").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let found: usize = text
        .parse()
        .map_err(|_| Problem::parameter("limit", "limit must be a number of at least 0"))?;
    Ok(Some(found).filter(|limit| *limit > 0))
}

/// Reads any text as the parameters of every path.
#[doc(hidden)]
pub fn fuzz_params(text: &str) {
    let query = Query::parse(Some(text));
    let now = Timestamp::from_millis(1_700_000_000_000);
    let asked = [Asked::instant(&query, now), Asked::range(&query)];
    for asked in asked.into_iter().flatten() {
        let (start, end) = asked.when.bounds();
        assert!(start <= end && asked.patience <= PATIENCE && asked.limit != Some(0));
        if let When::Range { step, .. } = asked.when {
            assert!(step > Duration::ZERO);
            assert!(end.since(start).as_millis() / step.as_millis() <= STEPS.unsigned_abs().into());
        }
    }
    if let Ok(listed) = Listed::read(&query) {
        assert!(listed.start <= listed.end);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Asked, Listed, When, fuzz_params};
    use crate::metric::Timestamp;
    use crate::publish::Query;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn query(text: &str) -> Query {
        Query::parse(Some(text))
    }

    fn range(text: &str) -> Result<When, String> {
        let asked = Asked::range(&query(text));
        asked.map(|asked| asked.when).map_err(|found| found.message)
    }

    #[test]
    fn times_and_steps_have_prometheus_formats() {
        let at = |text: &str| Asked::instant(&query(text), NOW).unwrap().when;
        assert_eq!(at("query=1"), When::At(NOW));
        assert_eq!(
            at("query=1&time=1435781451.781"),
            When::At(Timestamp::from_millis(1_435_781_451_781))
        );
        assert_eq!(
            at("query=1&time=2015-07-01T20:10:51.781Z"),
            When::At(Timestamp::from_millis(1_435_781_451_781))
        );
        for (step, millis) in [("15", 15_000), ("0.5", 500), ("1m30s", 90_000)] {
            let found = range(&format!("query=x&start=0&end=60&step={step}")).unwrap();
            let When::Range { step, .. } = found else {
                panic!("{found:?}")
            };
            assert_eq!(step, Duration::from_millis(millis));
        }
    }

    /// The texts are those of Prometheus' web/api/v1/api.go.
    #[test]
    fn wrong_parameters_are_refused_in_prometheus_words() {
        for (text, message) in [
            (
                "query=x&end=1&step=1",
                r#"invalid parameter "start": cannot parse "" to a valid timestamp"#,
            ),
            (
                "query=x&start=a&end=1&step=1",
                r#"invalid parameter "start": cannot parse "a" to a valid timestamp"#,
            ),
            (
                "query=x&start=2&end=1&step=1",
                r#"invalid parameter "end": end timestamp must not be before start time"#,
            ),
            (
                "query=x&start=1&end=2&step=soon",
                r#"invalid parameter "step": cannot parse "soon" to a valid duration"#,
            ),
            (
                "query=x&start=1&end=2&step=0",
                r#"invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
            ),
            (
                "query=x&start=1&end=2&step=-1",
                r#"invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
            ),
            (
                "query=x&start=0&end=0&step=-4e242",
                r#"invalid parameter "step": cannot parse "-4e242" to a valid duration"#,
            ),
            (
                "query=x&start=0&end=11001&step=1",
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ),
            (
                "query=x&start=1&end=2&step=1&timeout=-1",
                r#"invalid parameter "timeout": cannot parse "-1" to a valid duration"#,
            ),
        ] {
            assert_eq!(range(text).unwrap_err(), message, "{text}");
        }
        assert!(range("query=x&start=0&end=11000&step=1").is_ok());
        let wrong = range("query=x(&start=0&end=1&step=1").unwrap_err();
        assert!(
            wrong.starts_with(r#"invalid parameter "query": "#),
            "{wrong}"
        );
        let wrong = Listed::read(&query("match[]=rate(x[5m])")).unwrap_err();
        assert_eq!((wrong.status, wrong.kind), (400, "bad_data"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "((query|time|start|end|step|timeout|limit|match\\[\\]|lookback_delta)=[-+0-9a-zA-Z.:%{}\"]{0,12}&){0,8}"
        ) {
            fuzz_params(&text);
        }

        #[test]
        fn steps_are_limited_whatever_the_numbers_are(
            start in any::<f64>(), end in any::<f64>(), step in any::<f64>()
        ) {
            fuzz_params(&format!("query=x&start={start}&end={end}&step={step}"));
        }
    }
}
