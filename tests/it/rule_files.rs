//! Rule files as people write them: sixty mistakes, and what is said about each.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sidewatch::config::RuleReader;
use sidewatch::judge::Registry;

const BAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rules/bad");

#[test]
fn every_mistake_is_named_with_its_line_its_place_and_its_remedy() {
    let registry = Registry::default();
    let reader = RuleReader {
        registry: &registry,
        retention: Duration::from_secs(3600),
        interval: Duration::from_secs(15),
    };
    let expected = fs::read_to_string(Path::new(BAD).join("expected.txt")).unwrap();
    let mut names: Vec<String> = fs::read_dir(BAD)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    assert!(names.len() >= 60, "{}", names.len());
    let mut said = String::new();
    for name in &names {
        let text = fs::read_to_string(Path::new(BAD).join(name)).unwrap();
        match reader.read(name, &text) {
            Ok(_) => said.push_str(&format!("{name}: accepted\n")),
            Err(problems) => said.push_str(&format!("{problems}\n")),
        }
    }
    let wrong: Vec<(&str, &str)> = said
        .lines()
        .zip(expected.lines())
        .filter(|(said, expected)| said != expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(said.lines().count(), expected.lines().count());
}
