//! `probe:` → what `/probe` may scrape, and by which rules it judges.

use super::file::{Around, target};
use super::read::{Fields, Node};
use super::settings::{Model, Probe, ProbeModule};

pub(super) fn probe(node: &Node<'_>, model: &Model, around: &Around<'_>) -> Option<Probe> {
    let mut fields = node.fields()?;
    let targets = fields.list("targets");
    let targets = targets.iter();
    let targets = targets.filter_map(|node| target(node, model, around));
    let targets = targets.collect();
    let modules = fields.get("modules");
    if modules.is_none() {
        node.problem("modules is missing; name one, such as modules: {vllm: {rules: [vllm]}}");
    }
    let entries = modules.and_then(|node| node.entries()).unwrap_or_default();
    let modules = entries
        .into_iter()
        .filter_map(|(name, node)| {
            let mut fields: Fields<'_> = node.fields()?;
            let rules = fields.texts("rules");
            if rules.is_empty() {
                node.problem("rules is missing; name at least one rule file or pack");
            }
            fields.finish();
            Some(ProbeModule {
                name: name.to_owned(),
                rules,
            })
        })
        .collect();
    fields.finish();
    Some(Probe { targets, modules })
}

#[cfg(test)]
mod tests {
    use crate::config::read_settings;

    #[test]
    fn a_module_needs_rules_and_a_probe_needs_modules() {
        let read = |probe: &str| {
            let text = format!("scrape: {{targets: [{{url: http://a:1}}]}}\nprobe: {probe}\n");
            read_settings("c.yaml", &text, &|_| None)
        };
        let good = read("{targets: [{url: http://b:2/metrics}], modules: {x: {rules: [vllm]}}}");
        let probe = good.unwrap().probe;
        assert_eq!(probe.targets[0].url, "http://b:2/metrics");
        assert_eq!(probe.modules[0].name, "x");
        for (wrong, problem) in [
            ("{targets: []}", "c.yaml:2: probe: modules is missing"),
            (
                "{modules: {x: {}}}",
                "c.yaml:2: probe.modules.x: rules is missing",
            ),
            (
                "{modules: {x: {rules: [a], r: 1}}}",
                "probe.modules.x.r: unknown key",
            ),
        ] {
            let problems = read(wrong).unwrap_err().to_string();
            assert!(problems.contains(problem), "{problems}");
        }
    }
}
