//! No two files import each other, directly or through others.
#![expect(
    clippy::string_slice,
    reason = "source text is cut at ASCII characters that were found in it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module by the names on the way to it, such as `["judge", "registry"]`.
type Module = Vec<String>;

/// A path in an import or in code, and whether it is exported again.
#[derive(Debug, PartialEq)]
struct Import {
    path: Vec<String>,
    is_exported: bool,
}

/// The imports of every production file below a folder.
fn imports_below(src: &Path) -> BTreeMap<Module, Vec<Import>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![src.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let module = path.strip_prefix(src).unwrap().with_extension("");
            let mut module: Module = module
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            if module.iter().any(|part| part == "tests") {
                continue;
            }
            if ["mod", "lib", "main"].contains(&module.last().unwrap().as_str()) {
                module.pop();
            }
            found.insert(module, imports(&super::layers::code(&path)));
        }
    }
    found
}

/// The imports of a file, and the paths that its code names.
fn imports(code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let line = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end();
            before.is_empty() || before.ends_with([';', '}', ')', ']']) || before.ends_with("pub")
        });
        let Some(at) = line else {
            rest.push_str(statement);
            continue;
        };
        let is_exported = statement[..at].trim_end().ends_with(['b', ')']);
        rest.push_str(&statement[..at]);
        let tree: String = statement[at + 4..]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        for path in expanded(tree.trim_end_matches(';')) {
            found.push(Import { path, is_exported });
        }
    }
    for start in ["crate::", "super::"] {
        for (at, _) in rest.match_indices(start) {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if rest[..at].ends_with(|c: char| is_word(c) || c == ':') {
                continue;
            }
            let path = rest[at..].split(|c: char| !is_word(c) && c != ':').next();
            found.push(Import {
                path: segments(path.unwrap()),
                is_exported: false,
            });
        }
    }
    found
}

/// The paths of a tree such as `a::{b, c::{D, E}}`.
fn expanded(tree: &str) -> Vec<Vec<String>> {
    let Some(open) = tree.find('{') else {
        return vec![segments(tree)];
    };
    let close = tree.rfind('}').unwrap();
    let (mut depth, mut parts, mut part) = (0, Vec::new(), String::new());
    for c in tree[open + 1..close].chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    let prefix = segments(&tree[..open]);
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts
        .flat_map(|part| expanded(part))
        .map(|path| [prefix.clone(), path].concat())
        .collect()
}

fn segments(path: &str) -> Vec<String> {
    let path = path.split(" as ").next().unwrap();
    let parts = path.split("::").map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The file in which what a path names is defined; tables of contents are looked through.
fn defined_in(
    files: &BTreeMap<Module, Vec<Import>>,
    from: &Module,
    path: &[String],
) -> Option<Module> {
    let mut at = from.clone();
    let mut path = path;
    match path.first()?.as_str() {
        "crate" => {
            at.clear();
            path = &path[1..];
        }
        "super" | "self" => {}
        own => {
            at.push(own.to_owned());
            if !files.contains_key(&at) {
                return None;
            }
            path = &path[1..];
        }
    }
    while let Some(next) = path.first() {
        match next.as_str() {
            "super" => drop(at.pop()),
            "self" => {}
            name => {
                at.push(name.to_owned());
                if !files.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
        }
        path = &path[1..];
    }
    let Some(item) = path.first() else {
        return Some(at);
    };
    let exports = files.get(&at)?.iter().filter(|import| import.is_exported);
    let mut of_item = exports.filter(|import| import.path.last() == Some(item));
    let through = of_item.find_map(|import| {
        let found = defined_in(files, &at, &import.path)?;
        (found != at).then_some(found)
    });
    through.or(Some(at))
}

/// File → the files that it imports from.
fn graph(files: &BTreeMap<Module, Vec<Import>>) -> BTreeMap<&Module, BTreeSet<Module>> {
    let edges = files.iter().map(|(module, imports)| {
        let imports = imports.iter().filter(|import| !import.is_exported);
        let found = imports.filter_map(|import| defined_in(files, module, &import.path));
        (module, found.filter(|found| found != module).collect())
    });
    edges.collect()
}

/// Everything that a file imports from, directly or through others.
fn reachable(graph: &BTreeMap<&Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(module) = waiting.pop() {
        for next in graph.get(module).into_iter().flatten() {
            if seen.insert(next.clone()) {
                waiting.push(next);
            }
        }
    }
    seen
}

/// The files below a folder that import each other, apart from those below `excepted`.
fn cycles(src: &str, excepted: &[&[&str]]) -> Vec<String> {
    let files = imports_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join(src));
    assert!(files.len() > 5, "{src} has hardly any file");
    let graph = graph(&files);
    let is_excepted = |module: &Module| {
        let mut prefixes = excepted.iter();
        prefixes.any(|prefix| {
            module.len() >= prefix.len() && module.iter().zip(*prefix).all(|(a, b)| a == b)
        })
    };
    let modules = files.keys().filter(|module| !is_excepted(module));
    modules
        .filter(|module| reachable(&graph, module).contains(*module))
        .map(|module| module.join("::"))
        .collect()
}

#[test]
fn no_files_of_the_engine_import_each_other_but_the_operators_of_promql() {
    let found = cycles("crates/engine/src", &[&["promql", "eval"]]);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_files_of_the_service_import_each_other() {
    let found = cycles("src", &[]);
    let found: Vec<&String> = found
        .iter()
        .filter(|module| module.starts_with("service") || module.starts_with("relay"))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn imports_are_found_in_trees_and_in_code() {
    let code =
        "pub use a::B;\nuse super::{c, d::{E, F as G}};\nfn f() -> crate::h::I { super::j() }\n";
    let paths: Vec<String> = imports(code)
        .iter()
        .map(|import| {
            format!(
                "{}{}",
                if import.is_exported { "+" } else { "" },
                import.path.join("::")
            )
        })
        .collect();
    assert_eq!(
        paths,
        [
            "+a::B",
            "super::c",
            "super::d::E",
            "super::d::F",
            "crate::h::I",
            "super::j"
        ]
    );
}

#[test]
fn a_cycle_through_a_table_of_contents_is_found() {
    let module = |name: &str| -> Module { segments(name) };
    let mut files = BTreeMap::new();
    files.insert(module(""), imports("pub use a::A;\npub use b::B;"));
    files.insert(module("a"), imports("use super::B;"));
    files.insert(module("b"), imports("use crate::A;"));
    files.insert(module("c"), imports("use super::{A, B};"));
    let graph = graph(&files);
    let in_a_cycle = |name: &str| reachable(&graph, &module(name)).contains(&module(name));
    assert!(in_a_cycle("a") && in_a_cycle("b") && !in_a_cycle("c"));
}
