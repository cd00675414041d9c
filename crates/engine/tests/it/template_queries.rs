//! A tick whose templates ask a server for more: it stops, and goes on with the answers.

use std::sync::Arc;
use std::time::Duration;

use sidewatch_engine::alert::{AlertRule, Template};
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Progress, Results, Settings, Tick};
use sidewatch_engine::promql::Expr;
use sidewatch_engine::rules::{Group, Place, Rule, RuleSet};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Asks for the zone of a model, and then for the load of that zone.
const SUMMARY: &str = "{{ range query `zone` }}{{ $zone := .Labels.zone }}\
    {{ with printf `load{zone=%q}` $zone | query }}{{ $zone }}: {{ . | first | value }}{{ end }}{{ end }}";

fn monitor() -> ModelMonitor {
    let expr = Expr::parse("slow > 1").unwrap();
    let alert = AlertRule {
        name: "Slow".into(),
        annotations: vec![("summary".to_owned(), Template::parse(SUMMARY).unwrap())],
        ..AlertRule::default()
    };
    let group = Group {
        file: "r.yaml".to_owned(),
        place: Place::default(),
        name: "g".to_owned(),
        interval: None,
        limit: 0,
        without_effect: Vec::new(),
        rules: vec![Rule::Alert { expr, alert }],
    };
    let rules = RuleSet {
        groups: vec![group],
    };
    let settings = Settings {
        is_remote: true,
        interval: Duration::from_secs(15),
        ..Settings::default()
    };
    ModelMonitor::new(settings, Arc::new(rules), &Registry::built_in())
}

fn slow(mut results: Results) -> Results {
    results.put(
        "slow > 1",
        NOW,
        Ok(vec![(Labels::named("slow", [("a", "b")]), 2.0)]),
    );
    results
}

fn summary(tick: &Tick) -> String {
    tick.changes[0].summary()
}

#[test]
fn a_query_that_depends_on_an_answer_is_asked_after_it() {
    let mut monitor = monitor();
    let mut results = slow(Results::answering_templates());
    let mut asked = Vec::new();
    let mut tick = monitor.begin(NOW, &[]);
    let done = loop {
        match monitor.advance(tick, &results) {
            Progress::Done(done) => break done,
            Progress::Asks {
                tick: under_way,
                queries,
            } => {
                for query in queries {
                    let answer = if query == "zone" {
                        Labels::named("zone", [("zone", "eu")])
                    } else {
                        Labels::named("load", [("zone", "eu")])
                    };
                    asked.push(query.clone());
                    results.put_template_answer(query, Ok(vec![(answer, 0.5)]));
                }
                tick = *under_way;
            }
        }
    };
    assert_eq!(asked, ["zone", "load{zone=\"eu\"}"]);
    assert_eq!(summary(&done), "eu: 0.5");
    assert_eq!(monitor.rules().next().unwrap().health().fired, 1);
}

#[test]
fn a_server_that_is_not_asked_fails_the_text_alone() {
    let mut monitor = monitor();
    let tick = monitor.observe_results(NOW, &mut slow(Results::answering_templates()));
    assert_eq!(tick.changes.len(), 1);
    assert!(
        summary(&tick).contains("does not answer queries"),
        "{}",
        summary(&tick)
    );
}
