//! Checks where an expression finds its series: in the rules' records, or at the server of
//! `scrape.source`.

use super::problem::Problem;
use crate::promql::Expr;
use crate::rules::{Origin, Recorded, Rule, RuleSet};

/// The expressions that neither the server nor this process can evaluate alone, including literal
/// queries of templates.
pub(super) fn mixed(rules: &RuleSet) -> Vec<Problem> {
    let recorded = Recorded::of(rules);
    let mut problems = Vec::new();
    for group in &rules.groups {
        for (index, rule) in group.rules.iter().enumerate() {
            let expressions = rule.expressions().into_iter();
            let both = expressions.filter(|expr| recorded.origin(rule, expr) == Origin::Mixed);
            let mut texts: Vec<String> = both.map(|expr| expr.text().to_owned()).collect();
            texts.extend(template_queries(rule).filter(|text| {
                let expr = Expr::parse(text).ok();
                expr.is_some_and(|expr| recorded.origin_of_query(&expr) == Origin::Mixed)
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

/// The literal queries of a rule's templates; texts that `printf` builds are known only when
/// rendered.
fn template_queries(rule: &Rule) -> impl Iterator<Item = String> {
    let texts = rule.template_queries().into_iter();
    texts.filter(|text| !text.contains('%'))
}

#[cfg(test)]
mod tests {
    use crate::config::packs::NAMES;
    use crate::config::{Config, Settings};
    use crate::judge::Registry;
    use crate::metric::format_duration;

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
    fn a_template_that_mixes_recorded_and_remote_series_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("r.yaml");
        let annotation = |text: &str| {
            format!(
                "groups: [{{name: g, rules: [{{record: twice, expr: load * 2}}, {{alert: A, expr: load > 1, annotations: {{summary: '{{{{ query \"{text}\" }}}}'}}}}]}}]\n"
            )
        };
        let check = |text: &str| {
            std::fs::write(&rules, annotation(text)).unwrap();
            let mut settings = read("scrape: {source: {prometheus: http://a}}").unwrap();
            settings.rule_files = vec!["r.yaml".to_owned()];
            let config = Config::assemble(settings, dir.path(), &Registry::default());
            config.map(|_| ()).map_err(|problems| problems.to_string())
        };
        for fine in ["twice", "up", "sum(up) * 2"] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        let problem = check("twice * up").unwrap_err();
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
