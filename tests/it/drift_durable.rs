//! Drift counts and learned references of the binary, across a restart and a crash.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{Process, free_port, get_json, until};

const SOON: Duration = Duration::from_secs(30);

/// A model server that answers a hundred requests between two scrapes.
#[derive(Default)]
struct Counting(Mutex<u32>);

impl Respond for Counting {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let mut scrapes = self.0.lock().unwrap();
        *scrapes += 1;
        let (low, all) = (*scrapes * 40, *scrapes * 100);
        let body = format!(
            "# TYPE score histogram\nscore_bucket{{le=\"0.5\"}} {low}\nscore_bucket{{le=\"+Inf\"}} {all}\n"
        );
        ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4")
    }
}

const RULES: &str = "
groups:
- name: drift
  rules:
  - record: score_drift
    drift: {histogram: score_bucket, window: 1h, reference: {learn: LEARN}, min_samples: 300}
  - watch: ScoresDrifted
    expr: score_drift
    strategy: {type: drift}
    annotations: {summary: drifted}
";

fn start(folder: &Path, address: &str) -> Process {
    let listen = format!("--web.listen-address={address}");
    Process::sidewatch(&["run", "--config.file=sidewatch.yaml", &listen], folder)
}

/// The state and reason of the signal, when there is one.
async fn signal(address: &str) -> Result<(String, String), String> {
    let answer = get_json(&format!("http://{address}/api/v1/signals")).await?;
    let signals = answer["data"]["signals"].as_array();
    let found = signals
        .and_then(|signals| {
            signals
                .iter()
                .find(|signal| signal["rule"] == "ScoresDrifted")
        })
        .ok_or_else(|| answer.to_string())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&found["state"]), text(&found["why"])))
}

async fn state_is(address: &str, wanted: &str) -> String {
    until(wanted, SOON, async || match signal(address).await {
        Ok((state, why)) if state == wanted => Ok(why),
        other => Err(format!("{other:?}")),
    })
    .await
}

async fn world(learn: &str) -> (tempfile::TempDir, MockServer, String) {
    let folder = tempfile::tempdir().unwrap();
    let target = MockServer::start().await;
    let server = Mock::given(method("GET")).respond_with(Counting::default());
    server.mount(&target).await;
    let config = format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\n\
         scrape: {{targets: [{{url: \"{}/metrics\", labels: {{pod: a-0}}}}]}}\n\
         rule_files: [rules.yaml]\nstorage: {{path: state}}\n",
        target.uri()
    );
    fs::write(folder.path().join("sidewatch.yaml"), config).unwrap();
    fs::write(
        folder.path().join("rules.yaml"),
        RULES.replace("LEARN", learn),
    )
    .unwrap();
    (folder, target, format!("127.0.0.1:{}", free_port()))
}

#[tokio::test]
async fn a_learnt_reference_and_the_window_survive_a_restart() {
    let (folder, _target, address) = world("1s").await;
    let mut process = start(folder.path(), &address);
    state_is(&address, "ok").await;
    process.signal("TERM");
    assert!(process.ended(SOON).await.success());
    let _process = start(folder.path(), &address);
    // Whatever is seen first was neither learnt anew nor counted anew: learning takes ten
    // evaluations.
    let first = until("a signal", SOON, async || signal(&address).await).await;
    assert_eq!(first.0, "ok", "{first:?}");
}

#[tokio::test]
async fn a_reference_that_is_still_being_learnt_goes_on_after_a_restart() {
    let (folder, _target, address) = world("1h").await;
    let mut process = start(folder.path(), &address);
    let observed = |why: &str| -> u32 {
        let (_, rest) = why.split_once(", ").unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let before = until("a thousand observations", SOON, async || {
        let why = signal(&address).await?.1;
        let count = observed(&why);
        if count >= 1000 { Ok(count) } else { Err(why) }
    })
    .await;
    process.signal("TERM");
    assert!(process.ended(SOON).await.success());
    let _process = start(folder.path(), &address);
    let why = state_is(&address, "warming_up").await;
    assert!(observed(&why) >= before, "{before}: {why}");
}
