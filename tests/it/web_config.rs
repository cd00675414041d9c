//! `--web.config.file`: TLS, passwords and client certificates, seen by a client.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::{Identity, StatusCode, Version, tls};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::support::certificates::Authority;
use super::support::{Guarded, Process, free_port, get_json, get_text, tool, until, value_of};

const SOON: Duration = Duration::from_secs(30);

const TLS: &str = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n";

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn with_users(users: &[(&str, &str)]) -> String {
    let lines = users
        .iter()
        .map(|(name, password)| format!("  {name}: {}\n", hash(password)));
    format!("{TLS}basic_auth_users:\n{}", lines.collect::<String>())
}

async fn ask(client: &reqwest::Client, url: &str, user: Option<(&str, &str)>) -> StatusCode {
    let mut request = client.get(url);
    if let Some((name, password)) = user {
        request = request.basic_auth(name, Some(password));
    }
    request.send().await.unwrap().status()
}

/// The page of `/metrics` over TLS.
async fn page(
    client: &reqwest::Client,
    address: &str,
    user: (&str, &str),
) -> Result<String, String> {
    let request = client
        .get(format!("https://{address}/metrics"))
        .basic_auth(user.0, Some(user.1));
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let answer = answer
        .error_for_status()
        .map_err(|error| error.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}

/// Jobs of a Prometheus that differ in certificate and password; only the first is right.
const JOBS: [(&str, &str, &str); 5] = [
    ("good", "good", "right"),
    ("password", "good", "wrong"),
    ("expired", "expired", "right"),
    ("foreign", "foreign", "right"),
    ("unnamed", "other", "right"),
];

fn write_scrapes(guarded: &Guarded) {
    let jobs = JOBS.map(|(name, certificate, password)| {
        format!(
            "- job_name: {name}\n  scheme: https\n  static_configs: [{{targets: [\"{}\"]}}]\n  \
             basic_auth: {{username: prometheus, password: {password}}}\n  \
             tls_config: {{ca_file: tls.ca, cert_file: {certificate}.crt, key_file: {certificate}.key}}\n",
            guarded.address
        )
    });
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{}",
        jobs.concat()
    );
    fs::write(guarded.path().join("p.yml"), config).unwrap();
}

/// promtool accepts the file too; that of Prometheus 2.42 does not know every key yet.
fn accepted_by_promtool(promtool: &Path, dir: &Path, web: &str) {
    let known = web.replace("  client_allowed_sans: [prom.test]\n", "");
    fs::write(dir.join("known.yml"), known).unwrap();
    let checked = Command::new(promtool)
        .args(["check", "web-config", "known.yml"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[tokio::test]
async fn a_real_prometheus_scrapes_over_tls_and_is_refused_with_anything_wrong() {
    let (Some(prometheus), Some(promtool)) = (tool("prometheus"), tool("promtool")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.write(dir.path(), "tls", &authority.sign("127.0.0.1"));
    authority.write(dir.path(), "good", &authority.sign("prom.test"));
    authority.write(dir.path(), "expired", &authority.sign_expired("prom.test"));
    stranger.write(dir.path(), "foreign", &stranger.sign("prom.test"));
    authority.write(dir.path(), "other", &authority.sign("other.test"));
    let web = format!(
        "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n  client_ca_file: tls.ca\n  \
         client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prom.test]\n\
         basic_auth_users:\n  prometheus: {}\n",
        hash("right")
    );
    fs::write(dir.path().join("web.yml"), &web).unwrap();
    accepted_by_promtool(&promtool, dir.path(), &web);
    let guarded = Guarded::start_in(dir, authority, &web).await;
    write_scrapes(&guarded);
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = [
        "--config.file=p.yml",
        "--storage.tsdb.path=p",
        listen.as_str(),
    ];
    let _prometheus = Process::start(&prometheus, &args, guarded.path());
    let healths = until("five scraped targets", SOON, async || {
        let answer = get_json(&format!("http://{address}/api/v1/targets")).await?;
        let targets = answer["data"]["activeTargets"].as_array().cloned();
        let targets = targets.unwrap_or_default();
        let known = targets
            .iter()
            .filter(|target| target["health"] != "unknown");
        if known.count() == JOBS.len() {
            Ok(targets)
        } else {
            Err(answer.to_string())
        }
    })
    .await;
    for target in healths {
        let job = target["labels"]["job"].as_str().unwrap();
        let said = target["lastError"].as_str().unwrap();
        assert_eq!(target["health"] == "up", job == "good", "{job}: {said}");
        let reason = match job {
            "good" => "",
            "password" => "401",
            "expired" => "tls: expired certificate",
            "foreign" => "tls: unknown certificate authority",
            _ => "tls: access denied",
        };
        assert!(said.contains(reason), "{job}: {said}");
    }
    let output = guarded.process.output();
    assert!(
        !output.contains("right") && !output.contains("$2b$"),
        "{output}"
    );
}

#[tokio::test]
async fn only_the_right_password_is_let_in_and_the_others_are_counted() {
    let guarded = Guarded::start(&with_users(&[("alice", "right")])).await;
    let client = guarded.trusting().build().unwrap();
    let url = format!("https://{}/metrics", guarded.address);
    for (user, status) in [
        (None, 401),
        (Some(("alice", "wrong")), 401),
        (Some(("alice", "")), 401),
        (Some(("mallory", "right")), 401),
        (Some(("alice", "right")), 200),
    ] {
        assert_eq!(ask(&client, &url, user).await, status, "{user:?}");
    }
    let plain = get_text(&format!("http://{}/metrics", guarded.address)).await;
    assert!(plain.unwrap_err().contains("this is an https server"));
    let refused = client.get(&url).send().await.unwrap();
    assert!(refused.headers().contains_key("www-authenticate"));
    let page = page(&client, &guarded.address, ("alice", "right"))
        .await
        .unwrap();
    let counted = value_of(&page, &["requests_rejected_total", "\"unauthorized\""]);
    assert_eq!(counted, Some(5.0));
    assert_eq!(
        value_of(&page, &["requests_rejected_total", "\"malformed\""]),
        Some(0.0)
    );
    if let Some(promtool) = tool("promtool") {
        let file = guarded.path().join("page.txt");
        fs::write(&file, &page).unwrap();
        let mut check = Command::new(promtool);
        check
            .args(["check", "metrics"])
            .stdin(fs::File::open(&file).unwrap());
        let output = check.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let ends = value_of(&page, &["certificate_not_after_timestamp_seconds"]).unwrap();
    assert!(ends > 4e9, "{ends}");
    for path in ["/-/healthy", "/-/ready"] {
        let open = format!("http://{}{path}", guarded.health);
        assert!(
            get_text(&open).await.is_ok(),
            "the kubelet needs no password"
        );
    }
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_does_not_delay_a_known_user() {
    let slow = bcrypt::hash("right", 10).unwrap();
    let web = format!("{TLS}basic_auth_users: {{alice: \"{slow}\"}}\n");
    let guarded = Guarded::start(&web).await;
    let client = guarded.trusting().build().unwrap();
    let url = format!("https://{}/-/healthy", guarded.address);
    assert_eq!(ask(&client, &url, Some(("alice", "right"))).await, 200);
    let mut flood = JoinSet::new();
    for index in 0..40 {
        let (client, url) = (client.clone(), url.clone());
        flood.spawn(async move {
            let password = format!("wrong{index}");
            ask(&client, &url, Some(("alice", &password))).await
        });
    }
    let started = Instant::now();
    assert_eq!(ask(&client, &url, Some(("alice", "right"))).await, 200);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    let statuses = flood.join_all().await;
    assert!(statuses.contains(&StatusCode::UNAUTHORIZED), "{statuses:?}");
    assert!(
        statuses.contains(&StatusCode::TOO_MANY_REQUESTS),
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(StatusCode::is_client_error),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn expired_foreign_and_missing_client_certificates_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.write(dir.path(), "tls", &authority.sign("127.0.0.1"));
    let identity = |(cert, key): (String, String)| {
        Some(Identity::from_pem(format!("{key}\n{cert}").as_bytes()).unwrap())
    };
    let clients = [
        ("good", identity(authority.sign("prom.test")), true),
        (
            "expired",
            identity(authority.sign_expired("prom.test")),
            false,
        ),
        ("foreign", identity(stranger.sign("prom.test")), false),
        ("missing", None, false),
    ];
    let web = "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_ca_file: tls.ca, \
               client_auth_type: RequireAndVerifyClientCert}\n";
    let guarded = Guarded::start_in(dir, authority, web).await;
    let url = format!("https://{}/metrics", guarded.address);
    let mut last = String::new();
    for (name, identity, good) in clients.into_iter().rev() {
        let mut client = guarded.trusting();
        if let Some(identity) = identity {
            client = client.identity(identity);
        }
        let answer = client.build().unwrap().get(&url).send().await;
        assert_eq!(answer.is_ok(), good, "{name}: {answer:?}");
        if let Ok(answer) = answer {
            last = answer.text().await.unwrap();
        }
    }
    let counted = value_of(&last, &["connections_refused_total", "\"tls_handshake\""]);
    assert!(counted >= Some(3.0), "{counted:?}");
}

#[tokio::test]
async fn certificates_and_users_are_read_again_when_they_change() {
    let mut guarded = Guarded::start(&with_users(&[("alice", "old")])).await;
    let before = guarded.trusting().build().unwrap();
    let url = format!("https://{}/metrics", guarded.address);
    assert_eq!(ask(&before, &url, Some(("alice", "old"))).await, 200);
    let renewed = Authority::new();
    renewed.write(guarded.path(), "tls", &renewed.sign("127.0.0.1"));
    fs::write(
        guarded.path().join("web.yml"),
        with_users(&[("alice", "new"), ("bob", "his")]),
    )
    .unwrap();
    guarded.authority = renewed;
    let after = guarded.trusting().build().unwrap();
    until("the renewed certificate", SOON, async || {
        page(&after, &guarded.address, ("bob", "his")).await
    })
    .await;
    assert_eq!(ask(&after, &url, Some(("alice", "new"))).await, 200);
    assert_eq!(ask(&after, &url, Some(("alice", "old"))).await, 401);
    assert!(
        before.get(&url).send().await.is_err(),
        "the old certificate is gone"
    );
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_one_and_shows() {
    let good = with_users(&[("alice", "right")]);
    let guarded = Guarded::start(&good).await;
    let client = guarded.trusting().build().unwrap();
    let file = guarded.path().join("web.yml");
    let successful = async |wanted: f64| {
        until("the gauge", SOON, async || {
            let page = page(&client, &guarded.address, ("alice", "right")).await?;
            let value = value_of(&page, &["sidewatch_web_config_last_reload_successful"]);
            if value == Some(wanted) {
                Ok(page)
            } else {
                Err(format!("{value:?}"))
            }
        })
        .await
    };
    successful(1.0).await;
    for broken in [
        "basic_auth_users: {}\n",
        "tls_server_config: [\n",
        "{}\n",
        "",
    ] {
        fs::write(&file, broken).unwrap();
        successful(0.0).await;
        let url = format!("https://{}/", guarded.address);
        assert_eq!(
            ask(&client, &url, None).await,
            401,
            "{broken:?} removed the users"
        );
        fs::write(&file, &good).unwrap();
        successful(1.0).await;
    }
    fs::remove_file(guarded.path().join("tls.key")).unwrap();
    successful(0.0).await;
    let output = guarded.process.output();
    assert!(
        output.contains("web.yml:1: basic_auth_users: names no user"),
        "{output}"
    );
    assert!(output.contains("key_file: cannot read"), "{output}");
}

#[tokio::test]
async fn a_broken_file_at_the_start_ends_the_process_with_every_reason() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(dir.path(), "tls", &authority.sign("127.0.0.1"));
    let web = "tls_server_config: {cert_file: tls.crt, key_file: tls.key, min_version: TLS11}\n\
               basic_auth_users: {alice: plain}\n";
    fs::write(dir.path().join("web.yml"), web).unwrap();
    fs::write(dir.path().join("good.yml"), TLS).unwrap();
    let readable = format!("basic_auth_users: {{alice: \"{}\"}}\n", hash("x"));
    fs::write(dir.path().join("readable.yml"), readable).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sidewatch"))
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said)
    };
    let (code, said) = run(&[
        "run",
        "--target=http://127.0.0.1:1/metrics",
        "--rules=vllm",
        "--web.config.file=web.yml",
        "--web.listen-address=127.0.0.1:0",
    ]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("web.yml:1: tls_server_config.min_version: TLS11 is not there: rustls has no version below TLS 1.2"), "{said}");
    assert!(
        said.contains("web.yml:2: basic_auth_users.alice: must be a bcrypt hash"),
        "{said}"
    );
    for (file, code) in [("good.yml", 0), ("web.yml", 1), ("readable.yml", 3)] {
        let (found, said) = run(&["check", "web", file]);
        assert_eq!(found, Some(code), "{file}: {said}");
    }
}

#[tokio::test]
async fn http2_may_be_allowed_or_not_and_http_1_1_is_served() {
    for more in [
        "",
        "http_server_config: {http2: true}\n",
        "http_server_config: {http2: false}\n",
    ] {
        let guarded = Guarded::start(&format!("{TLS}{more}")).await;
        let client = guarded.trusting().build().unwrap();
        let url = format!("https://{}/metrics", guarded.address);
        let answer = client.get(&url).send().await.unwrap();
        assert_eq!(answer.version(), Version::HTTP_11);
        assert_eq!(answer.status(), 200);
        assert!(
            answer
                .text()
                .await
                .unwrap()
                .contains("sidewatch_build_info")
        );
        let posted = client
            .post(format!("https://{}/-/reload", guarded.address))
            .send()
            .await
            .unwrap();
        assert_eq!(posted.status(), 200, "a request with a body");
    }
}

#[tokio::test]
async fn versions_headers_and_rates_are_as_configured() {
    let web = "tls_server_config: {cert_file: tls.crt, key_file: tls.key, min_version: TLS13}\n\
               http_server_config: {headers: {Strict-Transport-Security: max-age=60, X-Frame-Options: deny}}\n\
               rate_limit: {interval: 1h, burst: 3}\n";
    let guarded = Guarded::start(web).await;
    let url = format!("https://{}/", guarded.address);
    let old = guarded.trusting().max_tls_version(tls::Version::TLS_1_2);
    assert!(old.build().unwrap().get(&url).send().await.is_err());
    let client = guarded.trusting().build().unwrap();
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=60");
    assert_eq!(answer.headers()["x-frame-options"], "deny");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(&client, &url, None).await.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
}
