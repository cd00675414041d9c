//! `--rules=auto`: every kind of server is recognised, also when it starts after the sidecar.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sidewatch::internals::config::exposed::Exposed;
use sidewatch::internals::config::packs::recognise;
use sidewatch_engine::exposition::{Exposition, Format};
use sidewatch_engine::metric::Timestamp;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{Process, documented, free_port, get_json, get_text, recordings, until};

const SOON: Duration = Duration::from_secs(20);

/// The pack that each recorded server should get.
const RECORDED: [(&str, &str); 6] = [
    ("custom_multiprocess", "prometheus-client"),
    ("custom_prometheus_client", "prometheus-client"),
    ("kserve", "kserve"),
    ("mlserver", "mlserver"),
    ("torchserve", "torchserve"),
    ("triton", "triton"),
];

fn bodies(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bodies(&path, found);
        } else if path.extension().is_some_and(|end| end == "txt") {
            found.push(path);
        }
    }
}

/// The pack that a body gets, if any.
fn pack_of(body: impl Into<Vec<u8>>) -> Option<&'static str> {
    let body = body.into();
    let openmetrics = body.trim_ascii_end().ends_with(b"# EOF");
    let format = if openmetrics {
        Format::OpenMetrics
    } else {
        Format::Text
    };
    let exposition = Exposition::new(body, format, Timestamp::default());
    let exposed = Exposed::read(&exposition).unwrap();
    let names: Vec<&str> = exposed.names().collect();
    recognise(&names).ok().map(|pack| pack.name)
}

#[test]
fn every_recorded_scrape_is_recognised() {
    let recordings = recordings();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (server, pack) in RECORDED {
        let mut files = Vec::new();
        bodies(&recordings.path().join(server), &mut files);
        for file in files {
            let body = fs::read(&file).unwrap();
            if body.is_empty() {
                // Several workers expose nothing before their first request.
                continue;
            }
            let found = pack_of(body);
            seen += 1;
            let is_idle = file.to_string_lossy().contains("/idle_");
            if found.is_none() && is_idle && pack == "prometheus-client" {
                // Before the first request the usual names have no series yet.
                continue;
            }
            if found != Some(pack) {
                wrong.push(format!("{}: {found:?}", file.display()));
            }
        }
    }
    assert!(seen > 100, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(pack_of(documented::vllm("m")), Some("vllm"));
    assert_eq!(pack_of(documented::poor_vllm("m")), Some("vllm"));
    assert_eq!(pack_of(documented::tgi()), Some("tgi"));
    assert_eq!(pack_of(documented::llama_cpp()), Some("llama-cpp"));
}

fn start(dir: &Path, target: &str) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let (target, listen) = (
        format!("--target={target}"),
        format!("--web.listen-address={address}"),
    );
    let args = [
        "run",
        &target,
        "--rules=auto",
        "--scrape.interval=200ms",
        "--storage.path=state",
        &listen,
    ];
    (Process::sidewatch(&args, dir), address)
}

/// Waits until the only rule group has this name.
async fn wait_for_group(address: &str, expected: &str) {
    until("the rules", SOON, async || {
        let answer = get_json(&format!("http://{address}/api/v1/rules")).await?;
        let groups = answer["data"]["groups"].as_array().cloned();
        let names: Vec<String> = groups
            .unwrap_or_default()
            .iter()
            .filter_map(|group| Some(group["name"].as_str()?.to_owned()))
            .collect();
        if names == [expected] {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_starts_later_is_recognised_at_its_first_scrape() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let (process, address) = start(dir.path(), &format!("http://127.0.0.1:{port}/metrics"));
    wait_for_group(&address, "auto").await;
    assert!(
        get_text(&format!("http://{address}/-/healthy"))
            .await
            .is_ok()
    );
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let server = MockServer::builder().listener(listener).start().await;
    let body =
        "# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{model_name=\"m\"} 3\n";
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "text/plain"))
        .mount(&server)
        .await;
    wait_for_group(&address, "vllm").await;
    until("a value of the pack", SOON, async || {
        let page = get_text(&format!("http://{address}/metrics")).await?;
        let found = page.lines().any(|line| {
            line.starts_with("sidewatch_metric_value{") && line.contains("vllm_queue_length")
        });
        if found { Ok(()) } else { Err(page) }
    })
    .await;
    drop(process);
    // After a restart the pack is used without a scrape.
    drop(server);
    let (_process, address) = start(dir.path(), &format!("http://127.0.0.1:{port}/metrics"));
    wait_for_group(&address, "vllm").await;
}

#[tokio::test]
async fn an_unknown_server_raises_an_alert_until_it_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let server = MockServer::start().await;
    let unknown = ResponseTemplate::new(200).set_body_raw("something 1\n", "text/plain");
    Mock::given(method("GET"))
        .respond_with(unknown)
        .up_to_n_times(5)
        .mount(&server)
        .await;
    let known = ResponseTemplate::new(200).set_body_raw("tgi_queue_size 1\n", "text/plain");
    Mock::given(method("GET"))
        .respond_with(known)
        .with_priority(9)
        .mount(&server)
        .await;
    let (_process, address) = start(dir.path(), &server.uri());
    until("the alert", SOON, async || {
        let answer = get_json(&format!("http://{address}/api/v1/alerts")).await?;
        let text = answer.to_string();
        if text.contains("ServerNotRecognised") && text.contains("nothing is watched") {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
    wait_for_group(&address, "tgi").await;
}
