//! A service that a program builds with code of its own.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use sidewatch::{
    Alert, AlertState, Built, Config, Exposition, MetricProducer, Registry, ScrapeError, Server,
    Service, StrategyContext, StrategyFactory, Timestamp,
};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

/// Returns one gauge that no HTTP target has.
struct Own;

impl MetricProducer for Own {
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, ScrapeError>> {
        let exposition = Exposition::text(b"accuracy 0.7\n".to_vec(), at);
        Box::pin(std::future::ready(Ok(exposition)))
    }
}

fn config(instance: &str, scrape_timeout: &str) -> String {
    format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: {scrape_timeout}}}\n\
         scrape: {{targets: [{{url: 'http://127.0.0.1:1/{instance}', labels: {{instance: {instance}}}}}]}}\n"
    )
}

fn rules(alert: &str, expr: &str) -> String {
    format!("groups: [{{name: own, rules: [{{alert: {alert}, expr: {expr}}}]}}]")
}

/// Waits until this alert fires.
async fn fires(alerts: &mut Receiver<Alert>, name: &str) {
    let fired = async {
        loop {
            let alert = alerts.recv().await.unwrap();
            if &*alert.rule == name && alert.state == AlertState::Firing {
                return;
            }
        }
    };
    let fired = timeout(Duration::from_secs(20), fired).await;
    assert!(fired.is_ok(), "{name} did not fire");
}

fn problem(service: Result<Service, sidewatch::MonitorError>) -> String {
    service.unwrap_err().to_string()
}

#[tokio::test]
async fn a_reload_keeps_a_custom_producer_and_a_target_that_comes_back_gets_it_again() {
    let files = Arc::new(Mutex::new((String::new(), String::new())));
    let set = |instance: &str, timeout: &str, alert: &str, expr: &str| {
        *files.lock().unwrap() = (config(instance, timeout), rules(alert, expr));
    };
    set("own", "100ms", "First", "accuracy < 0.9");
    let load = {
        let files = Arc::clone(&files);
        move || {
            let (config, rules) = files.lock().unwrap().clone();
            let registry = Registry::built_in();
            Config::from_yaml(&config)?.with_rules("own.yaml", &rules, &registry)
        }
    };
    let service = Service::builder(load().unwrap())
        .producer("own", Own)
        .reload(Arc::new(load), false)
        .polling(Duration::from_millis(50))
        .build()
        .unwrap();
    let mut alerts = service.subscribe();
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let script = async {
        fires(&mut alerts, "First").await;
        set("own", "90ms", "OtherTimeout", "accuracy < 0.9");
        fires(&mut alerts, "OtherTimeout").await;
        set("other", "90ms", "Gone", "absent(accuracy)");
        fires(&mut alerts, "Gone").await;
        set("own", "80ms", "Back", "accuracy < 0.9");
        fires(&mut alerts, "Back").await;
    };
    service.run(server, script).await.unwrap();
}

#[test]
fn a_producer_for_an_unknown_instance_is_an_error_that_lists_the_known_ones() {
    let config = Config::from_yaml(&config("fraud-0", "100ms")).unwrap();
    let service = Service::builder(config).producer("fraud", Own).build();
    assert_eq!(
        problem(service),
        "no target has the instance \"fraud\"; known instances are fraud-0"
    );
}

#[test]
fn problems_of_a_text_name_the_line() {
    let problems = Config::from_yaml("model: {id: fraud}\nscrapes: {}\n").unwrap_err();
    let problems = problems.to_string();
    assert!(problems.contains("configuration:2: scrapes"), "{problems}");
    let config = Config::from_yaml(&config("fraud-0", "100ms")).unwrap();
    let rules = "groups:\n- name: own\n  rules:\n  - {watch: A, expr: a, metric: accuracy, strategy: {type: jump}}\n";
    let text = problem(Service::builder(config).rules("own.yaml", rules).build());
    assert!(
        text.contains("own.yaml:4: ") && text.contains("jump"),
        "{text}"
    );
}

/// Makes `{type: always}` the name of a static bound.
struct Always;

impl StrategyFactory for Always {
    fn kind(&self) -> &'static str {
        "always"
    }

    fn build(
        &self,
        _: &Map<String, Value>,
        context: &StrategyContext,
        registry: &Registry,
    ) -> Built {
        let bound = json!({"type": "static", "bound": 1.0});
        registry.build(&serde_json::from_value(bound).unwrap(), context)
    }
}

#[test]
fn a_strategy_of_a_rule_file_must_be_given_to_the_service_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.yaml");
    let rule = "{watch: A, expr: a, metric: accuracy, strategy: {type: always}}";
    fs::write(&file, format!("groups: [{{name: own, rules: [{rule}]}}]")).unwrap();
    let text = config("fraud-0", "100ms") + &format!("rule_files: [{}]\n", file.display());
    let problems = Config::from_yaml(&text).unwrap_err().to_string();
    assert!(problems.contains("always"), "{problems}");
    let mut registry = Registry::built_in();
    registry.register(Always);
    let config = Config::from_yaml_with(&text, &registry).unwrap();
    let problem = problem(Service::builder(config.clone()).build());
    assert!(problem.starts_with("A: strategy: "), "{problem}");
    assert!(
        Service::builder(config.clone())
            .strategy(Always)
            .build()
            .is_ok()
    );
    assert!(Service::builder(config).registry(registry).build().is_ok());
}
