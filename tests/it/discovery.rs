//! Discovery: the answers of a DNS server become targets of a running judge.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;
use sidewatch::internals::runtime::dns::{Question, Record, Resolve, Resolver};

use tokio::time::Instant;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{DnsServer, Mood, Process, free_port, get_json, get_text, until};

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn question(server: &DnsServer, host: &str, record: Record) -> Question {
    Question {
        host: host.to_owned(),
        port: if record == Record::Srv { 0 } else { 8000 },
        record,
        server: Some(server.address),
    }
}

async fn resolve(question: &Question) -> Result<(Vec<String>, Option<Duration>), String> {
    let answer = Resolver.resolve(question).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let addresses = answer.addresses.iter().map(SocketAddr::to_string);
    Ok((addresses.collect(), answer.ttl))
}

#[tokio::test]
async fn addresses_come_sorted_with_their_time_to_live() {
    let server = DnsServer::start(17).await;
    server.set("fraud.", &[v4(2), "fd00::1".parse().unwrap(), v4(1), v4(2)]);
    let both = resolve(&question(&server, "fraud.", Record::Address))
        .await
        .unwrap();
    assert_eq!(both.0, ["10.0.0.1:8000", "10.0.0.2:8000", "[fd00::1]:8000"]);
    assert_eq!(both.1, Some(Duration::from_secs(17)));
    let only = |record| {
        let question = question(&server, "fraud.", record);
        async move { resolve(&question).await.unwrap().0 }
    };
    assert_eq!(only(Record::A).await, ["10.0.0.1:8000", "10.0.0.2:8000"]);
    assert_eq!(only(Record::Aaaa).await, ["[fd00::1]:8000"]);
}

#[tokio::test]
async fn a_name_that_does_not_exist_has_no_addresses_and_a_server_that_fails_is_a_failure() {
    let server = DnsServer::start(5).await;
    let question = question(&server, "fraud.", Record::Address);
    assert_eq!(resolve(&question).await, Ok((Vec::new(), None)));
    server.set("fraud.", &["fd00::1".parse().unwrap()]);
    let of_four = Question {
        record: Record::A,
        ..question.clone()
    };
    assert_eq!(resolve(&of_four).await, Ok((Vec::new(), None)));
    server.set_mood(Mood::Fails);
    let error = resolve(&question).await.unwrap_err();
    assert!(
        error.starts_with("cannot resolve fraud.:8000: fraud.: "),
        "{error}"
    );
}

#[tokio::test]
async fn the_replicas_of_a_large_model_come_over_tcp() {
    let server = DnsServer::start(5).await;
    let all: Vec<IpAddr> = (1..=60).map(v4).collect();
    server.set("fraud.", &all);
    let (found, _) = resolve(&question(&server, "fraud.", Record::A))
        .await
        .unwrap();
    assert_eq!(found.len(), 60);
    assert!(server.over_tcp() > 0);
}

#[tokio::test]
async fn services_are_looked_up_by_their_names_and_bring_their_ports() {
    let server = DnsServer::start(5).await;
    let name = "_http._tcp.fraud.";
    server.set_services(
        name,
        &[
            ("a.fraud.", 9001),
            ("b.fraud.", 9002),
            ("gone.fraud.", 9003),
        ],
    );
    server.set("a.fraud.", &[v4(1)]);
    server.set("b.fraud.", &[v4(2)]);
    let question = question(&server, name, Record::Srv);
    let (found, _) = resolve(&question).await.unwrap();
    assert_eq!(found, ["10.0.0.1:9001", "10.0.0.2:9002"]);
    let asked = server.asked();
    assert_eq!(asked[0], (name.to_owned(), RecordType::SRV));
    server.set_services(name, &[]);
    assert_eq!(resolve(&question).await, Ok((Vec::new(), None)));
}

const SOON: Duration = Duration::from_secs(30);

/// A judge as the binary, of what a DNS server says.
struct Judge {
    url: String,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Judge {
    fn start(server: &DnsServer, port: u16, global: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{{global}}}\nmodel: {{id: fraud}}\n\
             scrape: {{discovery: {{dns: \"fraud.:{port}\", server: \"{}\", refresh: 1s}}}}\nrule_files: [rules.yaml]\n",
            server.address
        );
        fs::write(dir.path().join("judge.yaml"), config).unwrap();
        let rules =
            "groups: [{name: g, rules: [{record: all, metric: custom, expr: sum(requests)}]}]";
        fs::write(dir.path().join("rules.yaml"), rules).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let listen = format!("--web.listen-address={address}");
        let args = ["run", "--config.file=judge.yaml", &listen];
        Self {
            url: format!("http://{address}"),
            _process: Process::sidewatch(&args, dir.path()),
            _dir: dir,
        }
    }

    /// Waits until the metrics are as wanted.
    async fn shows(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        until(what, SOON, async || {
            let page = get_text(&format!("{}/metrics", self.url)).await?;
            if wanted(&page) { Ok(page) } else { Err(page) }
        })
        .await
    }
}

fn has(page: &str, line: &str) -> bool {
    page.lines().any(|other| other == line)
}

fn up(host: u8, port: u16, value: u8) -> String {
    format!("sidewatch_target_up{{model_id=\"fraud\",target=\"127.0.0.{host}:{port}\"}} {value}")
}

async fn replica(host: u8, port: u16, delay: Duration) -> MockServer {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), port)).unwrap();
    let server = MockServer::builder().listener(listener).start().await;
    let answer = ResponseTemplate::new(200).set_body_raw("requests 10\n", "text/plain");
    Mock::given(method("GET"))
        .respond_with(answer.set_delay(delay))
        .mount(&server)
        .await;
    server
}

fn loopback(hosts: &[u8]) -> Vec<IpAddr> {
    let hosts = hosts.iter();
    hosts
        .map(|host| Ipv4Addr::new(127, 0, 0, *host).into())
        .collect()
}

#[tokio::test]
async fn a_replica_is_scraped_as_soon_as_it_is_found_and_forgotten_when_it_is_gone() {
    let server = DnsServer::start(1).await;
    let port = free_port();
    // No second tick comes within an hour.
    let judge = Judge::start(&server, port, "scrape_interval: 1h, scrape_timeout: 2s");
    let zero = "sidewatch_discovered_targets{model_id=\"fraud\",name=\"fraud.:PORT\"} 0";
    let zero = zero.replace("PORT", &port.to_string());
    judge.shows("no targets", |page| has(page, &zero)).await;
    let _first = replica(71, port, Duration::ZERO).await;
    let _second = replica(72, port, Duration::ZERO).await;
    server.set("fraud.", &loopback(&[71, 72]));
    let both = |page: &str| has(page, &up(71, port, 1)) && has(page, &up(72, port, 1));
    judge.shows("both targets", both).await;
    let answer = get_json(&format!("{}/api/v1/status/targets", judge.url))
        .await
        .unwrap();
    let found = &answer["data"]["discovery"];
    assert_eq!(found["state"], "found");
    assert_eq!(found["targets"], 2);
    server.set("fraud.", &loopback(&[72]));
    let gone = format!("127.0.0.71:{port}");
    let page = judge
        .shows("one target", |page| !page.contains(&gone))
        .await;
    assert!(has(&page, &up(72, port, 1)), "{page}");
    server.set("fraud.", &[]);
    judge.shows("no targets", |page| has(page, &zero)).await;
    let answer = get_json(&format!("{}/api/v1/status/targets", judge.url))
        .await
        .unwrap();
    assert_eq!(answer["data"]["discovery"]["state"], "idle");
}

#[tokio::test]
async fn a_replica_that_hangs_costs_the_others_no_more_than_its_timeout() {
    let server = DnsServer::start(1).await;
    let port = free_port();
    let _hangs = replica(73, port, Duration::from_secs(300)).await;
    let _answers = replica(74, port, Duration::ZERO).await;
    server.set("fraud.", &loopback(&[73, 74]));
    let judge = Judge::start(
        &server,
        port,
        "scrape_interval: 500ms, scrape_timeout: 200ms",
    );
    let hanging = format!(
        "sidewatch_scrape_failures_total{{model_id=\"fraud\",reason=\"timeout\",target=\"127.0.0.73:{port}\"}} "
    );
    let ticks = |page: &str| -> u32 {
        let line = page.lines().find_map(|line| line.strip_prefix(&hanging));
        line.and_then(|count| count.parse().ok()).unwrap_or(0)
    };
    let started = Instant::now();
    let page = judge.shows("eight ticks", |page| ticks(page) >= 8).await;
    // Eight ticks of half a second; had each waited for more than its interval, they would take
    // twice that.
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    assert!(
        has(&page, &up(73, port, 0)) && has(&page, &up(74, port, 1)),
        "{page}"
    );
    // Only what answers counts.
    let value = page
        .lines()
        .find(|line| line.starts_with("sidewatch_metric_value{"));
    assert!(value.is_some_and(|line| line.ends_with(" 10")), "{page}");
}
