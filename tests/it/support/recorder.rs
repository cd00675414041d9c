//! One target and one Alertmanager for two programs: serves both the same samples and records what
//! each of them posts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::runtime::clock;
use sidewatch_engine::metric::{Timestamp, days_of_date};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// A program under comparison; its requests have its name as the first part of their path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Prometheus,
    Sidewatch,
}

/// An alert in a post.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    side: Side,
    pub(crate) received: Timestamp,
    pub(crate) labels: String,
    annotations: String,
    pub(crate) starts: Timestamp,
    pub(crate) ends: Timestamp,
    pub(crate) url: String,
}

impl Notice {
    pub(crate) fn is_firing(&self) -> bool {
        self.ends > self.received
    }
}

/// A time as a distance from the first scrape of its phase.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    phase: usize,
    after: i64,
}

impl Place {
    pub(crate) fn is_near(self, other: Self, tolerance: Duration) -> bool {
        let apart = Duration::from_millis(self.after.abs_diff(other.after));
        self.phase == other.phase && apart <= tolerance
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Duration::from_millis(self.after.unsigned_abs()).as_secs_f64();
        let sign = if self.after < 0 { '-' } else { '+' };
        write!(f, "phase {} {sign}{seconds:.1} s", self.phase)
    }
}

/// Notifications in a row about one alert in one state.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) is_firing: bool,
    pub(crate) starts: Place,
    /// When it ended; `None` while it fires.
    pub(crate) ends: Option<Place>,
    /// The annotations, each once for notifications in a row.
    pub(crate) texts: Vec<String>,
    pub(crate) count: usize,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.texts.join(", then ");
        match self.ends {
            None => write!(f, "firing since {}", self.starts)?,
            Some(ends) => write!(f, "resolved at {ends}, since {}", self.starts)?,
        }
        write!(f, ", {} times, {texts}", self.count)
    }
}

/// The scrapes of one phase.
struct Served {
    first: Timestamp,
    count: usize,
}

#[derive(Default)]
struct State {
    phase: usize,
    /// By program and phase.
    served: BTreeMap<(Side, usize), Served>,
    notices: Vec<Notice>,
}

/// The server that both programs scrape and post to.
pub(crate) struct Recorder {
    server: MockServer,
    state: Arc<Mutex<State>>,
}

struct Responder {
    pages: Vec<String>,
    state: Arc<Mutex<State>>,
}

impl Respond for Responder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let side = if request.url.path().starts_with("/prometheus/") {
            Side::Prometheus
        } else {
            Side::Sidewatch
        };
        let now = clock::now();
        let mut state = self.state.lock().unwrap();
        if request.method.as_str() == "POST" {
            let alerts: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
            let notices = alerts.iter().map(|alert| notice(side, now, alert));
            state.notices.extend(notices);
            return ResponseTemplate::new(200);
        }
        let phase = state.phase;
        let none = Served {
            first: now,
            count: 0,
        };
        state.served.entry((side, phase)).or_insert(none).count += 1;
        let page = self.pages[phase].clone();
        ResponseTemplate::new(200).set_body_raw(page, "text/plain; version=0.0.4; charset=utf-8")
    }
}

fn notice(side: Side, received: Timestamp, alert: &Value) -> Notice {
    Notice {
        side,
        received,
        labels: alert["labels"].to_string(),
        annotations: texts(&alert["annotations"]),
        starts: time(&alert["startsAt"]),
        ends: time(&alert["endsAt"]),
        url: alert["generatorURL"].as_str().unwrap_or("").to_owned(),
    }
}

/// Prometheus leaves the key out when there are none.
fn texts(annotations: &Value) -> String {
    if annotations.is_null() {
        return "{}".to_owned();
    }
    annotations.to_string()
}

/// The time of `2026-01-02T03:04:05.678Z`.
fn time(text: &Value) -> Timestamp {
    let text = text.as_str().unwrap().strip_suffix('Z').unwrap();
    let (date, clock) = text.split_once('T').unwrap();
    let [year, month, day] = numbers(date, '-');
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hours, minutes, seconds] = numbers(clock, ':');
    let whole = days_of_date(year, month, day) * 86_400 + hours * 3600 + minutes * 60 + seconds;
    let part: f64 = format!("0.{fraction}").parse().unwrap();
    Timestamp::from_millis(whole * 1000) + Duration::from_secs_f64(part)
}

fn numbers(text: &str, separator: char) -> [i64; 3] {
    let numbers: Vec<i64> = text
        .split(separator)
        .map(|part| part.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

impl Recorder {
    /// A server with one page per phase, in phase 0.
    pub(crate) async fn start(pages: Vec<String>) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let server = MockServer::start().await;
        let responder = Responder {
            pages,
            state: Arc::clone(&state),
        };
        Mock::given(wiremock::matchers::any())
            .respond_with(responder)
            .mount(&server)
            .await;
        Self { server, state }
    }

    /// Host and port.
    pub(crate) fn host(&self) -> String {
        self.server.address().to_string()
    }

    /// Serves the page of this phase from now on.
    pub(crate) fn enter(&self, phase: usize) {
        self.state.lock().unwrap().phase = phase;
    }

    /// Whether both programs have scraped this often in this phase.
    pub(crate) fn served(&self, phase: usize, scrapes: usize) -> Result<(), String> {
        let state = self.state.lock().unwrap();
        let count = |side| {
            let served = state.served.get(&(side, phase));
            served.map_or(0, |served| served.count)
        };
        let counts = [count(Side::Prometheus), count(Side::Sidewatch)];
        if counts.iter().all(|count| *count >= scrapes) {
            Ok(())
        } else {
            Err(format!("{counts:?} scrapes"))
        }
    }

    /// What one program has posted.
    pub(crate) fn notices(&self, side: Side) -> Vec<Notice> {
        let state = self.state.lock().unwrap();
        let notices = state.notices.iter().filter(|notice| notice.side == side);
        notices.cloned().collect()
    }

    /// The spans of every alert, by its labels.
    pub(crate) fn timelines(&self, notices: &[Notice]) -> BTreeMap<String, Vec<Span>> {
        let mut timelines: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        let mut last: BTreeMap<&str, (bool, Timestamp)> = BTreeMap::new();
        for notice in notices {
            let spans = timelines.entry(notice.labels.clone()).or_default();
            let state = (notice.is_firing(), notice.starts);
            if last.insert(&notice.labels, state) != Some(state) {
                let ends = (!notice.is_firing()).then(|| self.place(notice.side, notice.ends));
                spans.push(Span {
                    is_firing: notice.is_firing(),
                    starts: self.place(notice.side, notice.starts),
                    ends,
                    texts: Vec::new(),
                    count: 0,
                });
            }
            let Some(span) = spans.last_mut() else {
                continue;
            };
            span.count += 1;
            if span.texts.last() != Some(&notice.annotations) {
                span.texts.push(notice.annotations.clone());
            }
        }
        timelines
    }

    /// The phase of a time. An evaluation may carry a time just before that of its scrape.
    fn place(&self, side: Side, at: Timestamp) -> Place {
        let state = self.state.lock().unwrap();
        let phases = state.served.iter().filter(|((of, _), _)| *of == side);
        let (phase, begin) = phases
            .map(|((_, phase), served)| (*phase, served.first))
            .take_while(|(_, begin)| *begin <= at + Duration::from_secs(1))
            .last()
            .unwrap_or_default();
        Place {
            phase,
            after: at.as_millis() - begin.as_millis(),
        }
    }
}
