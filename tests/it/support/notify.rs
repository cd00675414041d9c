//! A transport over the real network, a clock of one's own, and waiting for conditions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sidewatch::alert::{Alert, AlertState};
use sidewatch::metric::{Labels, Timestamp};
use sidewatch::notify::{Clock, Method, Request, Response, Transport, TransportError};
use tokio::time::Instant;

/// Longest a test waits for something that should happen.
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub(crate) struct Http(reqwest::Client);

impl Transport for Http {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let timeout = request.timeout;
            let builder = match request.method {
                Method::Post => self.0.post(&*request.url),
                Method::Put => self.0.put(&*request.url),
            };
            let builder = request
                .headers
                .iter()
                .fold(builder, |builder, (name, value)| {
                    builder.header(name, value)
                });
            let sent = builder.body(request.body).timeout(timeout).send().await;
            let answer = sent.map_err(|error| {
                if error.is_timeout() {
                    TransportError::Timeout(timeout)
                } else {
                    TransportError::Connection(format!("{error:?}"))
                }
            })?;
            let retry_after = answer.headers().get("retry-after");
            Ok(Response {
                status: answer.status().as_u16(),
                retry_after: retry_after.and_then(|v| v.to_str().ok()).map(str::to_owned),
                body: answer.text().await.unwrap_or_default(),
            })
        })
    }
}

/// A wall clock that tests move.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds * 1000)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// Waits until `condition` holds; fails the test after the deadline.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A firing or resolved alert.
pub(crate) fn alert(name: &str, state: AlertState, pairs: &[(&str, &str)]) -> Alert {
    let labels = pairs.iter().copied().chain([("alertname", name)]);
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
    Alert {
        rule: name.into(),
        labels: Labels::new(labels),
        series: Labels::new(pairs.iter().copied()),
        annotations: Labels::new([("summary", "it is bad")]),
        state,
        value: 0.5,
        active_at: at(1_700_000_000),
        fired_at: Some(at(1_700_000_060)),
        resolved_at: (state == AlertState::Resolved).then(|| at(1_700_000_120)),
        keep_firing_since: None,
        no_data_since: None,
        ends_at: Some(at(1_700_000_300)),
        generator_url: "http://side:9755/?rule=x".into(),
        explanation: None,
    }
}
