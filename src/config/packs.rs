//! The built-in rule packs.

pub use super::recognise::recognise;
pub(crate) use super::recognise::{Why, marks, pattern};

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
const PACKS: [(&str, &str); 16] = [
    ("accuracy", include_str!("../../rules/accuracy.yaml")),
    ("bentoml", include_str!("../../rules/bentoml.yaml")),
    ("drift", include_str!("../../rules/drift.yaml")),
    ("fastapi", include_str!("../../rules/fastapi.yaml")),
    ("kserve", include_str!("../../rules/kserve.yaml")),
    ("mlserver", include_str!("../../rules/mlserver.yaml")),
    ("nim", include_str!("../../rules/nim.yaml")),
    (
        "prometheus-client",
        include_str!("../../rules/prometheus-client.yaml"),
    ),
    ("ray-serve", include_str!("../../rules/ray-serve.yaml")),
    ("seldon", include_str!("../../rules/seldon.yaml")),
    ("sglang", include_str!("../../rules/sglang.yaml")),
    ("tf-serving", include_str!("../../rules/tf-serving.yaml")),
    ("tgi", include_str!("../../rules/tgi.yaml")),
    ("torchserve", include_str!("../../rules/torchserve.yaml")),
    ("triton", include_str!("../../rules/triton.yaml")),
    ("vllm", include_str!("../../rules/vllm.yaml")),
];

/// The names of the packs.
pub const NAMES: [&str; PACKS.len()] = names();

const fn names() -> [&'static str; PACKS.len()] {
    let mut names = [""; PACKS.len()];
    let mut at = 0;
    while at < PACKS.len() {
        names[at] = PACKS[at].0;
        at += 1;
    }
    names
}

/// The text of a pack.
pub(super) fn find(name: &str) -> Option<&'static str> {
    PACKS
        .iter()
        .find(|(pack, _)| *pack == name)
        .map(|(_, text)| *text)
}

/// The text of a pack, as a rule file.
#[must_use]
pub(crate) fn text(name: &str) -> Option<&'static str> {
    find(name)
}

#[cfg(test)]
mod tests {
    use super::{NAMES, PACKS, find};
    use crate::config::RuleReader;
    use crate::judge::Registry;
    use crate::rules::Rule;

    #[test]
    fn every_pack_reads_without_a_problem_and_watches_something() {
        let registry = Registry::default();
        let reader = RuleReader::new(&registry);
        assert!(reader.read(super::AUTO, super::UNRECOGNISED).is_ok());
        for (name, text) in PACKS {
            let groups = reader.read(&format!("{name}.yaml"), text).unwrap();
            let rules: Vec<&Rule> = groups.iter().flat_map(|group| &group.rules).collect();
            assert!(
                rules.iter().any(|rule| matches!(rule, Rule::Watch(_))),
                "{name}"
            );
            for rule in rules {
                if let Rule::Watch(watch) = rule {
                    let has_summary = watch
                        .alert
                        .annotations
                        .iter()
                        .any(|(name, _)| name == "summary");
                    assert!(has_summary, "{name}: {}", watch.alert.name);
                }
            }
        }
    }

    #[test]
    fn packs_are_found_by_name_and_no_name_is_there_twice() {
        assert!(NAMES.is_sorted_by(|a, b| a < b), "{NAMES:?}");
        assert!(NAMES.iter().all(|name| find(name).is_some()));
        assert_eq!(find("no-such-server"), None);
    }
}
