//! Values that only configuration files have.

use super::settings::{ModuleKeys, ProbeModule};
use crate::describe::{Kind, Limits, Node, Shape, Word, read_word, worded};
use crate::notify::relabel::Action;
use crate::runtime::dns::Record;
use crate::scrape::PROTOCOLS;

/// A syntax of expositions.
#[derive(Debug)]
pub(super) struct Protocol;

impl Shape for Protocol {
    type Value = String;

    fn kind() -> Kind {
        Kind::Words(protocols().into_iter().map(|(word, _)| word).collect())
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<String> {
        read_word(node, limits, protocols())
    }
}

fn protocols() -> Vec<(Word, String)> {
    let known = PROTOCOLS.map(|(word, _)| (Word { word, doc: "" }, word.to_owned()));
    known.into_iter().rev().collect()
}

worded! {
    Record {
        "A" => Self::A, "IPv4 addresses.";
        "AAAA" => Self::Aaaa, "IPv6 addresses.";
        "SRV" => Self::Srv, "Services with their ports.";
    }
}

/// An action of relabelling, in any case.
impl Shape for Action {
    type Value = Self;

    fn kind() -> Kind {
        let words = Self::WORDS.map(|(word, _, doc)| Word { word, doc });
        Kind::Words(words.into())
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Self> {
        let found = Self::from_word(&node.text()?);
        found.or_else(|| {
            let words = Self::WORDS.map(|(word, action, doc)| (Word { word, doc }, action));
            read_word(node, limits, words.into())
        })
    }

    fn show(value: &Self) -> Option<String> {
        Some(value.word().to_owned())
    }
}

/// The modules of `/probe`, in the order written.
#[derive(Debug)]
pub(super) struct Modules;

impl Shape for Modules {
    type Value = Vec<ProbeModule>;

    fn kind() -> Kind {
        Kind::Map(Box::new(ModuleKeys::kind()))
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self::Value> {
        let modules = node.entries()?.into_iter().filter_map(|(name, node)| {
            let keys = ModuleKeys::read(&node, &Limits::NONE)?;
            Some(ProbeModule {
                name: name.to_owned(),
                rules: keys.rules,
            })
        });
        Some(modules.collect())
    }
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
