//! The program accepts the examples in the documentation.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sidewatch::internals::cli::test::{Format, Test};
use sidewatch::internals::config::{RuleReader, read_settings, read_web};
use sidewatch_engine::alert::NOTICES;
use sidewatch_engine::judge::Registry;

use super::support::certificates::Authority;

/// The YAML blocks of a document, with the line each begins at.
pub(crate) fn blocks(file: &str) -> Vec<(usize, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```yaml" => open = Some((number + 1, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => found.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    found
}

#[test]
fn every_rule_file_and_configuration_of_the_documents_is_accepted() {
    let registry = Registry::built_in();
    let reader = RuleReader {
        registry: &registry,
        interval: Duration::from_secs(15),
    };
    for file in ["README.md", "docs/RULES.md", "docs/FLEET.md"] {
        let blocks = blocks(file);
        assert!(blocks.len() >= 2, "{file} shows rules and configuration");
        let tests = |block: &str| block.contains("\ntests:\n");
        for (line, block) in blocks.into_iter().filter(|(_, block)| !tests(block)) {
            let place = format!("{file}:{line}");
            let problems = if block.starts_with("groups:") {
                reader.read(&place, &block).err()
            } else {
                read_settings(&place, &block, &|_| Some("value".to_owned())).err()
            };
            assert!(problems.is_none(), "{}", problems.unwrap());
        }
    }
}

#[test]
fn the_tests_of_the_tutorial_pass_on_its_rules() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = blocks("docs/RULES.md");
    let accuracy = blocks
        .iter()
        .find(|(_, block)| block.contains("watch: AccuracyDropped"));
    fs::write(dir.path().join("accuracy.yaml"), &accuracy.unwrap().1).unwrap();
    let command = Test {
        files: Vec::new(),
        run: None,
        require_snapshots: false,
        format: Format::Text,
    };
    let tests = blocks.iter();
    let tests: Vec<_> = tests
        .filter(|(_, block)| block.contains("\ntests:\n"))
        .collect();
    assert!(tests.len() >= 2, "the tutorial shows tests of both kinds");
    for (line, block) in tests {
        let file = dir.path().join("accuracy.test.yaml");
        fs::write(&file, block).unwrap();
        let report = command.report(&file);
        assert!(report.passed(), "docs/RULES.md:{line}: {}", report.text());
        assert_eq!(report.remarks, Vec::<String>::new());
    }
}

#[test]
fn the_web_configuration_of_its_document_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.write(dir.path(), "tls", &authority.sign("sidewatch.test"));
    fs::write(dir.path().join("clients.ca"), authority.pem()).unwrap();
    let blocks = blocks("docs/WEB.md");
    assert_eq!(blocks.len(), 1);
    for (line, block) in blocks {
        let place = format!("docs/WEB.md:{line}");
        let problems = read_web(&place, &block, dir.path()).err();
        assert!(problems.is_none(), "{}", problems.unwrap());
    }
}

#[test]
fn the_configuration_of_a_judge_in_the_kubernetes_guide_is_accepted() {
    let blocks = blocks("docs/KUBERNETES.md");
    assert!(!blocks.is_empty());
    for (line, block) in blocks {
        let place = format!("docs/KUBERNETES.md:{line}");
        let settings = read_settings(&place, &block, &|_| None).unwrap();
        assert!(settings.scrape.discovery.is_some());
    }
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_file_that_the_readme_links_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("README.md")).unwrap();
    let links: Vec<&str> = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert!(links.len() > 4, "{links:?}");
    for link in links.iter().filter(|link| !link.contains("://")) {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        assert!(root.join(file).exists(), "{link}");
        if !anchor.is_empty() {
            let text = fs::read_to_string(root.join(file)).unwrap();
            let mut headings = text.lines().filter(|line| line.starts_with('#'));
            assert!(headings.any(|heading| slug(heading) == anchor), "{link}");
        }
    }
}

#[test]
fn every_alert_that_the_program_raises_about_a_rule_has_a_runbook() {
    let runbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks");
    for name in NOTICES {
        let page = fs::read_to_string(runbooks.join(format!("{name}.md")));
        assert!(page.unwrap().starts_with(&format!("# {name}\n")), "{name}");
    }
}

/// The text of every Rust file below a folder.
fn sources(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            out.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_test_that_the_evidence_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["src", "tests/it", "crates/engine"] {
        sources(&root.join(folder), &mut code);
    }
    let evidence = fs::read_to_string(root.join("docs/evidence/security.md")).unwrap();
    let is_sentence = |text: &&str| {
        let words = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        !text.starts_with('_') && text.matches('_').count() >= 4 && text.chars().all(words)
    };
    // Every other part stands between backticks.
    let named: Vec<&str> = evidence
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(is_sentence)
        .collect();
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        assert!(code.contains(&format!("fn {name}(")), "{name}");
    }
}
