//! Enforces the architecture: which module may use which, and which file may use which library.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room → the rooms it may name. `docs/ARCHITECTURE.md` draws the same picture. Cargo keeps the
/// engine's modules free of everything in the root package.
const ROOMS: [(&str, &[&str]); 12] = [
    ("runtime", &[]),
    ("scrape", &["runtime"]),
    ("notify", &["runtime"]),
    ("publish", &["runtime"]),
    ("history", &["scrape", "runtime"]),
    ("state", &["notify"]),
    (
        "config",
        &["scrape", "notify", "publish", "state", "runtime"],
    ),
    (
        "service",
        &[
            "scrape", "notify", "publish", "state", "config", "history", "runtime",
        ],
    ),
    (
        "relay",
        &[
            "notify", "publish", "state", "config", "history", "service", "runtime",
        ],
    ),
    (
        "cli",
        &[
            "scrape", "notify", "publish", "state", "config", "history", "service", "relay",
            "runtime",
        ],
    ),
    (
        "reference",
        &["config", "publish", "relay", "scrape", "cli"],
    ),
    ("main", &["cli"]),
];

/// Library → the only places that may name it.
const EDGES: [(&str, &[&str]); 9] = [
    ("hickory_resolver::", &["runtime/dns.rs"]),
    ("serde_yaml::", &["config/yaml/tree.rs"]),
    ("reqwest::", &["runtime/http"]),
    ("hyper", &["publish/server"]),
    ("prometheus::", &["publish/"]),
    ("redb::", &["state/"]),
    ("tokio_rustls::", &["publish/server"]),
    ("x509_parser::", &["publish/server"]),
    ("bcrypt::", &["publish/server"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: no tests, no comments.
pub(crate) fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = body.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy();
    name == "tests" || path.components().any(|part| part.as_os_str() == "tests")
}

/// Path below `src` and code of every file that is no test.
fn files() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    let production = found
        .into_iter()
        .filter(|path| !is_test(path.strip_prefix(&src).unwrap()));
    production
        .map(|path| {
            let name = path
                .strip_prefix(&src)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            (name, code(&path))
        })
        .collect()
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The rooms named as `crate::room` or `sidewatch::room`, also inside `use crate::{a, b::C}`.
fn named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for prefix in ["crate::", "sidewatch::"] {
        for rest in code.split(prefix).skip(1) {
            let list = rest
                .strip_prefix('{')
                .and_then(|rest| rest.split('}').next());
            let parts: Vec<&str> =
                list.map_or_else(|| vec![rest], |list| list.split(',').collect());
            for part in parts {
                let word: String = part
                    .trim_start()
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                names.push(word);
            }
        }
    }
    names
}

#[test]
fn rooms_depend_only_downwards() {
    let mut violations = Vec::new();
    for (file, code) in files() {
        let here = room(&file);
        if ["lib", "internals"].contains(&here) {
            continue;
        }
        let allowed = ROOMS.iter().find(|(name, _)| *name == here);
        let Some((_, allowed)) = allowed else {
            violations.push(format!("{file}: the room {here} is not in the table"));
            continue;
        };
        for name in named(&code) {
            let is_room = ROOMS.iter().any(|(room, _)| *room == name);
            if is_room && name != here && !allowed.contains(&name.as_str()) {
                violations.push(format!("{file}: {here} must not know {name}"));
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn one_place_touches_each_library() {
    let mut violations = Vec::new();
    for (file, code) in files() {
        for (library, places) in EDGES {
            let used = code
                .split(library)
                .zip(code.split(library).skip(1))
                .any(|(before, _)| {
                    !before.ends_with(|c: char| {
                        c.is_ascii_alphanumeric() || c == '_' || c == '"' || c == '.'
                    })
                });
            if used && !places.iter().any(|place| file.starts_with(place)) {
                violations.push(format!(
                    "{file}: names {library}, which belongs in {}",
                    places.join(", ")
                ));
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn no_file_holds_more_than_one_idea() {
    let long: Vec<String> = files()
        .iter()
        .map(|(file, code)| (file, code.lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .map(|(file, lines)| format!("{file}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_check_sees_a_planted_violation() {
    assert_eq!(
        named("use crate::{alert, judge::Verdict}; crate::config::x()"),
        ["alert", "judge", "config"]
    );
}
