//! Writes the files to install a model: its rules, a configuration, and the values of the Helm
//! chart.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::replayed::ReplayedModel;
use crate::cli::error::Error;
use crate::config::packs;
use crate::describe::without_user;
use crate::metric::format_duration;

/// The folder of a model in the folder for all models.
pub(super) fn folder(dir: &Path, model: &ReplayedModel) -> PathBuf {
    let model = &model.model;
    let name = match &model.namespace {
        Some(namespace) => format!("{namespace}-{}", model.name),
        None => model.name.clone(),
    };
    let file_name: String = name
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => c,
            _ => '-',
        })
        .collect();
    dir.join(file_name)
}

/// Writes the files of one model.
pub(super) fn write(
    dir: &Path,
    url: &str,
    range: Duration,
    replayed: &ReplayedModel,
) -> Result<(), Error> {
    let folder = folder(dir, replayed);
    std::fs::create_dir_all(&folder)
        .map_err(|error| Error::new(format!("{}: cannot be created: {error}", folder.display())))?;
    let rules = packs::text(replayed.model.pack).unwrap_or_default();
    write_file(&folder.join("rules.yaml"), rules)?;
    let configuration = configuration(url, range, replayed);
    write_file(&folder.join("sidewatch.yaml"), &configuration)?;
    write_file(&folder.join("values.yaml"), &values(url, range, replayed))
}

/// Writes a file.
pub(super) fn write_file(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|error| Error::unwritable(path, &error))
}

/// The text as a YAML string; JSON strings are valid YAML once they hold no character that YAML takes
/// for a line break or does not allow.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            // Writing to a String cannot fail.
            write!(out, "\\u{:04x}", u32::from(c)).ok();
        }
    }
    out
}

/// A name for a command that people copy. Names come from labels of the model server: one that
/// Kubernetes would not accept must neither end the comment nor reach a shell.
fn plain<'a>(name: &'a str, placeholder: &'a str) -> &'a str {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= 63 && name.chars().all(is_plain) {
        name
    } else {
        placeholder
    }
}

fn configuration(url: &str, range: Duration, replayed: &ReplayedModel) -> String {
    let model = &replayed.model;
    let mut out = format!(
        "# A judge for all replicas of this model, fed by Prometheus: sidewatch run --config.file=sidewatch.yaml\n\
         model: {{id: {}}}\n\
         scrape:\n  source:\n    prometheus: {}\n    matchers:\n",
        quoted(&model.name),
        // These files end in a ConfigMap.
        quoted(&without_user(url)),
    );
    for matcher in &model.matchers {
        writeln!(out, "    - {}", quoted(&matcher.to_string())).ok();
    }
    write!(
        out,
        "backfill: {{range: {}}}\nrule_files: [rules.yaml]\n\
         # alerting: {{alertmanagers: [{{url: \"http://alertmanager:9093\"}}]}}\n\
         # retraining: {{dry_run: true, webhooks: [{{url: \"http://…\"}}]}}\n\
         # storage: {{path: /var/lib/sidewatch}}\n",
        format_duration(range)
    )
    .ok();
    out
}

fn values(url: &str, range: Duration, replayed: &ReplayedModel) -> String {
    let model = &replayed.model;
    let namespace = model.namespace.as_deref().unwrap_or("default");
    let mut out = format!(
        "# A judge for all replicas of this model: helm install {name} helm/sidewatch -n {namespace} -f values.yaml\n\
         model:\n  id: {id}\n\
         rules:\n  packs: [{pack}]\n\
         judge:\n  enabled: true\n  source:\n\
         \x20   # The URL given to sidewatch plan; inside the cluster it may differ.\n\
         \x20   prometheus: {url}\n    matchers:\n",
        name = plain(&format!("{}-judge", model.name), "NAME"),
        namespace = plain(namespace, "NAMESPACE"),
        id = quoted(&model.name),
        pack = quoted(model.pack),
        url = quoted(&without_user(url)),
    );
    for matcher in &model.matchers {
        writeln!(out, "    - {}", quoted(&matcher.to_string())).ok();
    }
    write!(
        out,
        "  backfill: {{enabled: true, range: {}}}\n\
         alerting:\n  mode: direct\n  alertmanagers: []\n\
         retraining:\n  # Requests are only logged; set to false to send them.\n  dryRun: true\n  webhooks: []\n",
        format_duration(range)
    )
    .ok();
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{configuration, folder, plain, quoted, values};
    use crate::cli::plan::discovery::Model;
    use crate::cli::plan::replayed::ReplayedModel;
    use crate::cli::replay::Replay;
    use crate::config::Document;
    use crate::metric::{MatchOp, Matcher};

    fn replayed(text: &str) -> ReplayedModel {
        let job = Matcher::try_new("job", MatchOp::Equal, text).unwrap();
        ReplayedModel {
            model: Model {
                name: text.to_owned(),
                namespace: Some(text.to_owned()),
                job: text.to_owned(),
                pack: "vllm",
                because: text.to_owned(),
                targets: [].into(),
                matchers: vec![job],
                metrics: std::sync::Arc::default(),
            },
            replay: Replay::default(),
            found: Vec::new(),
            missing: Vec::new(),
            observed: Duration::ZERO,
        }
    }

    /// Texts of up to four pieces that mean something to YAML, a shell or a template.
    fn hostile() -> impl Iterator<Item = String> {
        let pieces = [
            "\n",
            "\r",
            "\t",
            "\u{85}",
            "\u{2028}",
            "\u{2029}",
            "\u{feff}",
            "\u{7f}",
            "\u{9b}",
            "\0",
            "\u{1b}[2J",
            "\u{202e}",
            "image: {repository: x}",
            "# ",
            ": ",
            "- ",
            "---",
            "...",
            "%TAG",
            "\"",
            "'",
            "\\",
            "{{ .x }}",
            "${HOME}",
            "$(id)",
            "`id`",
            "&a ",
            "*a",
            "!t ",
            "|",
            ">",
            "]",
            "}",
            "<b>",
            "null",
            "~",
            "a",
        ];
        let mut seed = 7_u64;
        (0..3000).map(move |_| {
            let mut next = || {
                // Xorshift: the same texts in every run.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                usize::try_from(seed % 1_000_003).unwrap()
            };
            let count = 1 + next() % 4;
            (0..count).map(|_| pieces[next() % pieces.len()]).collect()
        })
    }

    #[test]
    fn files_hold_what_was_meant_whatever_a_server_calls_itself() {
        let range = Duration::from_secs(7 * 86_400);
        let url = "http://me:s3cret@prometheus:9090/x";
        let clean = |yaml: &str| Document::parse("x", yaml).unwrap().root.to_json();
        let calm = replayed("fraud");
        for text in hostile() {
            let model = replayed(&text);
            let matcher = model.model.matchers[0].to_string();
            for (got, expected) in [
                (values(url, range, &model), values(url, range, &calm)),
                (
                    configuration(url, range, &model),
                    configuration(url, range, &calm),
                ),
            ] {
                assert!(!got.contains("s3cret"), "{got}");
                // The same tree, in which only the name and the matcher differ.
                let mut expected = clean(&expected);
                let mut got = clean(&got);
                for (tree, name, matcher) in [
                    (&mut got, text.as_str(), matcher.as_str()),
                    (&mut expected, "fraud", "job=\"fraud\""),
                ] {
                    assert_eq!(tree["model"]["id"], name);
                    tree["model"]["id"] = "".into();
                    let key = if tree.get("judge").is_some() {
                        "judge"
                    } else {
                        "scrape"
                    };
                    let matchers = &mut tree[key]["source"]["matchers"];
                    assert_eq!(matchers[0], matcher);
                    *matchers = serde_json::Value::Null;
                }
                assert_eq!(got, expected, "{text:?}");
            }
            let path = folder(std::path::Path::new("out"), &model);
            assert_eq!(path.parent(), Some(std::path::Path::new("out")), "{text:?}");
        }
    }

    #[test]
    fn text_of_a_server_stays_within_its_line() {
        for hostile in [
            "fraud\nimage: {repository: evil.example/x}\n#",
            "a\r\nb: c",
            "a\u{85}b: c",
            "a\u{2028}b: c",
            "\"}, x: {",
        ] {
            let text = quoted(hostile);
            assert!(
                !text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']),
                "{text}"
            );
            let read: String = serde_json::from_str(&text).unwrap();
            assert_eq!(read, hostile);
        }
    }

    #[test]
    fn only_names_of_kubernetes_stand_in_a_command() {
        assert_eq!(plain("fraud-judge", "NAME"), "fraud-judge");
        for hostile in ["x\nimage: {}", "$(id)", "a b", "A", &"a".repeat(64)] {
            assert_eq!(plain(hostile, "NAME"), "NAME");
        }
    }
}
