//! Helpers for deliveries: a client, a clock that tests move, and waiting for conditions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sidewatch::internals::notify::retrain::{Clock, Deliveries};
use sidewatch::internals::runtime::http::{self, Client};
use sidewatch::internals::state::{Batch, Store};
use sidewatch_engine::alert::{Alert, AlertState, Annotations};
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::retrain::RetrainRequest;
use tokio::time::Instant;

/// Longest wait for an expected condition.
const DEADLINE: Duration = Duration::from_secs(20);

/// An HTTP client with default settings.
pub(crate) fn http_client() -> Arc<Client> {
    Arc::new(Client::new(http::Settings::default()))
}

/// Writes the entries of a request into the outbox as a tick does, then starts their delivery.
/// Returns the number of receivers.
pub(crate) async fn submit(
    handle: &Deliveries,
    store: &Arc<Store>,
    request: &RetrainRequest,
) -> usize {
    let entries = handle.route(request);
    let (store, written) = (Arc::clone(store), entries.clone());
    let commit = move || {
        let mut batch = Batch::new();
        for entry in &written {
            batch.put_entry(entry).unwrap();
        }
        store.commit(batch).unwrap();
    };
    tokio::task::spawn_blocking(commit).await.unwrap();
    let receivers = entries.len();
    handle.enqueue(entries);
    receivers
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
        annotations: Annotations::new([("summary", "it is bad")]),
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
