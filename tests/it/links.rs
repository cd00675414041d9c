//! The links in alerts: each is absolute and leads to its rule on the status page.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::config::read_web;
use sidewatch::internals::publish::Server;

use super::support::certificates::Authority;
use super::support::{Fake, Process, free_port, get_json, get_text, until};

const SOON: Duration = Duration::from_secs(60);

/// Rules of one name, told apart by group or by label, and a watch whose limit is reached.
const RULES: &str = r#"
groups:
- name: g
  rules:
  - {alert: Deep, expr: depth > 5, labels: {severity: warning}}
  - {alert: Deep, expr: depth > 6, labels: {severity: critical}}
  - alert: Linked
    expr: depth{queue="a"} > 7
    annotations: {page: '{{ externalURL }}{{ graphLink "depth > 6" }}', table: '{{ externalURL }}{{ tableLink "up" }}'}
- name: h
  limit: 1
  rules:
  - {watch: Deep, expr: depth, metric: custom, strategy: {type: static, bound: 5, direction: above}}
"#;

/// Sidewatch beside a target and an Alertmanager that takes everything.
struct World {
    receiver: Fake,
    url: String,
    _target: Fake,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl World {
    async fn start(global: impl FnOnce(&str) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target =
            Fake::start(|| "depth{queue=\"a\"} 9\ndepth{queue=\"b\"} 9\n".to_owned()).await;
        let receiver = Fake::start(String::new).await;
        let address = format!("127.0.0.1:{}", free_port());
        let url = format!("http://{address}");
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms{}}}\nmodel: {{id: m}}\n\
             scrape: {{targets: [{{url: \"http://{}/metrics\", labels: {{pod: p}}}}]}}\nrule_files: [./x/../rules.yaml]\n\
             alerting: {{alertmanagers: [{{url: \"http://{}\"}}]}}\n",
            global(&url),
            target.address,
            receiver.address
        );
        fs::write(dir.path().join("sidewatch.yaml"), config).unwrap();
        fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
        let listen = format!("--web.listen-address={address}");
        let args = ["run", "--config.file=sidewatch.yaml", &listen];
        let process = Process::sidewatch(&args, dir.path());
        Self {
            receiver,
            url,
            _target: target,
            _process: process,
            _dir: dir,
        }
    }

    /// The alerts that the receiver has, by name and expression or severity, once it has all kinds.
    async fn alerts(&self) -> Vec<Value> {
        until("every kind of alert", SOON, async || {
            let posts = self.receiver.received().into_iter();
            let alerts: Vec<Value> = posts
                .flat_map(|post| serde_json::from_str::<Vec<Value>>(&post.body).unwrap())
                .collect();
            let has = |name: &str, severity: &str| {
                alerts.iter().any(|alert| {
                    alert["labels"]["alertname"] == name
                        && alert["labels"]["severity"].as_str().unwrap_or("") == severity
                })
            };
            let complete = has("Deep", "warning")
                && has("Deep", "critical")
                && has("Deep", "")
                && has("Linked", "")
                && has("SidewatchAlertLimitReached", "");
            if complete {
                Ok(alerts)
            } else {
                Err(format!("{alerts:?}"))
            }
        })
        .await
    }
}

/// The links of an alert.
fn links(alert: &Value) -> Vec<String> {
    let annotations = alert["annotations"].as_object().unwrap();
    let named = annotations
        .iter()
        .filter(|(name, _)| ["chart", "page", "table"].contains(&name.as_str()));
    named
        .map(|(_, link)| link)
        .chain([&alert["generatorURL"]])
        .map(|link| link.as_str().unwrap().to_owned())
        .collect()
}

/// Follows a link, and gives the row of the rule on the page where it ends.
async fn row(link: &str) -> String {
    let answer = reqwest::get(link).await.unwrap();
    assert_eq!(answer.status(), 200, "{link}");
    let end = answer.url().clone();
    let page = answer.text().await.unwrap();
    let asked = |name: &str| {
        let mut pairs = end.query_pairs();
        let found = pairs.find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned())
    };
    let Some(id) = asked("id") else {
        return String::new();
    };
    let attribute = format!("data-rule-id=\"{id}\"");
    let rows = page
        .split("<tr id=\"rule-")
        .skip(1)
        .filter(|row| row.contains(&attribute));
    let rows: Vec<&str> = rows.collect();
    let [row] = rows[..] else {
        panic!("{link} ends at {end}: {} rows", rows.len())
    };
    let name = format!("data-rule=\"{}\"", asked("rule").unwrap());
    assert!(row.contains(&name), "{row}");
    row.split("<tr").next().unwrap().to_owned()
}

async fn every_link_works(world: &World) {
    let mut seen = BTreeMap::new();
    for alert in world.alerts().await {
        for link in links(&alert) {
            assert!(link.starts_with(&world.url), "{link} of {alert}");
            let row = row(&link).await;
            seen.insert(link.clone(), (alert.clone(), row));
        }
    }
    for (link, (alert, row)) in seen {
        let severity = alert["labels"]["severity"].as_str();
        let expected = match (alert["labels"]["alertname"].as_str().unwrap(), severity) {
            ("Linked", _) if link.contains("expr=up") => {
                assert!(row.is_empty(), "no rule has this expression: {row}");
                continue;
            }
            ("Linked", _) if !link.contains("Linked") => "depth &gt; 6",
            ("Linked", _) => "&gt; 7",
            ("Deep", Some("warning")) => "depth &gt; 5",
            ("Deep", Some("critical")) => "depth &gt; 6",
            _ => "<code>depth</code>",
        };
        assert!(row.contains(expected), "{link} of {alert}: {row}");
    }
}

#[tokio::test]
async fn every_link_that_alertmanager_gets_leads_to_its_rule_on_the_status_page() {
    let world = World::start(|_| String::new()).await;
    every_link_works(&world).await;

    // What a user wrote about a group is what the API shows.
    let rules = get_json(&format!("{}/api/v1/rules", world.url))
        .await
        .unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let shown: Vec<(&str, u64)> = groups
        .iter()
        .map(|group| {
            (
                group["file"].as_str().unwrap(),
                group["limit"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(shown, [("rules.yaml", 0), ("rules.yaml", 1)]);
}

#[tokio::test]
async fn a_configured_url_is_the_beginning_of_every_link() {
    let localhost = |url: &str| url.replace("127.0.0.1", "localhost");
    let mut world = World::start(|url| format!(", external_url: \"{}/\"", localhost(url))).await;
    world.url = localhost(&world.url);
    every_link_works(&world).await;
}

#[tokio::test]
async fn a_link_below_the_prefix_of_a_proxy_stays_below_it() {
    let world = World::start(|_| String::new()).await;
    until("ready", SOON, async || {
        get_text(&format!("{}/-/ready", world.url)).await
    })
    .await;
    let policy = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().redirect(policy).build().unwrap();
    let link = format!("{}/graph?g0.expr=depth+%3E+6&g0.tab=1", world.url);
    let answer = client.get(link).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(location.starts_with("./?rule=Deep&id="), "{location}");
}

#[tokio::test]
async fn the_links_of_the_demonstration_work() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let _demo = Process::sidewatch(&["demo", "--duration=60s", &listen], dir.path());
    let chart = until("an alert", SOON, async || {
        let alerts = get_json(&format!("http://{address}/api/v1/alerts")).await?;
        let first = alerts["data"]["alerts"][0]["annotations"]["chart"].clone();
        first.as_str().map(str::to_owned).ok_or(alerts.to_string())
    })
    .await;
    assert!(
        chart.starts_with(&format!("http://{address}/?rule=")),
        "{chart}"
    );
    assert!(!row(&chart).await.is_empty());
}

#[tokio::test]
async fn the_default_url_is_the_address_or_the_host_name_and_knows_of_tls() {
    let one = Server::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(one.url(), format!("http://{}", one.address()));
    let all = Server::bind(":0").await.unwrap();
    let host = all.url();
    let host = host.strip_prefix("http://").unwrap();
    let (name, port) = host.rsplit_once(':').unwrap();
    assert_eq!(port, all.address().port().to_string());
    assert!(!name.is_empty() && name != "0.0.0.0", "{name}");
    let url = with_tls(one).url();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
}

fn with_tls(server: Server) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(dir.path(), "tls", &authority.sign("127.0.0.1"));
    let text = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n";
    let web = read_web("web.yml", text, Path::new(dir.path())).unwrap();
    let again = web.clone();
    server.with_web(web, Arc::new(move || Ok(again.clone())))
}
