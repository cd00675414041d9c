//! Retraining: the decisions of the gate, and delivery of requests despite faulty receivers.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sidewatch::internals::notify::retrain::{
    BodyTemplate, Deliveries, Entry, Format, Outbox, Phase, Receiver, Runner, Webhook,
};
use sidewatch::internals::notify::{Error, LogNotifier, RetrainingNotifier};
use sidewatch::internals::runtime::http::Secret;
use sidewatch::internals::state::{Batch, Store, StoreOutbox};
use sidewatch_engine::alert::{AlertState, Explanation};
use sidewatch_engine::judge::Band;
use sidewatch_engine::metric::{Labels, MatchOp, Matcher, Timestamp};
use sidewatch_engine::retrain::RetrainRequest;
use sidewatch_engine::retrain::{Attempt, Decision, GateKey, Gates, Hold, Policy, idempotency_key};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

use crate::support::notify::{TestClock, alert, http_client, submit, until};

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn request(id: &str) -> RetrainRequest {
    let mut alert = alert(
        "AccuracyDropped",
        AlertState::Firing,
        &[("team", "risk"), ("pod", "fraud-0")],
    );
    alert.explanation = Some(Arc::new(Explanation {
        score: Some(1.5),
        expected: Band {
            lower: Some(0.92),
            centre: None,
            upper: Some(f64::INFINITY),
        },
        ..Explanation::default()
    }));
    RetrainRequest::new(id.to_owned(), ("fraud", "7"), &alert, at(1_700_000_090))
}

// ---- the gate

fn policy() -> Policy {
    Policy {
        cooldown: 6 * HOUR,
        after: (3, 5),
        in_flight_timeout: 24 * HOUR,
        dry_run: false,
    }
}

fn series() -> &'static Labels {
    static SERIES: LazyLock<Labels> = LazyLock::new(|| {
        let pairs = [("model_name", "m"), ("pod", "a"), ("instance", "x")];
        Labels::named("accuracy", pairs)
    });
    &SERIES
}

fn key() -> GateKey {
    GateKey::new("AccuracyDropped", series())
}

fn attempt(now: i64, fired_at: Option<i64>) -> Attempt<'static> {
    Attempt {
        model: ("fraud", "7"),
        series: series(),
        at: at(now),
        fired_at: fired_at.map(at),
        enabled: true,
        limit: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a veto")]
fn no_veto() -> Result<bool, String> {
    Ok(false)
}

/// A gate that has seen enough anomalous verdicts.
fn ready(policy: &Policy) -> Gates {
    let mut gates = Gates::default();
    for _ in 0..policy.after.1 {
        gates.gate(&key()).verdict(policy, series(), true);
    }
    gates
}

fn id_of(decision: Decision) -> String {
    match decision {
        Decision::Request { id } | Decision::DryRun { id } => id,
        Decision::Hold(hold) => panic!("held: {hold}"),
    }
}

#[test]
fn three_of_five_verdicts_have_to_be_anomalous() {
    let policy = policy();
    let mut gates = Gates::default();
    let gate = gates.gate(&key());
    let mut decisions = Vec::new();
    for anomalous in [true, true, false, false, true, true, true] {
        gate.verdict(&policy, series(), anomalous);
        let held = gate
            .clone()
            .decide(&policy, &key(), &attempt(100, Some(90)), no_veto);
        decisions.push(matches!(held, Decision::Request { .. }));
    }
    assert_eq!(decisions, [false, false, false, false, true, true, true]);
    let hold =
        Gates::default()
            .gate(&key())
            .decide(&policy, &key(), &attempt(100, Some(90)), no_veto);
    let needed = Hold::TooFew {
        anomalous: 0,
        needed: 3,
        of: 5,
    };
    assert_eq!(hold, Decision::Hold(needed));
}

#[test]
fn only_a_firing_alert_asks_and_one_switch_stops_everything() {
    let policy = policy();
    let mut gates = ready(&policy);
    let gate = gates.gate(&key());
    let pending = gate.decide(&policy, &key(), &attempt(100, None), no_veto);
    assert_eq!(pending, Decision::Hold(Hold::NotFiring));
    let off = Attempt {
        enabled: false,
        ..attempt(100, Some(90))
    };
    let off = gate.decide(&policy, &key(), &off, || panic!("the veto is not asked"));
    assert_eq!(off, Decision::Hold(Hold::Disabled));
}

#[test]
fn requests_a_cooldown_apart_never_share_a_key_whenever_their_alerts_fired() {
    // In units of a sixth of the cool-down: fired at 1, asked late at 7; fired anew at 8, asked at
    // 13, as soon as it may. By the firing alone both are in epoch 1.
    let policy = Policy {
        after: (1, 1),
        in_flight_timeout: Duration::ZERO,
        ..policy()
    };
    let hour = 3600;
    let mut gates = ready(&policy);
    let mut ids = Vec::new();
    for (now, fired) in [(7, 1), (13, 8), (19, 8), (25, 25)] {
        gates.forget(policy.cooldown, Duration::ZERO, at(now * hour));
        gates.gate(&key()).verdict(&policy, series(), true);
        let asked = attempt(now * hour, Some(fired * hour));
        ids.push(id_of(gates.gate(&key()).decide(
            &policy,
            &key(),
            &asked,
            no_veto,
        )));
    }
    let unique: HashSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
    // The first is that of any other replica; a stored gate goes on in the same way.
    let epoch = |number| idempotency_key(("fraud", "7"), &key().rule, &key().series, number);
    assert_eq!(ids[..2], [epoch(1), epoch(2)]);
    let mut fresh = ready(&policy);
    let first = fresh
        .gate(&key())
        .decide(&policy, &key(), &attempt(7 * hour, Some(hour)), no_veto);
    assert_eq!(id_of(first), epoch(1));
    let stored = serde_json::to_string(&fresh).unwrap();
    let mut restored: Gates = serde_json::from_str(&stored).unwrap();
    let second = restored.gate(&key()).decide(
        &policy,
        &key(),
        &attempt(13 * hour, Some(8 * hour)),
        no_veto,
    );
    assert_eq!(id_of(second), epoch(2));
}

#[test]
fn a_veto_holds_and_so_does_one_that_cannot_be_evaluated() {
    let policy = policy();
    let mut gates = ready(&policy);
    let gate = gates.gate(&key());
    let now = attempt(100, Some(90));
    let vetoed = gate.decide(&policy, &key(), &now, || Ok(true));
    assert!(matches!(vetoed, Decision::Hold(Hold::Vetoed(_))));
    let failed = gate.decide(&policy, &key(), &now, || Err("no such metric".into()));
    assert_eq!(
        failed,
        Decision::Hold(Hold::Vetoed("unless failed: no such metric".into()))
    );
    // A veto uses nothing up.
    assert!(matches!(
        gate.decide(&policy, &key(), &now, no_veto),
        Decision::Request { .. }
    ));
}

#[test]
fn one_request_is_under_way_until_it_is_done_or_times_out() {
    let policy = Policy {
        cooldown: HOUR,
        ..policy()
    };
    let mut gates = ready(&policy);
    let first = id_of(
        gates
            .gate(&key())
            .decide(&policy, &key(), &attempt(0, Some(0)), no_veto),
    );
    let again = |gates: &mut Gates, now| {
        gates
            .gate(&key())
            .decide(&policy, &key(), &attempt(now, Some(0)), no_veto)
    };
    assert_eq!(
        again(&mut gates, 60),
        Decision::Hold(Hold::CoolingDown { until: at(3600) })
    );
    let in_flight = Hold::InFlight {
        id: first.clone(),
        until: at(86_400),
    };
    assert_eq!(again(&mut gates, 3600), Decision::Hold(in_flight));
    assert_eq!(gates.done("another"), None);
    assert_eq!(gates.done(&first), Some(key()));
    let second = id_of(again(&mut gates, 3600));
    assert_ne!(first, second);
    // Nobody reports the second done: it times out a day after it went out.
    assert!(matches!(
        again(&mut gates, 3600 + 86_399),
        Decision::Hold(Hold::InFlight { .. })
    ));
    assert!(matches!(
        again(&mut gates, 3600 + 86_400),
        Decision::Request { .. }
    ));
}

#[test]
fn a_dry_run_cools_down_but_nothing_is_under_way() {
    let policy = Policy {
        dry_run: true,
        ..policy()
    };
    let mut gates = ready(&policy);
    let gate = gates.gate(&key());
    let dry = gate.decide(&policy, &key(), &attempt(0, Some(0)), no_veto);
    assert!(matches!(dry, Decision::DryRun { .. }));
    assert_eq!(gate.in_flight(), None);
    let again = gate.decide(&policy, &key(), &attempt(60, Some(0)), no_veto);
    assert!(matches!(again, Decision::Hold(Hold::CoolingDown { .. })));
}

#[test]
fn gates_survive_the_store() {
    let policy = policy();
    let mut gates = ready(&policy);
    gates
        .gate(&key())
        .decide(&policy, &key(), &attempt(0, Some(0)), no_veto);
    let stored = serde_json::to_string(&gates).unwrap();
    let mut restored: Gates = serde_json::from_str(&stored).unwrap();
    assert_eq!(restored, gates);
    let held = restored
        .gate(&key())
        .decide(&policy, &key(), &attempt(60, Some(0)), no_veto);
    assert!(matches!(held, Decision::Hold(Hold::CoolingDown { .. })));
}

#[test]
fn gates_of_an_earlier_version_keep_their_cooldown_and_learn_their_verdicts_anew() {
    let old = r#"{"gates":[[{"rule":"AccuracyDropped","series":{"model_name":"m"}},
        {"verdicts":[true,true,true],"last_request":1700000000000,"in_flight":null}]]}"#;
    let mut gates: Gates = serde_json::from_str(old).unwrap();
    let rules = ["g/AccuracyDropped", "h/AccuracyDropped"];
    gates.rename(|rule| (rule == "AccuracyDropped").then(|| rules.to_vec()));
    let policy = policy();
    let now = 1_700_000_000 + 60;
    for rule in rules {
        let key = GateKey::new(rule, series());
        let gate = gates.gate(&key);
        let few = gate.decide(&policy, &key, &attempt(now, Some(now)), no_veto);
        assert!(matches!(
            few,
            Decision::Hold(Hold::TooFew { anomalous: 0, .. })
        ));
        (0..3).for_each(|_| gate.verdict(&policy, series(), true));
        let held = gate.decide(&policy, &key, &attempt(now, Some(now)), no_veto);
        assert!(
            matches!(held, Decision::Hold(Hold::CoolingDown { .. })),
            "{held:?}"
        );
    }
    assert_eq!(gates.len(), 2);
}

#[test]
fn each_replica_counts_for_itself_and_all_share_one_cooldown() {
    let policy = policy();
    let mut gates = Gates::default();
    let replica = |pod: &str| Labels::named("accuracy", [("model_name", "m"), ("pod", pod)]);
    let (a, b) = (replica("a"), replica("b"));
    for _ in 0..3 {
        gates.gate(&key()).verdict(&policy, &a, true);
        gates.gate(&key()).verdict(&policy, &b, false);
    }
    let mut decide = |series: &Labels, now: i64| {
        let attempt = Attempt {
            series,
            ..attempt(now, Some(0))
        };
        gates
            .gate(&key())
            .decide(&policy, &key(), &attempt, no_veto)
    };
    let few = Hold::TooFew {
        anomalous: 0,
        needed: 3,
        of: 5,
    };
    assert_eq!(decide(&b, 1), Decision::Hold(few));
    assert!(matches!(decide(&a, 1), Decision::Request { .. }));
    (0..3).for_each(|_| gates.gate(&key()).verdict(&policy, &b, true));
    let attempt = Attempt {
        series: &b,
        ..attempt(2, Some(0))
    };
    let held = gates
        .gate(&key())
        .decide(&policy, &key(), &attempt, no_veto);
    assert!(matches!(held, Decision::Hold(Hold::CoolingDown { .. })));
}

#[test]
fn replicas_and_retries_share_a_key_and_models_do_not() {
    let policy = policy();
    // Three pods of one model whose alerts fire a minute apart.
    let ids: HashSet<String> = [("a", 7200), ("b", 7260), ("c", 7320)]
        .into_iter()
        .map(|(pod, fired)| {
            let series = Labels::named(
                "accuracy",
                [("model_name", "m"), ("pod", pod), ("instance", pod)],
            );
            let key = GateKey::new("AccuracyDropped", &series);
            let mut gates = Gates::default();
            (0..5).for_each(|_| gates.gate(&key).verdict(&policy, &series, true));
            let attempt = Attempt {
                series: &series,
                ..attempt(fired + 5, Some(fired))
            };
            id_of(gates.gate(&key).decide(&policy, &key, &attempt, no_veto))
        })
        .collect();
    assert_eq!(ids.len(), 1);
    let series = Labels::new([("model_name", "m")]);
    let base = idempotency_key(("fraud", "7"), "R", &series, 1);
    assert_eq!(base.len(), 64);
    for other in [
        idempotency_key(("fraud", "8"), "R", &series, 1),
        idempotency_key(("frau", "d7"), "R", &series, 1),
        idempotency_key(("fraud", "7"), "S", &series, 1),
        idempotency_key(("fraud", "7"), "R", &series, 2),
        idempotency_key(("fraud", "7"), "R", &Labels::new([("model_name", "n")]), 1),
    ] {
        assert_ne!(base, other);
    }
}

// ---- formats

type Headers = Vec<(String, String)>;

fn body(format: &Format, url: &str) -> (Headers, Value) {
    let message = format
        .message(
            &request("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
            url,
        )
        .unwrap();
    (
        message.headers,
        serde_json::from_slice(&message.body).unwrap(),
    )
}

#[test]
fn a_cloud_event_is_one() {
    let (headers, event) = body(&Format::CloudEvents, "http://x");
    assert_eq!(
        headers,
        [(
            "content-type".to_owned(),
            "application/cloudevents+json".to_owned()
        )]
    );
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(
        event["id"],
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    );
    assert_eq!(event["source"], "/sidewatch/fraud");
    assert_eq!(event["type"], "dev.sidewatch.retraining.requested");
    assert_eq!(event["subject"], "AccuracyDropped");
    assert_eq!(event["time"], "2023-11-14T22:14:50.000Z");
    assert_eq!(event["partitionkey"], "fraud");
    assert_eq!(event["datacontenttype"], "application/json");
    assert_eq!(event["data"]["model_version"], "7");
    assert_eq!(event["data"]["value"], 0.5);
    assert_eq!(
        event["data"]["expected"],
        json!({"lower": 0.92, "centre": null, "upper": null})
    );
    assert_eq!(event["data"]["labels"]["pod"], "fraud-0");
    // Attribute names are lower-case letters and digits (CloudEvents 1.0, section 3).
    for name in event.as_object().unwrap().keys() {
        assert!(
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
            "{name}"
        );
    }
}

#[test]
fn a_binary_cloud_event_has_its_attributes_in_headers() {
    let (headers, data) = body(&Format::CloudEventsBinary, "http://x");
    let get = |name: &str| {
        headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    };
    assert_eq!(get("content-type"), Some("application/json"));
    assert_eq!(get("ce-specversion"), Some("1.0"));
    assert_eq!(get("ce-type"), Some("dev.sidewatch.retraining.requested"));
    assert_eq!(get("ce-subject"), Some("AccuracyDropped"));
    assert_eq!(data["model_id"], "fraud");
    let mut odd = request("1");
    odd.rule = "Tür \"auf\" 50%".into();
    let message = Format::CloudEventsBinary.message(&odd, "http://x").unwrap();
    let subject = message
        .headers
        .iter()
        .find(|(n, _)| n == "ce-subject")
        .map(|(_, v)| v.clone());
    assert_eq!(subject.as_deref(), Some("T%C3%BCr%20%22auf%22%2050%25"));
}

#[test]
fn pipelines_get_their_own_shapes() {
    let (_, run) = body(&Format::Airflow, "http://af/api/v2/dags/retrain/dagRuns");
    assert_eq!(
        run["dag_run_id"],
        "retrain-0123456789abcdef0123456789abcdef"
    );
    assert_eq!(run["conf"]["rule"], "AccuracyDropped");
    assert!(run.as_object().unwrap().contains_key("logical_date"));
    let (_, old) = body(&Format::Airflow, "http://af/api/v1/dags/retrain/dagRuns");
    assert!(!old.as_object().unwrap().contains_key("logical_date"));

    let kubeflow = Format::Kubeflow {
        pipeline_id: "p".into(),
        pipeline_version_id: String::new(),
        experiment_id: "e".into(),
    };
    let (_, run) = body(&kubeflow, "http://kfp");
    assert_eq!(
        run["pipeline_version_reference"],
        json!({"pipeline_id": "p"})
    );
    assert_eq!(run["experiment_id"], "e");
    assert_eq!(run["runtime_config"]["parameters"]["model_id"], "fraud");

    let (headers, dispatch) = body(
        &Format::Github {
            event_type: "retrain".into(),
        },
        "http://gh",
    );
    assert_eq!(dispatch["event_type"], "retrain");
    assert!(dispatch["client_payload"].as_object().unwrap().len() <= 10);
    assert!(headers.contains(&(
        "accept".to_owned(),
        "application/vnd.github+json".to_owned()
    )));

    let (_, submit) = body(
        &Format::Argo {
            template: "retrain-fraud".into(),
        },
        "http://argo",
    );
    assert_eq!(submit["resourceName"], "retrain-fraud");
    assert_eq!(
        submit["submitOptions"]["name"],
        "retrain-0123456789abcdef0123456789abcdef"
    );
    assert_eq!(submit["submitOptions"]["parameters"][0], "model_id=fraud");
    let (_, event) = body(
        &Format::Argo {
            template: String::new(),
        },
        "http://argo",
    );
    assert_eq!(event["rule"], "AccuracyDropped");

    let (_, hook) = body(&Format::Alertmanager, "http://x");
    assert_eq!(hook["version"], "4");
    assert_eq!(hook["groupKey"], r#"{}:{alertname="AccuracyDropped"}"#);
    let first = &hook["alerts"][0];
    assert_eq!(first["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(first["fingerprint"].as_str().unwrap().len(), 16);
    assert_eq!(first["startsAt"], "2023-11-14T22:14:20.000Z");
}

#[test]
fn a_template_of_ones_own_has_to_give_valid_json() {
    let good = BodyTemplate::parse(
        r#"{"m": {{ .model_id | toJson }}, "l": {{ .labels | toJson }}}"#,
        "application/json",
    )
    .unwrap();
    let (headers, made) = body(&Format::Template(good), "http://x");
    assert_eq!(made["m"], "fraud");
    assert_eq!(made["l"]["team"], "risk");
    assert_eq!(headers[0].1, "application/json");
    let bad = BodyTemplate::parse("{ {{ .model_id }}", "application/json").unwrap();
    let error = Format::Template(bad)
        .message(&request("1"), "http://x")
        .unwrap_err();
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("toJson"), "{error}");
    let plain = BodyTemplate::parse("retrain {{ .model_id }}", "text/plain").unwrap();
    let message = Format::Template(plain)
        .message(&request("1"), "http://x")
        .unwrap();
    assert_eq!(&*message.body, b"retrain fraud");
}

// ---- delivery

struct Running {
    handle: Deliveries,
    clock: TestClock,
    store: Arc<Store>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn new(receivers: Vec<Receiver>, store: &Arc<Store>) -> Self {
        let outbox = Arc::new(StoreOutbox::new(Arc::clone(store)));
        let clock = TestClock::at(1_700_000_000);
        let made = Deliveries::new(receivers, outbox, clock.clock(), Duration::from_secs(1));
        Self::start(made.unwrap(), clock, Arc::clone(store))
    }

    #[expect(clippy::disallowed_methods, reason = "a test owns its task")]
    fn start((handle, runner): (Deliveries, Runner), clock: TestClock, store: Arc<Store>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(runner.run(stop.clone()));
        Self {
            handle,
            clock,
            store,
            stop,
            task,
        }
    }

    async fn submit(&self, request: &RetrainRequest) -> usize {
        submit(&self.handle, &self.store, request).await
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    fn waiting(&self) -> usize {
        self.handle.stats().iter().map(|stats| stats.waiting).sum()
    }

    async fn failed(&self, times: u64) {
        until("attempts fail", || self.handle.stats()[0].failed >= times).await;
    }

    /// Lets waiting times pass until nothing waits.
    async fn settle(&self) {
        until("everything is delivered or dead", || {
            self.clock.advance(Duration::from_secs(1));
            self.handle.wake();
            self.waiting() == 0
        })
        .await;
    }
}

fn entries(store: &Arc<Store>) -> Vec<Entry> {
    StoreOutbox::new(Arc::clone(store)).list().unwrap()
}

fn webhook(server: &MockServer, format: Format) -> Webhook {
    Webhook {
        url: server.uri().into(),
        format,
        secret: None,
        headers: Vec::new(),
        timeout: Duration::from_secs(2),
        client: http_client(),
    }
}

fn receiver(name: &str, notifier: impl RetrainingNotifier + 'static) -> Receiver {
    Receiver {
        name: name.to_owned(),
        matchers: Vec::new(),
        notifier: Arc::new(notifier),
        expiry: 24 * HOUR,
    }
}

#[tokio::test]
async fn a_request_arrives_signed_with_its_key() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(header("idempotency-key", "k1"))
        .and(header("x-team", "ml"))
        .respond_with(ResponseTemplate::new(202))
        .expect(1)
        .mount(&server)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "It's a Secret to Everybody\n").unwrap();
    let template = BodyTemplate::parse("Hello, World!", "text/plain").unwrap();
    let hook = Webhook {
        secret: Some(Secret::File(path.clone())),
        headers: vec![("X-Team".into(), "ml".into())],
        ..webhook(&server, Format::Template(template))
    };
    assert!(!format!("{hook:?} {:?}", Secret::Inline("hush".into())).contains("hush"));
    let running = Running::new(
        vec![receiver("hook", hook.clone())],
        &Arc::new(Store::in_memory()),
    );
    assert_eq!(running.submit(&request("k1")).await, 1);
    until("it arrived", || running.handle.stats()[0].delivered == 1).await;
    let received = &server.received_requests().await.unwrap()[0];
    // The example of GitHub's page "Validating webhook deliveries".
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(received.headers["x-hub-signature-256"], signature);
    // The secret is read again for each request; one that is missing for a moment is a reason to
    // try again.
    std::fs::remove_file(&path).unwrap();
    let error = hook.request(&request("k2")).await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("cannot read the secret"),
        "{error}"
    );
    running.end().await;
}

/// Fails as often as told, then answers 200, and remembers the keys.
#[derive(Clone, Default)]
struct Flaky {
    faults: Arc<Mutex<Vec<ResponseTemplate>>>,
    arrived: Arc<Mutex<Vec<String>>>,
}

impl Respond for Flaky {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        if let Some(fault) = self.faults.lock().unwrap().pop() {
            return fault;
        }
        let key = request.headers["idempotency-key"]
            .to_str()
            .unwrap()
            .to_owned();
        self.arrived.lock().unwrap().push(key);
        ResponseTemplate::new(200)
    }
}

impl Flaky {
    async fn serve(&self) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(self.clone())
            .mount(&server)
            .await;
        server
    }
}

#[tokio::test]
async fn every_request_arrives_through_every_passing_fault() {
    let flaky = Flaky::default();
    let slow = || ResponseTemplate::new(200).set_delay(Duration::from_secs(20));
    let asked = || ResponseTemplate::new(429).insert_header("retry-after", "7");
    *flaky.faults.lock().unwrap() = vec![
        ResponseTemplate::new(500),
        slow(),
        asked(),
        ResponseTemplate::new(503),
        ResponseTemplate::new(408),
        ResponseTemplate::new(502),
    ];
    let server = flaky.serve().await;
    let running = Running::new(
        vec![receiver("hook", webhook(&server, Format::default()))],
        &Arc::new(Store::in_memory()),
    );
    for n in 0..20 {
        running.submit(&request(&format!("k{n}"))).await;
    }
    running.settle().await;
    let stats = running.handle.stats().remove(0);
    assert_eq!((stats.delivered, stats.failed, stats.dead), (20, 6, 0));
    let arrived: HashSet<String> = flaky.arrived.lock().unwrap().iter().cloned().collect();
    assert_eq!(arrived.len(), 20);
    running.end().await;
}

#[tokio::test]
async fn a_refused_request_is_dead_until_someone_retries_it() {
    let flaky = Flaky::default();
    *flaky.faults.lock().unwrap() =
        vec![ResponseTemplate::new(422).set_body_string("no such\npipeline")];
    let server = flaky.serve().await;
    let store = Arc::new(Store::in_memory());
    let running = Running::new(
        vec![receiver("hook", webhook(&server, Format::default()))],
        &store,
    );
    running.submit(&request("k1")).await;
    until("it is dead", || running.handle.stats()[0].dead == 1).await;
    until("the outbox knows", || {
        entries(&store)[0].phase == Phase::Dead
    })
    .await;
    let entry = running.handle.list().remove(0);
    assert_eq!(
        entry.last_error.as_deref(),
        Some("status 422: no such pipeline")
    );
    assert_eq!(running.handle.retry("hook/nosuch").await, Ok(false));
    assert_eq!(running.handle.retry(&entry.key()).await, Ok(true));
    until("it arrived", || running.handle.stats()[0].delivered == 1).await;
    until("the outbox is empty", || entries(&store).is_empty()).await;
    running.end().await;
}

#[tokio::test]
async fn a_request_expires_and_can_be_dropped() {
    let running = Running::new(
        vec![receiver(
            "hook",
            Webhook {
                url: "http://127.0.0.1:9".into(),
                ..webhook(&MockServer::start().await, Format::default())
            },
        )],
        &Arc::new(Store::in_memory()),
    );
    running.submit(&request("k1")).await;
    running.failed(1).await;
    running.clock.advance(25 * HOUR);
    running.handle.wake();
    until("it expired", || running.handle.stats()[0].dead == 1).await;
    assert_eq!(running.handle.drop_entry("hook/k1").await, Ok(true));
    assert_eq!(running.handle.drop_entry("hook/k1").await, Ok(false));
    assert!(running.handle.list().is_empty());
    running.end().await;
}

/// The key that names the run `retrain-00112233445566778899aabbccddeeff`.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn argo() -> Format {
    Format::Argo {
        template: "retrain-fraud".to_owned(),
    }
}

/// Sends one request to a receiver that answers 409 with this text, and describes a run with
/// `run`. Returns whether the request counts as delivered.
async fn conflict(format: Format, text: &str, run: ResponseTemplate) -> Result<(), Error> {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(409).set_body_string(text))
        .mount(&server)
        .await;
    let place = "/api/v2/dags/retrain/dagRuns/retrain-00112233445566778899aabbccddeeff";
    Mock::given(method("GET"))
        .and(path(place))
        .respond_with(run)
        .mount(&server)
        .await;
    let hook = Webhook {
        url: format!("{}/api/v2/dags/retrain/dagRuns/", server.uri()).into(),
        ..webhook(&server, format)
    };
    hook.request(&request(KEY)).await
}

#[tokio::test]
async fn a_conflict_that_names_this_run_is_a_delivery() {
    let unknown = || ResponseTemplate::new(404);
    let argo_says = r#"{"code":6,"message":"workflows.argoproj.io \"retrain-00112233445566778899aabbccddeeff\" already exists"}"#;
    assert_eq!(conflict(argo(), argo_says, unknown()).await, Ok(()));
    let airflow_says = r#"{"detail":"DAGRun with DAG ID: 'retrain' and DAGRun ID: 'retrain-00112233445566778899aabbccddeeff' already exists","status":409,"title":"Conflict"}"#;
    assert_eq!(
        conflict(Format::Airflow, airflow_says, unknown()).await,
        Ok(())
    );
}

#[tokio::test]
async fn a_conflict_about_something_else_is_tried_again() {
    let unknown = || ResponseTemplate::new(404);
    let quota = r#"{"code":6,"message":"Operation cannot be fulfilled on resourcequotas \"team\": the object has been modified"}"#;
    let date = "DAGRun with DAG ID: 'retrain' and DAGRun logical date: '2026-11-30T00:00:00+00:00' already exists";
    let long = "x".repeat(1 << 20) + "retrain-00112233445566778899aabbccddeeff already exists";
    for (format, text) in [
        (argo(), quota),
        (argo(), ""),
        (argo(), &long),
        (Format::Airflow, date),
        (
            Format::CloudEvents,
            "retrain-00112233445566778899aabbccddeeff",
        ),
    ] {
        let error = conflict(format, text, unknown()).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert!(error.to_string().starts_with("status 409"), "{error}");
    }
}

#[tokio::test]
async fn airflow_is_asked_for_the_run_when_its_conflict_hides_the_name() {
    let hidden = r#"{"detail":{"reason":"Unique constraint violation","statement":"hidden","orig_error":"hidden"}}"#;
    let run = r#"{"dag_run_id":"retrain-00112233445566778899aabbccddeeff","state":"queued"}"#;
    let found = ResponseTemplate::new(200).set_body_string(run);
    assert_eq!(conflict(Format::Airflow, hidden, found).await, Ok(()));
    let login = ResponseTemplate::new(200).set_body_string("<html>Sign in</html>");
    for other in [
        login,
        ResponseTemplate::new(404),
        ResponseTemplate::new(403),
    ] {
        let result = conflict(Format::Airflow, hidden, other).await;
        assert!(result.unwrap_err().is_retryable());
    }
}

#[tokio::test]
async fn a_request_is_refused_for_good_only_for_its_content() {
    let flaky = Flaky::default();
    let statuses = [301, 302, 401, 403, 404, 405, 409, 410, 415, 429];
    *flaky.faults.lock().unwrap() = statuses.map(ResponseTemplate::new).to_vec();
    let server = flaky.serve().await;
    let running = Running::new(
        vec![receiver("hook", webhook(&server, Format::default()))],
        &Arc::new(Store::in_memory()),
    );
    running.submit(&request("k1")).await;
    running.settle().await;
    let stats = running.handle.stats().remove(0);
    assert_eq!((stats.delivered, stats.failed, stats.dead), (1, 10, 0));
    for status in [400, 413, 422] {
        let fault = ResponseTemplate::new(status);
        flaky.faults.lock().unwrap().push(fault);
        running.submit(&request(&format!("k{status}"))).await;
        running.settle().await;
    }
    let stats = running.handle.stats().remove(0);
    assert_eq!((stats.delivered, stats.dead), (1, 3));
    running.end().await;
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let soon = u64::try_from(sidewatch::internals::runtime::clock::now().as_millis()).unwrap()
        / 1000
        + 600;
    let limited = ResponseTemplate::new(403)
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", soon.to_string());
    let asked = ResponseTemplate::new(403).insert_header("retry-after", "600");
    for answer in [limited, asked] {
        let flaky = Flaky::default();
        flaky.faults.lock().unwrap().push(answer);
        let server = flaky.serve().await;
        let error = webhook(&server, Format::default())
            .request(&request("k1"))
            .await
            .unwrap_err();
        let wait = error.retry_after().unwrap();
        assert!(wait > Duration::from_secs(500), "{wait:?}");
    }
}

/// A notifier of another crate.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl RetrainingNotifier for Recorder {
    fn request<'a>(&'a self, request: &'a RetrainRequest) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut seen = self.0.lock().unwrap();
            seen.push(request.id.clone());
            if seen.len() == 1 {
                return Err(Error::other("not yet", true));
            }
            Ok(())
        })
    }
}

#[tokio::test]
async fn requests_are_routed_by_label_and_other_notifiers_plug_in() {
    let (risk, rest) = (Recorder::default(), Recorder::default());
    let only = |name: &str, value: &str| Matcher::try_new(name, MatchOp::Regex, value).unwrap();
    let running = Running::new(
        vec![
            Receiver {
                matchers: vec![only("team", "risk"), only("model_id", "fr.*")],
                ..receiver("risk", risk.clone())
            },
            Receiver {
                matchers: vec![only("team", "ads")],
                ..receiver("ads", rest.clone())
            },
            receiver("log", LogNotifier),
        ],
        &Arc::new(Store::in_memory()),
    );
    assert_eq!(running.submit(&request("k1")).await, 2);
    assert_eq!(running.submit(&request("k1")).await, 2);
    running.settle().await;
    assert_eq!(*risk.0.lock().unwrap(), ["k1", "k1"]);
    assert!(rest.0.lock().unwrap().is_empty());
    running.end().await;
}

#[tokio::test]
async fn dead_requests_are_kept_but_not_for_ever() {
    let store = Arc::new(Store::in_memory());
    let mut batch = Batch::new();
    for n in 0..1005 {
        let at = Timestamp::from_millis(1_600_000_000_000 + n);
        let entry = Entry::new("hook", request(&format!("k{n:04}")), at, HOUR);
        batch.put_entry(&entry).unwrap();
    }
    store.commit(batch).unwrap();
    let running = Running::new(vec![receiver("hook", LogNotifier)], &store);
    // All of them expired long ago.
    until("the oldest are dropped", || entries(&store).len() == 1000).await;
    assert_eq!(entries(&store)[0].request.id, "k0005");
    assert_eq!(running.handle.stats()[0].dead, 1000);
    running.end().await;
}

/// Panics at first.
#[derive(Clone, Default)]
struct Clumsy(Arc<Mutex<u32>>);

impl RetrainingNotifier for Clumsy {
    fn request<'a>(&'a self, _: &'a RetrainRequest) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async {
            let first = {
                let mut times = self.0.lock().unwrap();
                *times += 1;
                *times == 1
            };
            assert!(!first, "a notifier of another crate has a fault");
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_notifier_that_panics_is_tried_again_later() {
    let running = Running::new(
        vec![receiver("clumsy", Clumsy::default())],
        &Arc::new(Store::in_memory()),
    );
    running.submit(&request("k1")).await;
    running.failed(1).await;
    assert_eq!(
        running.handle.stats()[0].last_error.as_deref(),
        Some("the notifier panicked")
    );
    running.settle().await;
    assert_eq!(running.handle.stats()[0].delivered, 1);
    running.end().await;
}

#[tokio::test]
async fn stopping_delivers_what_it_can_and_a_restart_tries_the_rest_at_once() {
    let flaky = Flaky::default();
    *flaky.faults.lock().unwrap() = vec![ResponseTemplate::new(503)];
    let server = flaky.serve().await;
    let store = Arc::new(Store::in_memory());
    let running = Running::new(
        vec![receiver("hook", webhook(&server, Format::default()))],
        &store,
    );
    running.submit(&request("k1")).await;
    running.failed(1).await;
    running.submit(&request("k2")).await;
    running.end().await;
    assert_eq!(*flaky.arrived.lock().unwrap(), ["k2"]);
    assert_eq!(entries(&store).len(), 1);
    let again = Running::new(
        vec![receiver("hook", webhook(&server, Format::default()))],
        &store,
    );
    until("the rest arrived", || {
        again.handle.stats()[0].delivered == 1
    })
    .await;
    assert_eq!(*flaky.arrived.lock().unwrap(), ["k2", "k1"]);
    again.end().await;
}
