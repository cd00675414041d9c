//! Where an expression finds its series: in what the rules record, or at the server of `scrape.source`.

use std::collections::BTreeSet;

use super::problem::Problem;
use super::rules::{Rule, RuleSet};
use crate::metric::Selector;
use crate::promql::Expr;

/// Series that are ours wherever they are selected.
const OWN: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// Which selectors of a set of rules find what the rules record themselves.
#[derive(Debug, Clone, Default)]
pub struct Recorded(BTreeSet<String>);

/// Where an expression finds its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In what the rules record, or nowhere, as a number does.
    Here,
    /// At the server.
    There,
    /// Partly here and partly there: it cannot be evaluated as a whole.
    Both,
}

impl Recorded {
    /// The names that these rules record.
    #[must_use]
    pub fn of(rules: &RuleSet) -> Self {
        let rules = rules.groups.iter().flat_map(|group| &group.rules);
        let records = rules.filter(|rule| matches!(rule, Rule::Record(_)));
        Self(records.map(|rule| rule.name().to_owned()).collect())
    }

    /// Whether a selector names one of them.
    #[must_use]
    pub fn has(&self, selector: &Selector) -> bool {
        let name = selector.metric_name();
        name.is_some_and(|name| self.0.contains(name) || OWN.contains(&name))
    }

    /// Where an expression of a rule finds its series. In a record, its own name means the series that the servers have of that name.
    #[must_use]
    pub fn place(&self, rule: &Rule, expr: &Expr) -> Place {
        let own = match rule {
            Rule::Record(recording) => Some(recording.name.as_str()),
            Rule::Alert { .. } | Rule::Watch(_) => None,
        };
        self.found(expr, own)
    }

    /// Where the text of a `query` in a template finds its series.
    #[must_use]
    pub fn place_of_query(&self, expr: &Expr) -> Place {
        self.found(expr, None)
    }

    fn found(&self, expr: &Expr, own: Option<&str>) -> Place {
        let (mut here, mut there) = (false, false);
        for selector in expr.selectors() {
            let itself = own.is_some() && selector.metric_name() == own;
            if self.has(&selector) && !itself {
                here = true;
            } else {
                there = true;
            }
        }
        match (here, there) {
            (_, false) => Place::Here,
            (false, true) => Place::There,
            (true, true) => Place::Both,
        }
    }
}

/// The expressions that neither the server nor this process can evaluate alone, those of templates included where they are written out.
pub(super) fn mixed(rules: &RuleSet) -> Vec<Problem> {
    let recorded = Recorded::of(rules);
    let mut problems = Vec::new();
    for group in &rules.groups {
        for (index, rule) in group.rules.iter().enumerate() {
            let expressions = rule.expressions().into_iter();
            let both = expressions.filter(|expr| recorded.place(rule, expr) == Place::Both);
            let mut texts: Vec<String> = both.map(|expr| expr.text().to_owned()).collect();
            texts.extend(asked(rule).filter(|text| {
                let expr = Expr::parse(text).ok();
                expr.is_some_and(|expr| recorded.place_of_query(&expr) == Place::Both)
            }));
            problems.extend(texts.into_iter().map(|text| Problem {
                file: group.file.clone(),
                line: 0,
                path: format!("{}.rules[{index}]", group.place.path),
                message: format!(
                    "{}: {text:?} mixes what a rule records with series of scrape.source; record the other part \
                     by a rule of its own, and use its name here",
                    rule.name(),
                ),
            }));
        }
    }
    problems
}

/// What the templates of a rule ask for with `query`; texts that `printf` makes are known when they are rendered.
fn asked(rule: &Rule) -> impl Iterator<Item = String> {
    let texts = match rule {
        Rule::Record(_) => Vec::new(),
        Rule::Alert { alert, .. } => alert.queries(),
        Rule::Watch(watch) => watch.alert.queries(),
    };
    texts.into_iter().filter(|text| !text.contains('%'))
}

#[cfg(test)]
mod tests {
    use super::{Place, Recorded};
    use crate::config::packs::NAMES;
    use crate::config::{Config, Settings};
    use crate::judge::Registry;
    use crate::metric::format_duration;
    use crate::promql::Expr;

    fn read(text: &str) -> Result<Settings, String> {
        let env = |name: &str| (name == "POD").then(|| "fraud-0".to_owned());
        crate::config::read_settings("sidewatch.yaml", text, &env)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_source_stands_in_the_place_of_targets() {
        let settings = read(
            "scrape:\n  source:\n    prometheus: http://mimir/prometheus/\n    matchers: ['job=\"fraud\"', 'pod=~\"${POD}.*\"']\n    query_offset: 30s\n    http_headers: {X-Scope-OrgID: {values: [team]}}\nbackfill: {range: 14d}\n",
        )
        .unwrap();
        let source = settings.scrape.source.unwrap();
        assert_eq!(source.url, "http://mimir/prometheus");
        assert_eq!(source.matchers[1].value(), "fraud-0.*");
        assert_eq!(format_duration(source.timeout), "5s");
        assert_eq!(source.http.headers[0].name, "X-Scope-OrgID");
        let backfill = settings.backfill.unwrap();
        assert_eq!(backfill.url, source.url);
        assert_eq!(backfill.http, source.http);
        assert_eq!(format_duration(backfill.range), "2w");
    }

    #[test]
    fn mistakes_name_their_line_and_the_remedy() {
        let problems = read(
            "scrape:\n  targets: [{url: http://a}]\n  source: {prometheus: mimir, timeout: 0s}\nbackfill: {range: 0s, step: 1m}\n",
        )
        .unwrap_err();
        for expected in [
            "sidewatch.yaml:3: scrape.source.prometheus: must be a URL such as http://prometheus:9090, got \"mimir\"",
            "sidewatch.yaml:3: scrape.source.timeout: must be more than 0",
            "sidewatch.yaml:3: scrape.source: stands in the place of targets and discovery; keep only one of them",
            "sidewatch.yaml:4: backfill.range: must be more than 0",
            "sidewatch.yaml:4: backfill.step: unknown key",
        ] {
            assert!(problems.contains(expected), "{expected}\n{problems}");
        }
        let problems = read("scrape: {targets: [{url: http://a}]}\nbackfill: {range: 1d}\n");
        let problems = problems.unwrap_err();
        assert!(problems.contains("prometheus is missing"), "{problems}");
    }

    #[test]
    fn an_expression_is_evaluated_where_all_its_series_are() {
        let recorded = Recorded(["accuracy".to_owned(), "depth".to_owned()].into());
        let place = |text: &str| recorded.found(&Expr::parse(text).unwrap(), Some("depth"));
        assert_eq!(place("avg_over_time(accuracy[5m]) > 1"), Place::Here);
        assert_eq!(place("vector(1)"), Place::Here);
        assert_eq!(place("count(ALERTS)"), Place::Here);
        assert_eq!(place("rate(x[5m])"), Place::There);
        assert_eq!(place("accuracy * on () up"), Place::Both);
        assert_eq!(
            place("depth or queue_depth"),
            Place::There,
            "a record of its own name"
        );
        assert_eq!(place("{__name__=~\"acc.*\"}"), Place::There);
    }

    #[test]
    fn a_template_that_mixes_what_is_here_and_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("r.yaml");
        let annotation = |text: &str| {
            format!(
                "groups: [{{name: g, rules: [{{record: twice, expr: load * 2}}, {{alert: A, expr: load > 1, annotations: {{summary: '{{{{ query \"{text}\" }}}}'}}}}]}}]\n"
            )
        };
        let told = |text: &str| {
            std::fs::write(&rules, annotation(text)).unwrap();
            let mut settings = read("scrape: {source: {prometheus: http://a}}").unwrap();
            settings.rule_files = vec!["r.yaml".to_owned()];
            let config = Config::assemble(settings, dir.path(), &Registry::default());
            config.map(|_| ()).map_err(|problems| problems.to_string())
        };
        for fine in ["twice", "up", "sum(up) * 2"] {
            assert_eq!(told(fine), Ok(()), "{fine}");
        }
        let problem = told("twice * up").unwrap_err();
        assert!(
            problem.contains("A: \"twice * up\" mixes what a rule records"),
            "{problem}"
        );
    }

    #[test]
    fn every_pack_can_be_evaluated_at_a_server() {
        for pack in NAMES {
            let mut settings = read("scrape: {source: {prometheus: http://a}}").unwrap();
            settings.rule_files = vec![pack.to_owned()];
            let base = std::path::Path::new("");
            let config = Config::assemble(settings, base, &Registry::default());
            assert!(config.is_ok(), "{pack}: {}", config.unwrap_err());
        }
    }
}
