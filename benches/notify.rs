//! The cost of delivery: `cargo bench --bench notify`.
//!
//! It prints two figures and their limits: our CPU time for a batch of 64 alerts (encode, queue,
//! send; less than 100 µs), and the time from the decision about an alert to its POST in the
//! transport, with 1,000 alerts (99th percentile less than 5 ms).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use sidewatch::alert::{
    Alert, Context, Explanation, Kind, Observation, Outcome, Rule, State, Template, Tracker,
};
use sidewatch::metric::{Labels, Timestamp};
use sidewatch::notify::alertmanager::{PeerSettings, Settings};
use sidewatch::notify::{Alertmanagers, Clock, Request, Response, Transport, TransportError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A transport that records the time of each request and responds at once.
#[derive(Default)]
struct RecordingTransport {
    at: Mutex<Vec<Instant>>,
    bytes: Mutex<usize>,
}

impl Transport for RecordingTransport {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        lock(&self.at).push(Instant::now());
        *lock(&self.bytes) += request.body.len();
        Box::pin(ready(Ok(Response {
            status: 200,
            ..Response::default()
        })))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// An alert of a typical size: nine labels, seven annotations.
fn alert(n: usize) -> Alert {
    let number = n.to_string();
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
    Alert {
        rule: "AccuracyDropped".into(),
        labels: Labels::new([
            ("alertname", "AccuracyDropped"),
            ("cluster", "eu1"),
            ("instance", "10.0.0.17:8000"),
            ("job", "fraud"),
            ("model_id", "fraud-detector"),
            ("model_version", "7"),
            ("namespace", "ml"),
            ("severity", "page"),
            ("shard", &number),
        ]),
        series: Labels::empty(),
        annotations: Labels::new([
            ("chart", "http://fraud-0.ml:9755/?rule=AccuracyDropped"),
            ("config_hash", "0123456789abcdef"),
            ("expected", "0.93 to 0.98"),
            ("score", "1.82"),
            (
                "summary",
                "accuracy of fraud-detector is 0.871, expected 0.93 to 0.98",
            ),
            ("value", "0.871"),
            (
                "why",
                "0.871 is 4.1 deviations below the mean of 0.957 over the last 240 values",
            ),
        ]),
        state: State::Firing,
        value: 0.871,
        active_at: at(1_700_000_000),
        fired_at: Some(at(1_700_000_060)),
        resolved_at: None,
        keep_firing_since: None,
        no_data_since: None,
        ends_at: Some(at(1_700_000_300)),
        generator_url: "http://fraud-0.ml:9755/?rule=AccuracyDropped".into(),
        explanation: None,
    }
}

fn settings(transport: &Arc<RecordingTransport>) -> Settings {
    let clock: Clock = Arc::new(Timestamp::default);
    let peer = PeerSettings {
        url: "http://alertmanager:9093".to_owned(),
        timeout: Duration::from_secs(10),
        relabel: Vec::new(),
        transport: Arc::<RecordingTransport>::clone(transport),
        discovery: None,
    };
    Settings {
        external_labels: Labels::new([("region", "eu")]),
        ..Settings::new(vec![peer], clock)
    }
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted
        .get(sorted.len() * share / 100)
        .copied()
        .unwrap_or_default()
}

/// Times of one batch of 64 alerts through queue, loop and transport.
async fn batch_of_64() -> Vec<Duration> {
    let transport = Arc::new(RecordingTransport::default());
    let (handle, runner) = Alertmanagers::new(settings(&transport));
    let alerts: Vec<Alert> = (0..64).map(alert).collect();
    let stop = CancellationToken::new();
    let measure = async {
        let mut took = Vec::new();
        for _ in 0..500 {
            let started = Instant::now();
            handle.send(&alerts);
            while !handle.is_idle() {
                tokio::task::yield_now().await;
            }
            took.push(started.elapsed());
        }
        stop.cancel();
        took
    };
    let (took, ()) = tokio::join!(measure, runner.run(stop.clone()));
    took
}

/// A watch with 1,000 anomalous series.
fn watch() -> (Rule, Context, Vec<Observation>) {
    let template = |text| Template::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let rule = Rule {
        name: "AccuracyDropped".into(),
        kind: Kind::Watch,
        interval: Duration::from_secs(15),
        labels: vec![("severity".to_owned(), template("page"))],
        annotations: vec![(
            "summary".to_owned(),
            template("accuracy of {{ $labels.shard }} is {{ $value | humanizePercentage }}"),
        )],
        ..Rule::default()
    };
    let context = Context {
        identity: Labels::new([
            ("model_id", "fraud-detector"),
            ("namespace", "ml"),
            ("pod", "fraud-0"),
        ]),
        external_url: "http://fraud-0.ml:9755".to_owned(),
        config_hash: "0123456789abcdef".to_owned(),
        ..Context::default()
    };
    let explanation = Arc::new(Explanation {
        strategy: "ewma (alpha 0.2, k_sigma 3)".to_owned(),
        why: "0.871 is 4.1 deviations below the mean of 0.957".to_owned(),
        score: Some(1.82),
        ..Explanation::default()
    });
    let series = |n: usize| Observation {
        explanation: Some(Arc::clone(&explanation)),
        ..Observation::active(Labels::named("accuracy", [("shard", n.to_string())]), 0.871)
    };
    (rule, context, (0..1000).map(series).collect())
}

/// Times of the state machine for the verdicts of 1,000 series, and times until each alert's batch
/// reaches the transport.
async fn decided_to_sent() -> (Vec<Duration>, Vec<Duration>) {
    let transport = Arc::new(RecordingTransport::default());
    let (handle, runner) = Alertmanagers::new(settings(&transport));
    let (rule, context, observations) = watch();
    let mut tracker = Tracker::new();
    let stop = CancellationToken::new();
    let measure = async {
        let (mut decided, mut sent) = (Vec::new(), Vec::new());
        for round in 0..100 {
            lock(&transport.at).clear();
            let now = Timestamp::from_millis(1_700_000_000_000 + round * 75_000);
            let judged = Instant::now();
            let outcome = Outcome::Observed(observations.clone());
            tracker.evaluate(&rule, now, outcome, &context);
            decided.push(judged.elapsed());
            let start = Instant::now();
            handle.send(&tracker.due(&rule, now, Duration::from_secs(60), &context));
            while !handle.is_idle() {
                tokio::task::yield_now().await;
            }
            // 256, 256, 256 and 232 alerts.
            for (at, share) in lock(&transport.at).iter().zip([256, 256, 256, 232]) {
                sent.extend(std::iter::repeat_n(at.duration_since(start), share));
            }
        }
        stop.cancel();
        (decided, sent)
    };
    let (took, ()) = tokio::join!(measure, runner.run(stop.clone()));
    took
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
async fn main() {
    let mut batch = batch_of_64().await;
    let (mut decided, mut sent) = decided_to_sent().await;
    decided.sort_unstable();
    batch.sort_unstable();
    sent.sort_unstable();
    // The median is compared: the tail of so short a time depends on the machine.
    let figures = [
        (
            "batch of 64, our CPU, median",
            percentile(&batch, 50),
            Duration::from_micros(100),
        ),
        (
            "1,000 alerts, decided to sent, 99th percentile",
            percentile(&sent, 99),
            Duration::from_millis(5),
        ),
    ];
    println!(
        "1,000 series evaluated, median: {:?}",
        percentile(&decided, 50)
    );
    println!(
        "1,000 alerts, decided to sent, median: {:?}",
        percentile(&sent, 50)
    );
    for (what, took, bound) in figures {
        let verdict = if took < bound { "ok" } else { "TOO SLOW" };
        println!("{what}: {took:?}, bound {bound:?}: {verdict}");
    }
}
