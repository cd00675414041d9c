//! `/probe`: one scrape of a configured target, judged once. A request cannot choose another
//! target.

use std::fs;
use std::time::Duration;

use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{Process, free_port, get_text, until};

const SOON: Duration = Duration::from_secs(30);

const MODULE: &str = "
groups:
- name: g
  rules:
  - record: accuracy
    metric: accuracy
    expr: model_accuracy
  - watch: AccuracyDropped
    expr: accuracy
    strategy: {type: static, bound: 0.9}
  - watch: AccuracyUnusual
    expr: accuracy
    strategy: {type: ewma}
";

async fn target(body: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/metrics"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_raw(body.to_owned(), "text/plain; version=0.0.4; charset=utf-8"),
        )
        .mount(&server)
        .await;
    server
}

struct World {
    dir: tempfile::TempDir,
    process: Process,
    url: String,
}

impl World {
    /// Our binary, which scrapes `scraped` once a minute.
    async fn new(scraped: &str, probe: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 60s, scrape_timeout: 2s}}\nmodel: {{id: m}}\n\
             scrape:\n  targets: [{{url: \"{scraped}/metrics\", labels: {{pod: p}}}}]\nrule_files: [rules.yaml]\n{probe}"
        );
        fs::write(dir.path().join("sidewatch.yaml"), config).unwrap();
        fs::write(dir.path().join("rules.yaml"), "groups: []\n").unwrap();
        fs::write(dir.path().join("module.yaml"), MODULE).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let listen = format!("--web.listen-address={address}");
        let args = [
            "run",
            "--config.file=sidewatch.yaml",
            "--web.enable-lifecycle",
            &listen,
        ];
        let process = Process::sidewatch(&args, dir.path());
        let url = format!("http://{address}");
        until("ready", SOON, async || {
            get_text(&format!("{url}/-/ready")).await
        })
        .await;
        Self { dir, process, url }
    }

    async fn probe(&self, query: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}/probe?{query}", self.url)).await;
        let answer = answer.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

#[tokio::test]
async fn a_probe_scrapes_now_and_tells_values_and_verdicts() {
    let scraped =
        target("# TYPE model_accuracy gauge\nmodel_accuracy{model_name=\"a\"} 0.5\n").await;
    let other =
        target("# TYPE model_accuracy gauge\nmodel_accuracy{model_name=\"b\"} 0.95\n").await;
    let world = World::new(
        &scraped.uri(),
        &format!(
            "probe:\n  targets: [{{url: \"{}/metrics\"}}, {{url: \"http://127.0.0.1:1/metrics\"}}]\n  modules: {{judge: {{rules: [module.yaml]}}}}\n",
            other.uri()
        ),
    )
    .await;
    let (status, page) = world
        .probe(&format!("target={}/metrics&module=judge", scraped.uri()))
        .await;
    assert_eq!(status, 200, "{page}");
    for line in [
        "probe_success 1",
        "sidewatch_metric_value{model_id=\"m\",group=\"g\",metric=\"accuracy\",model_name=\"a\"} 0.5",
        "sidewatch_anomaly{model_id=\"m\",group=\"g\",rule=\"AccuracyDropped\",model_name=\"a\"} 1",
        "sidewatch_signal_state{model_id=\"m\",group=\"g\",rule=\"AccuracyUnusual\",model_name=\"a\",state=\"warming_up\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(page.contains("probe_duration_seconds 0."), "{page}");
    assert_eq!(
        scraped.received_requests().await.unwrap().len(),
        2,
        "the tick's and ours"
    );

    // Not scraped otherwise, but allowed; and asked for by its instance, as relabelling does.
    let instance = other.uri().replace("http://", "");
    let (status, page) = world
        .probe(&format!("target={instance}&module=judge"))
        .await;
    assert_eq!(status, 200, "{page}");
    let line =
        "sidewatch_anomaly{model_id=\"m\",group=\"g\",rule=\"AccuracyDropped\",model_name=\"b\"} 0";
    assert!(page.contains(line), "{page}");

    // A target that does not answer is a failed probe, not a failed request.
    let (status, page) = world
        .probe("target=http://127.0.0.1:1/metrics&module=judge")
        .await;
    assert_eq!(status, 200);
    assert!(
        page.contains("probe_success 0") && !page.contains("sidewatch_metric_value"),
        "{page}"
    );

    // Nothing of it is an event of the process.
    let alerts = get_text(&format!("{}/api/v1/alerts", world.url))
        .await
        .unwrap();
    assert!(alerts.contains("\"alerts\":[]"), "{alerts}");
    assert!(!world.process.output().contains("alert changed"));
}

#[tokio::test]
async fn nobody_can_aim_a_probe_at_another_host() {
    let scraped = target("up_to 1\n").await;
    let secret = target("secret 1\n").await;
    let world = World::new(&scraped.uri(), "").await;
    let own = format!("target={}/metrics&module=judge", scraped.uri());
    let (status, remedy) = world.probe(&own).await;
    assert_eq!(status, 404);
    assert!(remedy.contains("probe.modules"), "{remedy}");

    // Switched on by a reload.
    let file = world.dir.path().join("sidewatch.yaml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        format!("{config}probe: {{modules: {{judge: {{rules: [module.yaml]}}}}}}\n"),
    )
    .unwrap();
    let reload = reqwest::Client::new().post(format!("{}/-/reload", world.url));
    assert_eq!(reload.send().await.unwrap().status(), 200);
    assert_eq!(world.probe(&own).await.0, 200);

    let (host, elsewhere) = (scraped.uri(), secret.uri());
    for target in [
        format!("{elsewhere}/metrics"),
        format!("{host}/other"),
        format!("{host}/metrics?x"),
        format!("{host}/metrics/../admin"),
        format!("{host}@{}", elsewhere.trim_start_matches("http://")),
        "file:///etc/passwd".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        String::new(),
    ] {
        let target = target.replace('?', "%3f").replace('&', "%26");
        let (status, remedy) = world.probe(&format!("target={target}&module=judge")).await;
        assert_eq!(status, 403, "{target}");
        assert!(
            remedy.contains("probe.targets") && !remedy.contains("169"),
            "{remedy}"
        );
    }
    assert!(secret.received_requests().await.unwrap().is_empty());
    for query in [
        "module=judge",
        &format!("target={host}/metrics"),
        &format!("target={host}/metrics&module=x"),
    ] {
        assert_eq!(world.probe(query).await.0, 400, "{query}");
    }
    let post = reqwest::Client::new().post(format!("{}/probe?{own}", world.url));
    assert_eq!(post.send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_probe_does_not_tell_passwords_and_each_target_is_probed_seldom() {
    let scraped = target("up_to 1\n").await;
    let address = scraped.uri().replace("http://", "");
    let world = World::new(
        &scraped.uri(),
        &format!(
            "probe:\n  targets: [{{url: \"http://me:hunter2@{address}/other\"}}]\n  modules: {{judge: {{rules: [module.yaml]}}}}\n"
        ),
    )
    .await;
    for (user, expected) in [
        ("me:guess@", 403),
        ("me:hunter2@", 403),
        ("me:xxxxx@", 403),
        ("", 200),
    ] {
        let query = format!("target=http://{user}{address}/other&module=judge");
        let (status, answer) = world.probe(&query).await;
        assert_eq!(status, expected, "{user}: {answer}");
        assert!(!answer.contains("hunter2"), "{answer}");
    }
    let own = format!("target={}/metrics&module=judge", scraped.uri());
    let spellings = [
        own.clone(),
        format!("target={address}&module=judge"),
        format!("module=judge&target=http%3A%2F%2F{address}%2Fmetrics"),
    ];
    let mut statuses = Vec::new();
    for turn in 0..51 {
        statuses.push(world.probe(&spellings[turn % 3]).await.0);
    }
    assert_eq!(statuses[..3], [200; 3]);
    // One budget, however the target is spelled.
    for spelling in 0..3 {
        let mut own = statuses.iter().skip(spelling).step_by(3);
        assert!(own.any(|status| *status == 429), "{statuses:?}");
    }
    until("another probe", SOON, async || {
        match world.probe(&own).await {
            (200, _) => Ok(()),
            (status, _) => Err(status),
        }
    })
    .await;
}

#[tokio::test]
async fn a_secret_in_the_query_of_a_target_is_shown_nowhere() {
    let scraped = target("model_accuracy 0.99\n").await;
    let probed = target("no exposition\n").await;
    let probe = format!(
        "probe:\n  targets: [{{url: \"{}/metrics?token=s3cret\"}}]\n  modules: {{m: {{rules: [module.yaml]}}}}\n",
        probed.uri()
    );
    let world = World::new(&scraped.uri(), &probe).await;
    let asked = format!("module=m&target={}/metrics", probed.uri());
    let (status, page) = world.probe(&asked).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("probe_success 0"), "{page}");
    let requests = probed.received_requests().await.unwrap();
    assert_eq!(requests[0].url.query(), Some("token=s3cret"));
    let (_, refused) = world
        .probe("module=m&target=http://other/?token=s3cret")
        .await;
    let metrics = get_text(&format!("{}/metrics", world.url)).await.unwrap();
    for text in [page, refused, metrics, world.process.output()] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}
