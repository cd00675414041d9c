//! History from the HTTP API that Prometheus, Thanos, Mimir and VictoriaMetrics share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use serde::Deserialize;
use tracing::warn;

use super::{Error, Recording};
use crate::metric::{Labels, Selector, Timestamp};
use crate::runtime::http::{Client, Kind, Method, Overflow, Request, Response, Settings, redacted};

/// Most points of one series that Prometheus answers with.
pub const MAX_POINTS: usize = 11_000;
/// Most samples that are asked for at once, all series together.
const MAX_SAMPLES: usize = 4_000_000;
/// Queries under way at the same time.
const CONCURRENCY: usize = 4;
/// Most warnings of a server that are logged.
const MOST_WARNINGS: usize = 20;

/// How long, how large and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time for one answer. Default 2m.
    pub timeout: Duration,
    /// Largest answer, in bytes. Default 512 MiB.
    pub answer: u64,
    /// How often a question is asked when the server is busy or away. Default 3.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            answer: 512 << 20,
            attempts: 3,
        }
    }
}

/// A server that remembers.
#[derive(Debug)]
pub struct Prometheus {
    client: Client,
    url: String,
    limits: Limits,
    /// It takes no POST, as some proxies that only read do not.
    gets: AtomicBool,
    /// Its warnings that are in the log.
    warned: Mutex<BTreeSet<String>>,
}

/// Steps of equal length; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first step.
    pub start: Timestamp,
    /// No step is later.
    pub end: Timestamp,
    /// Time between two steps.
    pub step: Duration,
}

impl Range {
    /// The range with its start at a multiple of the step, so that the same question finds the same cached answer.
    #[must_use]
    pub fn aligned(self) -> Self {
        let step = self.step_millis();
        let start = Timestamp::from_millis(self.start.as_millis().div_euclid(step) * step);
        Self { start, ..self }
    }

    /// How many steps it has.
    #[must_use]
    pub fn steps(&self) -> usize {
        let steps = (self.end.as_millis() - self.start.as_millis()).div_euclid(self.step_millis());
        usize::try_from(steps + 1).unwrap_or(0)
    }

    /// The range in pieces that a server answers: at most [`MAX_POINTS`] steps, and fewer where there are many series.
    #[must_use]
    pub fn chunks(&self, series: usize) -> Vec<Self> {
        let points = (MAX_SAMPLES / series.max(1)).clamp(1, MAX_POINTS);
        self.pieces(points)
    }

    fn pieces(&self, points: usize) -> Vec<Self> {
        let count = self.steps().div_ceil(points);
        let length = self.step * u32::try_from(points).unwrap_or(u32::MAX);
        let piece = |start: Timestamp| Self {
            start,
            end: self.end.min(start + (length - self.step)),
            ..*self
        };
        let starts = std::iter::successors(Some(self.start), |start| Some(*start + length));
        starts.take(count).map(piece).collect()
    }

    fn step_millis(&self) -> i64 {
        i64::try_from(self.step.as_millis())
            .unwrap_or(i64::MAX)
            .max(1)
    }
}

#[derive(Debug, Deserialize)]
struct Answer<T> {
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default = "Option::default")]
    data: Option<T>,
    /// What the server thinks of its answer, such as a store that did not take part.
    #[serde(default)]
    warnings: Vec<String>,
    /// VictoriaMetrics says so when a storage node is away.
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Matrix<'a> {
    #[serde(borrow)]
    pub(super) result: Vec<Stream<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stream<'a> {
    pub(super) metric: Labels,
    #[serde(borrow, default)]
    pub(super) values: Vec<(f64, &'a str)>,
}

impl Prometheus {
    /// The server at a base URL, such as `http://prometheus:9090` or `https://mimir/prometheus`.
    #[must_use]
    pub fn new(url: &str, settings: Settings) -> Self {
        Self {
            client: Client::new(settings),
            url: url.trim_end_matches('/').to_owned(),
            limits: Limits::default(),
            gets: AtomicBool::new(false),
            warned: Mutex::default(),
        }
    }

    /// The same server under other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Its address, password redacted.
    #[must_use]
    pub fn url(&self) -> String {
        redacted(&self.url)
    }

    /// The series that a selector found at some time of the range.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn series(&self, selectors: &[Selector], range: Range) -> Result<Vec<Labels>, Error> {
        let answers = stream::iter(selectors.to_vec()).map(|selector| async move {
            let form = [
                ("match[]", query(&selector)),
                ("start", seconds(range.start)),
                ("end", seconds(range.end)),
            ];
            let body = self.ask("/api/v1/series", &form).await?;
            self.data::<Vec<Labels>>(&body)
        });
        let found: Vec<Vec<Labels>> = answers.buffered(CONCURRENCY).try_collect().await?;
        let unique: BTreeSet<Labels> = found.into_iter().flatten().collect();
        Ok(unique.into_iter().collect())
    }

    /// Adds the values of the selectors at every step of the range to a recording; a series that two selectors find is
    /// added once. A range that the server finds too large is asked for in halves.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn read(
        &self,
        selectors: &[Selector],
        range: Range,
        recording: &mut Recording,
    ) -> Result<(), Error> {
        let mut waiting = vec![range];
        let mut answers = Vec::new();
        while let Some(range) = waiting.pop() {
            let bodies = stream::iter(selectors.to_vec())
                .map(|selector| async move { self.ask_range(&query(&selector), range).await })
                .buffered(CONCURRENCY);
            match bodies.try_collect::<Vec<Vec<u8>>>().await {
                Ok(bodies) => answers.push((range, bodies)),
                Err(Error::Api {
                    too_large: true, ..
                }) if range.steps() > 1 => {
                    waiting.extend(range.pieces(range.steps().div_ceil(2)).into_iter().rev());
                }
                Err(error) => return Err(error),
            }
        }
        for (_, bodies) in answers {
            let mut added = BTreeSet::new();
            for body in bodies {
                self.add(&body, &mut added, recording)?;
            }
        }
        Ok(())
    }

    fn add(
        &self,
        body: &[u8],
        added: &mut BTreeSet<usize>,
        recording: &mut Recording,
    ) -> Result<(), Error> {
        for series in self.data::<Matrix<'_>>(body)?.result {
            let column = recording.column(&series.metric);
            if !added.insert(column) {
                continue;
            }
            for (at, text) in series.values {
                let value = crate::scrape::parse::parse_value(text.as_bytes());
                let value = value.map_err(|error| self.refused(error, false))?;
                recording.push(column, Timestamp::from_secs_f64(at), value);
            }
        }
        Ok(())
    }

    pub(super) async fn ask_range(&self, expr: &str, range: Range) -> Result<Vec<u8>, Error> {
        let [thanos, victoria] = whole();
        let form = [
            ("query", expr.to_owned()),
            ("start", seconds(range.start)),
            ("end", seconds(range.end)),
            ("step", range.step.as_secs_f64().to_string()),
            thanos,
            victoria,
        ];
        self.ask("/api/v1/query_range", &form).await
    }

    /// Posts a form and gives the body of a 2xx; what may pass is tried again. Who takes no POST is asked by GET.
    pub(super) async fn ask(&self, path: &str, form: &[(&str, String)]) -> Result<Vec<u8>, Error> {
        if self.gets.load(Ordering::Relaxed) {
            return self.get(path, form).await;
        }
        let url = format!("{}{path}", self.url);
        let headers = [
            (
                "content-type",
                "application/x-www-form-urlencoded".to_owned(),
            ),
            compressed(),
        ];
        let answer = self
            .send(&self.request(Method::Post(pairs(form).into()), &url, &headers))
            .await;
        if let Err(Error::Api {
            status: 405 | 501, ..
        }) = &answer
        {
            self.gets.store(true, Ordering::Relaxed);
            return self.get(path, form).await;
        }
        answer
    }

    /// Gets what has no form, and gives the body of a 2xx.
    pub(super) async fn get(&self, path: &str, form: &[(&str, String)]) -> Result<Vec<u8>, Error> {
        let url = format!("{}{path}?{}", self.url, pairs(form));
        self.send(&self.request(Method::Get, &url, &[compressed()]))
            .await
    }

    fn request<'a>(
        &self,
        method: Method,
        url: &'a str,
        headers: &'a [(&'a str, String)],
    ) -> Request<'a> {
        Request {
            method,
            url,
            headers,
            timeout: self.limits.timeout,
            limit: self.limits.answer,
            overflow: Overflow::Fail,
        }
    }

    async fn send(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        let mut attempt = 1;
        loop {
            let (error, again) = match self.client.send(request).await {
                Ok(response) if response.is_success() => return Ok(response.body),
                Ok(response) => {
                    let again = response.is_retryable();
                    (self.status(&response, again), again)
                }
                Err(error) if error.kind() == Kind::BodyTooLarge => {
                    return Err(self.refused(&error.to_string(), true));
                }
                Err(error) => {
                    let again = matches!(error.kind(), Kind::Timeout | Kind::Connect | Kind::Reset);
                    (Error::Http(error), again)
                }
            };
            if !again || attempt >= self.limits.attempts {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_secs(1) * attempt).await;
            attempt += 1;
        }
    }

    /// The server's own words where it has some.
    fn status(&self, response: &Response, again: bool) -> Error {
        let answer = serde_json::from_slice::<Answer<serde::de::IgnoredAny>>(&response.body);
        let said = match answer {
            Ok(answer) if !answer.error.is_empty() => answer.error,
            _ => response.excerpt(),
        };
        let remedy = match response.status {
            401 | 403 => {
                "; give basic_auth, authorization or a tenant in http_headers, as http_config has them"
            }
            404 => {
                "; is the path complete, such as /prometheus for Mimir or /select/0/prometheus for VictoriaMetrics?"
            }
            _ => "",
        };
        let message = if said.is_empty() || !remedy.is_empty() || !response.body.starts_with(b"{") {
            format!("the server answered {}: {said}{remedy}", response.status)
        } else {
            said
        };
        let too_large = is_too_large(&message);
        // Thanos calls a store that is away an error of the expression.
        let is_away = message.contains("rpc error");
        Error::Api {
            url: self.url(),
            status: response.status,
            message,
            too_large,
            again: (again || is_away) && !too_large,
        }
    }

    pub(super) fn refused(&self, message: &str, too_large: bool) -> Error {
        Error::Api {
            url: self.url(),
            status: 200,
            message: message.to_owned(),
            too_large,
            again: false,
        }
    }

    pub(super) fn data<'a, T: Deserialize<'a>>(&self, body: &'a [u8]) -> Result<T, Error> {
        let wrong = |why: String| {
            self.refused(
                &format!("not an answer of the Prometheus API: {why}"),
                false,
            )
        };
        let answer: Answer<T> =
            serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
        if answer.is_partial {
            return Err(Error::Api {
                url: self.url(),
                status: 200,
                message: "the answer is partial, since a part of the server is away; half of the counts would look like a drop"
                    .to_owned(),
                too_large: false,
                again: true,
            });
        }
        self.warn(answer.warnings);
        let data = answer.data.filter(|_| answer.status == "success");
        data.ok_or_else(|| wrong(answer.error))
    }

    /// Each warning of the server is logged once.
    fn warn(&self, warnings: Vec<String>) {
        let mut warned = self.warned.lock();
        for warning in warnings {
            if warned.len() < MOST_WARNINGS && warned.insert(warning.clone()) {
                warn!(
                    server = self.url(),
                    warning, "the server warns of its answer"
                );
            }
        }
    }
}

/// A week of many series is mostly the same digits.
fn compressed() -> (&'static str, String) {
    ("accept-encoding", "gzip".to_owned())
}

/// Whether a server says that a shorter range may be answered, in the words of Prometheus and Thanos, of VictoriaMetrics, and of Mimir.
fn is_too_large(message: &str) -> bool {
    const WORDS: [&str; 9] = [
        "too many samples",
        "maximum resolution",
        "timed out",
        "too many points for the given step",
        "-search.maxSamplesPerQuery",
        "-search.maxMemoryPerQuery",
        "err-mimir-max-total-query-length",
        "err-mimir-max-chunks-per-query",
        "err-mimir-max-estimated-memory-consumption-per-query",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

/// The selector with its name among the matchers, which every server understands whatever the name is.
pub(super) fn query(selector: &Selector) -> String {
    let matchers: Vec<String> = selector
        .matchers()
        .iter()
        .map(ToString::to_string)
        .collect();
    format!("{{{}}}", matchers.join(","))
}

pub(super) fn seconds(at: Timestamp) -> String {
    at.as_secs_f64().to_string()
}

/// Thanos and VictoriaMetrics must not leave out what they cannot reach: half of the counts would look like a drop. Others ignore it.
pub(super) fn whole() -> [(&'static str, String); 2] {
    [
        ("partial_response", "false".to_owned()),
        ("deny_partial_response", "1".to_owned()),
    ]
}

fn pairs(form: &[(&str, String)]) -> String {
    let pairs: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    pairs.join("&")
}

/// Percent-encodes all but unreserved characters.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_POINTS, Range, encoded};
    use crate::metric::Timestamp;

    fn range(start: i64, end: i64) -> Range {
        Range {
            start: Timestamp::from_millis(start * 1000),
            end: Timestamp::from_millis(end * 1000),
            step: Duration::from_secs(15),
        }
    }

    #[test]
    fn a_week_is_asked_for_in_pieces_without_a_gap_or_an_overlap() {
        let week = range(0, 7 * 86_400);
        let chunks = week.chunks(10);
        assert_eq!(chunks.len(), 4);
        assert!(chunks.iter().all(|chunk| chunk.steps() <= MAX_POINTS));
        let steps: usize = chunks.iter().map(Range::steps).sum();
        assert_eq!(steps, week.steps());
        for pair in chunks.windows(2) {
            assert_eq!(pair[1].start.since(pair[0].end), week.step);
        }
        assert_eq!(chunks.last().unwrap().end, week.end);
        assert_eq!(week.chunks(1000)[0].steps(), 4000);
    }

    #[test]
    fn a_range_starts_at_a_multiple_of_its_step() {
        let aligned = range(1_700_000_008, 1_700_000_100).aligned();
        assert_eq!(aligned.start.as_millis(), 1_700_000_000_000 - 5_000);
        assert_eq!(aligned.steps(), 8);
    }

    #[test]
    fn a_selector_survives_a_form() {
        assert_eq!(encoded("a{b=\"c d\"}"), "a%7Bb%3D%22c%20d%22%7D");
    }
}
