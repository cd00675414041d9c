//! Quantiles and means of few observations are judged less strictly.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::{Registry, State};
use sidewatch_engine::metric::{Labels, Sampling, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Scraped};

const INTERVAL: Duration = Duration::from_secs(60);
const BOUNDS: [f64; 6] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
const EWMA: &str = "strategy: {type: ewma, warm_up: 10, min_relative_deviation: 0.1}";
const P95: &str =
    "{record: p95, expr: 'histogram_quantile(0.95, sum by (le) (rate(t_bucket[2m])))'";

/// A server with a histogram of latencies, a counter of failures and one of tokens.
struct Server {
    monitor: ModelMonitor,
    minute: u32,
    buckets: [u64; 7],
    sum: f64,
    failed: u64,
}

impl Server {
    fn new(rules: &str) -> Self {
        let registry = Registry::built_in();
        let mut settings = Settings::default();
        settings.global.scrape_interval = INTERVAL;
        settings.scrape.targets = vec![Target {
            url: "http://a/metrics".to_owned(),
            labels: Labels::empty(),
        }];
        let reader = RuleReader {
            registry: &registry,
            interval: INTERVAL,
        };
        let text = format!("groups: [{{name: g, rules: [{rules}]}}]\n");
        let groups = reader.read("rules.yaml", &text).unwrap();
        let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
        config.rules.groups = groups;
        Self {
            monitor: config.monitor(&registry),
            minute: 0,
            buckets: [0; 7],
            sum: 0.0,
            failed: 0,
        }
    }

    /// A minute with these latencies, of which some requests failed.
    fn minute(&mut self, latencies: &[f64], failed: u64) {
        for latency in latencies {
            self.buckets[BOUNDS.partition_point(|bound| bound < latency)] += 1;
            self.sum += latency;
        }
        self.failed += failed;
        let mut body = String::new();
        let mut total = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            total += count;
            let bound = BOUNDS.get(index).map_or("+Inf".to_owned(), f64::to_string);
            writeln!(body, "t_bucket{{le=\"{bound}\"}} {total}").unwrap();
        }
        let (sum, failed) = (self.sum, self.failed);
        writeln!(body, "t_sum {sum}\nt_count {total}\nr_total {total}").unwrap();
        writeln!(body, "r_failed_total {failed}").unwrap();
        let now = Timestamp::from_millis(1_700_000_000_000) + INTERVAL * self.minute;
        let scraped = Scraped {
            result: Ok(Exposition::text(body.into_bytes(), now)),
            duration: Duration::from_millis(5),
        };
        self.monitor.observe(now, &[scraped]);
        self.minute += 1;
    }

    /// Healthy minutes with this many requests each.
    fn healthy(&mut self, minutes: u32, requests: usize) {
        for _ in 0..minutes {
            self.minute(&vec![0.15; requests], 0);
        }
    }

    fn state(&self) -> State {
        let (_, _, verdict) = self.monitor.judged().next().unwrap();
        verdict.state
    }

    fn sampling(&self) -> Option<Sampling> {
        let (_, sample, _) = self.monitor.judged().next().unwrap();
        sample.sampling()
    }

    fn why(&self) -> String {
        let (_, _, verdict) = self.monitor.judged().next().unwrap();
        verdict.why.to_string()
    }
}

/// One slow request of a minute in which there are this many.
fn one_slow(requests: usize) -> Vec<f64> {
    let mut latencies = vec![0.15; requests];
    latencies[0] = 4.0;
    latencies
}

fn watch(expr: &str) -> String {
    format!("{{watch: W, expr: '{expr}', {EWMA}}}")
}

#[test]
fn one_slow_request_of_few_is_no_slow_quantile_and_many_slow_ones_are() {
    for rules in [
        format!("{P95}}}, {}", watch("p95")),
        watch("histogram_quantile(0.95, sum by (le) (rate(t_bucket[2m]))) * 1000"),
    ] {
        let mut server = Server::new(&rules);
        server.healthy(60, 6);
        server.minute(&one_slow(6), 0);
        assert_eq!(server.state(), State::Ok, "{rules}");
        let sampling = server.sampling().unwrap();
        assert!((sampling.count - 12.0).abs() < 0.5, "{sampling:?}");
        server.minute(&[4.0; 6], 0);
        assert_eq!(server.state(), State::Anomalous, "{rules}");
        assert!(
            server.why().contains("of 12 observations"),
            "{}",
            server.why()
        );
    }
}

#[test]
fn one_failure_of_few_requests_is_no_higher_error_ratio() {
    let ratio = watch("rate(r_failed_total[2m]) / (rate(r_total[2m]) > 0)");
    let ratio = ratio.replace("warm_up", "min_deviation: 0.01, warm_up");
    let mut server = Server::new(&ratio);
    server.healthy(60, 6);
    server.minute(&[0.15; 6], 1);
    assert_eq!(server.state(), State::Ok);
    server.minute(&[0.15; 6], 6);
    assert_eq!(server.state(), State::Anomalous);

    let mut busy = Server::new(&ratio);
    busy.healthy(60, 600);
    busy.minute(&[0.15; 600], 100);
    assert_eq!(busy.state(), State::Anomalous);
}

#[test]
fn the_mean_of_fewer_requests_than_usual_may_deviate_more() {
    let mean = watch("rate(t_sum[2m]) / (rate(t_count[2m]) > 0)");
    let mut server = Server::new(&mean);
    server.healthy(60, 100);
    server.minute(&[0.3; 100], 0);
    assert_eq!(server.state(), State::Anomalous);

    let mut quiet = Server::new(&mean);
    quiet.healthy(60, 100);
    quiet.healthy(2, 2);
    quiet.minute(&[0.3; 2], 0);
    assert_eq!(quiet.state(), State::Ok);
    let sampling = quiet.sampling().unwrap();
    assert!((sampling.count - 4.0).abs() < 0.5, "{sampling:?}");
}

#[test]
fn a_rule_can_say_how_many_observations_there_are() {
    let rules = format!(
        "{P95}, samples: '0.1 * increase(t_count[2m])'}}, {}",
        watch("p95")
    );
    let mut server = Server::new(&rules);
    server.healthy(60, 60);
    server.minute(&one_slow(60), 0);
    let sampling = server.sampling().unwrap();
    assert!((sampling.count - 12.0).abs() < 0.5, "{sampling:?}");
    assert!(sampling.interval.is_some(), "{sampling:?}");
    let on_watch = format!("{{watch: W, expr: t_sum, samples: '7', {EWMA}}}");
    let mut server = Server::new(&on_watch);
    server.healthy(3, 60);
    assert_eq!(server.sampling(), Some(Sampling::of(7.0)));
}
