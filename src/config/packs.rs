//! The built-in rule packs.

use std::sync::LazyLock;

pub use super::recognise::recognise;
pub(crate) use super::recognise::{Why, companions, coverage, marks, pattern};

/// The word for the pack of the recognised server.
pub(crate) const AUTO: &str = "auto";

/// The rules until the target is recognised: they only detect that it is absent.
pub(super) const UNRECOGNISED: &str = "\
groups:
  - name: auto
    rules:
      - alert: ServerNotRecognised
        expr: up == 1
        for: 2m
        labels: {severity: warning}
        annotations:
          summary: 'no rule pack fits what {{ $labels.instance }} exposes, so nothing is watched'
          description: 'Start with --rules=PACK or --rules=FILE. The log says what was found.'
";

/// Name and text of each pack, in alphabetical order.
const PACKS: [(&str, &str); 28] = [
    ("accuracy", include_str!("../../rules/accuracy.yaml")),
    ("bentoml", include_str!("../../rules/bentoml.yaml")),
    ("dcgm", include_str!("../../rules/dcgm.yaml")),
    ("drift", include_str!("../../rules/drift.yaml")),
    ("dynamo", include_str!("../../rules/dynamo.yaml")),
    ("fastapi", include_str!("../../rules/fastapi.yaml")),
    ("knative", include_str!("../../rules/knative.yaml")),
    ("kserve", include_str!("../../rules/kserve.yaml")),
    ("lightllm", include_str!("../../rules/lightllm.yaml")),
    ("litellm", include_str!("../../rules/litellm.yaml")),
    ("llama-cpp", include_str!("../../rules/llama-cpp.yaml")),
    ("lmdeploy", include_str!("../../rules/lmdeploy.yaml")),
    ("lorax", include_str!("../../rules/lorax.yaml")),
    ("mlserver", include_str!("../../rules/mlserver.yaml")),
    ("mosec", include_str!("../../rules/mosec.yaml")),
    ("nim", include_str!("../../rules/nim.yaml")),
    ("ovms", include_str!("../../rules/ovms.yaml")),
    (
        "prometheus-client",
        include_str!("../../rules/prometheus-client.yaml"),
    ),
    ("ray-serve", include_str!("../../rules/ray-serve.yaml")),
    ("seldon", include_str!("../../rules/seldon.yaml")),
    ("sglang", include_str!("../../rules/sglang.yaml")),
    ("tei", include_str!("../../rules/tei.yaml")),
    ("tf-serving", include_str!("../../rules/tf-serving.yaml")),
    ("tgi", include_str!("../../rules/tgi.yaml")),
    ("torchserve", include_str!("../../rules/torchserve.yaml")),
    ("triton", include_str!("../../rules/triton.yaml")),
    ("trtllm", include_str!("../../rules/trtllm.yaml")),
    ("vllm", include_str!("../../rules/vllm.yaml")),
];

/// A pack for a server that writes the names of its metrics with another prefix.
struct Variant {
    name: &'static str,
    pack: &'static str,
    prefix: &'static str,
    instead: &'static str,
}

const fn variant(
    name: &'static str,
    pack: &'static str,
    prefix: &'static str,
    instead: &'static str,
) -> Variant {
    Variant {
        name,
        pack,
        prefix,
        instead,
    }
}

/// Names without the colon come from a Prometheus 2 or from OpenMetrics 1.0; Ray adds a prefix.
const VARIANTS: [Variant; 4] = [
    variant("sglang-underscored", "sglang", "sglang:", "sglang_"),
    variant("vllm-ray", "vllm", "vllm:", "ray_vllm:"),
    variant("vllm-ray-underscored", "vllm", "vllm:", "ray_vllm_"),
    variant("vllm-underscored", "vllm", "vllm:", "vllm_"),
];

/// The texts of the variants, in their order.
static VARIED: LazyLock<[String; VARIANTS.len()]> = LazyLock::new(|| {
    VARIANTS.map(|variant| {
        let text = find(variant.pack).unwrap_or_default();
        text.replace(variant.prefix, variant.instead)
    })
});

/// The names of the packs, variants last.
pub const NAMES: [&str; PACKS.len() + VARIANTS.len()] = names();

const fn names() -> [&'static str; PACKS.len() + VARIANTS.len()] {
    let mut names = [""; PACKS.len() + VARIANTS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < PACKS.len() {
            PACKS[at].0
        } else {
            VARIANTS[at - PACKS.len()].name
        };
        at += 1;
    }
    names
}

/// The text of a pack.
pub(super) fn find(name: &str) -> Option<&'static str> {
    let written = PACKS.iter().find(|(pack, _)| *pack == name);
    written.map(|(_, text)| *text).or_else(|| {
        let at = VARIANTS.iter().position(|variant| variant.name == name)?;
        Some(&*VARIED[at])
    })
}

/// The text of a pack, as a rule file.
#[must_use]
pub(crate) fn text(name: &str) -> Option<&'static str> {
    find(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{NAMES, PACKS, VARIANTS, find};
    use crate::alert;
    use crate::config::RuleReader;
    use crate::judge::Registry;
    use crate::rules::Rule;

    #[test]
    fn every_pack_reads_without_a_problem_and_watches_something() {
        let registry = Registry::default();
        let reader = RuleReader::new(&registry);
        assert!(reader.read(super::AUTO, super::UNRECOGNISED).is_ok());
        for name in NAMES {
            let text = find(name).unwrap();
            let groups = reader.read(&format!("{name}.yaml"), text).unwrap();
            let mut rules = groups.iter().flat_map(|group| &group.rules);
            assert!(rules.any(|rule| matches!(rule, Rule::Watch(_))), "{name}");
        }
    }

    /// The rules that raise alerts, except of the packs that are loaded beside one of a server.
    fn alerting(check: impl Fn(&str, &alert::AlertRule)) {
        let registry = Registry::default();
        let reader = RuleReader::new(&registry);
        for (name, text) in PACKS {
            let groups = reader.read(&format!("{name}.yaml"), text).unwrap();
            let rules = groups.iter().flat_map(|group| &group.rules);
            rules
                .filter_map(Rule::alert)
                .for_each(|alert| check(name, alert));
        }
    }

    #[test]
    fn every_alert_says_what_it_means_and_names_a_page_that_says_what_to_do() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        alerting(|pack, alert| {
            let text = |name: &str| {
                let mut all = alert.annotations.iter();
                let found = all.find(|(known, _)| known == name);
                found.map(|(_, text)| text.source()).unwrap_or_default()
            };
            let rule = format!("{pack}: {}", alert.name);
            assert!(!text("summary").is_empty(), "{rule}");
            if ["accuracy", "drift"].contains(&pack) {
                return;
            }
            let sentences = text("description").matches(['.', '!', '?']).count();
            assert!(sentences >= 2, "{rule}");
            let page = text("runbook_url");
            assert!(page.starts_with("docs/runbooks/"), "{rule}: {page}");
            assert!(sources.join(page).is_file(), "{rule}: {page}");
        });
    }

    #[test]
    fn what_only_warns_of_a_change_pages_nobody() {
        let registry = Registry::default();
        let reader = RuleReader::new(&registry);
        for (name, text) in PACKS {
            let groups = reader.read(&format!("{name}.yaml"), text).unwrap();
            for rule in groups.iter().flat_map(|group| &group.rules) {
                let Rule::Watch(watch) = rule else { continue };
                let labels = watch.alert.labels.iter();
                let pages = labels
                    .into_iter()
                    .any(|(_, value)| value.source() == "page");
                let has_bound = watch.strategy.params.contains_key("bound");
                assert!(!pages || has_bound, "{name}: {}", watch.alert.name);
            }
        }
    }

    #[test]
    fn every_pack_of_a_server_says_that_the_server_is_down() {
        for (name, text) in PACKS {
            let is_server = !["accuracy", "drift"].contains(&name);
            let says = text.contains("- alert: TargetDown\n        expr: up == 0\n");
            assert_eq!(says, is_server, "{name}");
        }
    }

    #[test]
    fn a_variant_reads_the_other_names_only() {
        for variant in VARIANTS {
            let text = find(variant.name).unwrap();
            let metric = format!("{}e2e_request_latency_seconds_bucket", variant.instead);
            assert!(text.contains(&metric), "{}", variant.name);
            let old = text.replace(variant.instead, "");
            assert!(!old.contains(variant.prefix), "{}", variant.name);
        }
    }

    #[test]
    fn packs_are_found_by_name_and_no_name_is_there_twice() {
        assert!(PACKS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(VARIANTS.is_sorted_by(|a, b| a.name < b.name));
        assert!(NAMES.iter().all(|name| find(name).is_some()));
        assert_eq!(find("no-such-server"), None);
    }
}
