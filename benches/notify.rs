//! The cost of delivery: `cargo bench --bench notify`.
//!
//! Two figures, each with its bound: our CPU for a batch of 64 alerts (encode and queue; less than
//! 100 µs), and the time from an alert decided to its complete POST at a receiver on this machine,
//! with 1,000 alerts in four POSTs (99th percentile under 20 ms).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sidewatch::internals::notify::Alertmanagers;
use sidewatch::internals::notify::alertmanager::{PeerSettings, Settings};
use sidewatch::internals::runtime::http::{self, Client};
use sidewatch_engine::alert::{
    Alert, AlertKind, AlertRule, AlertState, Annotations, Context, Explanation, Observation,
    Outcome, Template, Tracker,
};
use sidewatch_engine::metric::{Labels, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A receiver in threads of its own. Records when each request has arrived, and answers 200.
struct Receiver {
    url: String,
    arrivals: Arc<Mutex<Vec<Instant>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let arrivals: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let recorded = Arc::clone(&arrivals);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let recorded = Arc::clone(&recorded);
                std::thread::spawn(move || serve(&stream, &recorded));
            }
        });
        Self {
            url: format!("http://{address}"),
            arrivals,
        }
    }

    /// The arrivals since the last call.
    fn take(&self) -> Vec<Instant> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut arrivals)
    }
}

/// Answers the requests of one connection until it is closed.
fn serve(mut stream: &TcpStream, arrivals: &Mutex<Vec<Instant>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Instant::now());
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
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
        annotations: Annotations::new([
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
        state: AlertState::Firing,
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

fn settings(url: &str) -> Settings {
    let peer = PeerSettings {
        url: url.to_owned(),
        timeout: Duration::from_secs(10),
        relabel: Vec::new(),
        client: Arc::new(Client::new(http::Settings::default())),
        discovery: None,
    };
    Settings {
        external_labels: Labels::new([("region", "eu")]),
        ..Settings::new(vec![peer])
    }
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted
        .get(sorted.len() * share / 100)
        .copied()
        .unwrap_or_default()
}

/// Encodes and queues a batch of 64, again and again.
fn batch_of_64() -> Vec<Duration> {
    let (handle, _runner) = Alertmanagers::new(settings("http://alertmanager:9093"));
    let alerts: Vec<Alert> = (0..64).map(alert).collect();
    let once = || {
        let started = Instant::now();
        handle.send(&alerts);
        started.elapsed()
    };
    (0..500).map(|_| once()).collect()
}

/// A watch with 1,000 anomalous series.
fn watch() -> (AlertRule, Context, Vec<Observation>) {
    let template = |text| Template::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let rule = AlertRule {
        name: "AccuracyDropped".into(),
        kind: AlertKind::Watch,
        interval: Duration::from_secs(15),
        labels: vec![("severity".to_owned(), template("page"))],
        annotations: vec![(
            "summary".to_owned(),
            template("accuracy of {{ $labels.shard }} is {{ $value | humanizePercentage }}"),
        )],
        ..AlertRule::default()
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

/// The verdicts of 1,000 series: the time in the state machine, and the time until the batch of
/// each alert has reached the receiver.
async fn decided_to_received() -> (Vec<Duration>, Vec<Duration>) {
    let receiver = Receiver::start();
    let (handle, runner) = Alertmanagers::new(settings(&receiver.url));
    let (rule, context, observations) = watch();
    let mut tracker = Tracker::new();
    let stop = CancellationToken::new();
    let measure = async {
        let (mut decided, mut received) = (Vec::new(), Vec::new());
        for round in 0..100 {
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
            for (at, share) in receiver.take().into_iter().zip([256, 256, 256, 232]) {
                received.extend(std::iter::repeat_n(at.duration_since(start), share));
            }
        }
        stop.cancel();
        (decided, received)
    };
    let (took, ()) = tokio::join!(measure, runner.run(stop.clone()));
    took
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
async fn main() {
    let mut batch = batch_of_64();
    let (mut decided, mut received) = decided_to_received().await;
    decided.sort_unstable();
    batch.sort_unstable();
    received.sort_unstable();
    // The median is the cost of a batch; the tail of so short a time comes from the machine.
    let figures = [
        (
            "batch of 64 encoded and queued, median",
            percentile(&batch, 50),
            Duration::from_micros(100),
        ),
        (
            "1,000 alerts, decided to received, 99th percentile",
            percentile(&received, 99),
            Duration::from_millis(20),
        ),
    ];
    println!(
        "1,000 series evaluated, median: {:?}",
        percentile(&decided, 50)
    );
    println!(
        "1,000 alerts, decided to received, median: {:?}",
        percentile(&received, 50)
    );
    for (what, took, bound) in figures {
        let verdict = if took < bound { "ok" } else { "TOO SLOW" };
        println!("{what}: {took:?}, bound {bound:?}: {verdict}");
    }
}
