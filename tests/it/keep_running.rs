//! `--keep-running`: no mistake ends a sidecar, because that would keep its pod from starting. The
//! page, the log and a metric report each one.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{Process, documented, free_port, get_json, get_text, until};

const SOON: Duration = Duration::from_secs(20);
const TEXT: &str = "scrape: {targets: [{url: \"http://127.0.0.1:1/metrics\", labels: {pod: a}}]}\n";

async fn model_server() -> (MockServer, String) {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_raw(documented::vllm("m"), "text/plain");
    Mock::given(method("GET"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let url = format!("http://{}/metrics", server.address());
    (server, url)
}

/// Starts with these arguments, and returns the port that the kubelet would ask.
fn start(dir: &Path, arguments: &[&str]) -> (Process, u16, u16) {
    let (main, health) = (free_port(), free_port());
    let listen = format!("--web.listen-address=127.0.0.1:{main}");
    let kubelet = format!("--web.health-listen-address=127.0.0.1:{health}");
    let mut all = vec!["run", "--keep-running", &listen, &kubelet];
    all.extend(arguments);
    (Process::sidewatch(&all, dir), main, health)
}

/// Waits until page, metric and log report a mistake.
async fn reported(process: &Process, main: u16, needle: &str) {
    let base = format!("http://127.0.0.1:{main}");
    until(needle, SOON, async || {
        let page = get_text(&base).await?;
        let metrics = get_text(&format!("{base}/metrics")).await?;
        let failed = |line: &str| {
            line.starts_with("sidewatch_config_last_reload_successful") && line.ends_with(" 0")
        };
        let says = page.contains("runs without what is wrong") && page.contains(needle);
        let logs = process.output().contains(needle);
        if says && logs && metrics.lines().any(failed) {
            Ok(())
        } else {
            Err(format!("{logs}\n{}\n{page}", process.output()))
        }
    })
    .await;
}

async fn groups(main: u16) -> Result<String, String> {
    let rules = get_json(&format!("http://127.0.0.1:{main}/api/v1/rules")).await?;
    Ok(rules["data"]["groups"].to_string())
}

#[tokio::test]
async fn a_wrong_pack_is_reported_and_the_target_watched_with_the_pack_that_fits() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, url) = model_server().await;
    let target = format!("--target={url}");
    let arguments = [
        &target,
        "--rules=vlm",
        "--config.text",
        TEXT,
        "--scrape.interval=200ms",
    ];
    let (process, main, _) = start(dir.path(), &arguments);
    until("the pack of the target", SOON, async || {
        let groups = groups(main).await?;
        if groups.contains("\"vllm\"") {
            Ok(())
        } else {
            Err(groups)
        }
    })
    .await;
    reported(&process, main, "vlm: neither a file nor a pack").await;
}

#[tokio::test]
async fn no_wrong_argument_ends_it() {
    let (_server, url) = model_server().await;
    let good = format!("--target={url}");
    let file = "--config.file=sidewatch.yaml";
    for (arguments, needle) in [
        (vec![good.as_str(), "--rules=auto", "--nope=1"], "--nope"),
        (
            vec![&good, "--rules=auto", "--scrape.interval=0s"],
            "at least 100ms",
        ),
        (
            vec![&good, "--rules=auto", "--scrape.interval", "soon"],
            "soon",
        ),
        (vec![&good, "--rules=auto", "--log.level=loud"], "loud"),
        (
            vec![
                &good,
                "--rules=auto",
                "--alertmanager.url=http://am:9093?x=1",
            ],
            "--alertmanager.url",
        ),
        (
            vec![&good, "--rules=auto", "--alertmanager.url=am:9093"],
            "--alertmanager.url",
        ),
        (
            vec![&good, "--rules=auto", "--storage.path=taken"],
            "storage.path: taken",
        ),
        (
            vec![&good, "--rules=auto", "--web.config.file=none.yml"],
            "none.yml",
        ),
        (
            vec!["--target=http://127.0.0.1:web/metrics", "--rules=auto"],
            "must be a URL such as",
        ),
        (
            vec!["--rules=auto", "--config.text", "scrape: {target: []}"],
            "scrape.target: unknown key",
        ),
        (vec![file], "storge: unknown key"),
        (vec!["--config.file=none.yaml"], "none.yaml: cannot be read"),
        (vec![&good, "--help"], "--help"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("taken"), "a file").unwrap();
        fs::write(
            dir.path().join("sidewatch.yaml"),
            format!("{TEXT}storge: {{}}\n"),
        )
        .unwrap();
        let (mut process, main, health) = start(dir.path(), &arguments);
        reported(&process, main, needle).await;
        let healthy = get_text(&format!("http://127.0.0.1:{health}/-/healthy")).await;
        assert!(healthy.is_ok(), "{arguments:?}: {healthy:?}");
        process.signal("TERM");
        assert!(process.ended(SOON).await.success(), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_right_one_of_two_packs_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, url) = model_server().await;
    let target = format!("--target={url}");
    let arguments = [&target, "--rules=acuracy, vllm", "--config.text", TEXT];
    let (process, main, _) = start(dir.path(), &arguments);
    reported(&process, main, "acuracy: neither a file nor a pack").await;
    let groups = groups(main).await.unwrap();
    assert!(
        groups.contains("\"vllm\"") && !groups.contains("\"auto\""),
        "{groups}"
    );
}

#[tokio::test]
async fn a_taken_port_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, url) = model_server().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--web.listen-address={}", taken.local_addr().unwrap());
    let target = format!("--target={url}");
    let health = free_port();
    let kubelet = format!("--web.health-listen-address=127.0.0.1:{health}");
    let arguments = [
        "run",
        "--keep-running",
        &target,
        "--rules=auto",
        &listen,
        &kubelet,
    ];
    let process = Process::sidewatch(&arguments, dir.path());
    until("health", SOON, async || {
        get_text(&format!("http://127.0.0.1:{health}/-/healthy")).await
    })
    .await;
    until("the log", SOON, async || {
        let output = process.output();
        if output.contains("--web.listen-address: ") {
            Ok(())
        } else {
            Err(output)
        }
    })
    .await;
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    // The folder can be written to, but the file cannot be opened.
    fs::create_dir_all(dir.path().join("state/sidewatch.redb/x")).unwrap();
    let (_server, url) = model_server().await;
    let target = format!("--target={url}");
    let arguments = [&target, "--rules=auto", "--storage.path=state"];
    let (process, main, health) = start(dir.path(), &arguments);
    until("health", SOON, async || {
        get_text(&format!("http://127.0.0.1:{health}/-/healthy")).await
    })
    .await;
    until("page and log", SOON, async || {
        let page = get_text(&format!("http://127.0.0.1:{main}")).await?;
        let output = process.output();
        let logs = output.contains("the store cannot be used");
        if logs && page.contains("state is in memory only") {
            Ok(())
        } else {
            Err(output)
        }
    })
    .await;
}

#[tokio::test]
async fn a_mended_file_is_loaded_and_a_later_mistake_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sidewatch.yaml");
    let whole = format!("{TEXT}rule_files: [triton]\n");
    fs::write(&file, whole.replace("triton", "triton, tritn")).unwrap();
    let (process, main, _) = start(dir.path(), &["--config.file=sidewatch.yaml"]);
    reported(&process, main, "tritn: neither a file nor a pack").await;
    assert!(
        groups(main).await.unwrap().contains("\"triton\""),
        "what is right is in force"
    );
    let page = format!("http://127.0.0.1:{main}");
    let shows = async |wanted: &str, not: &str| {
        until(wanted, SOON, async || {
            let text = get_text(&page).await?;
            let is_there = wanted.is_empty() || text.contains(wanted);
            if is_there && !text.contains(not) {
                Ok(())
            } else {
                Err(text)
            }
        })
        .await;
    };
    fs::write(&file, &whole).unwrap();
    process.signal("HUP");
    shows("", "has mistakes").await;
    fs::write(&file, whole.replace("triton", "vlm")).unwrap();
    process.signal("HUP");
    shows("the old one stays in force", "runs without what is wrong").await;
    assert!(
        groups(main).await.unwrap().contains("\"triton\""),
        "the old one"
    );
}
