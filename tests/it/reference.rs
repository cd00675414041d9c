//! The pages of `docs/reference` are what the code describes.
//!
//! `SIDEWATCH_BLESS=1 cargo test --test it -- reference` rewrites them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sidewatch::internals::publish::catalogue;
use sidewatch::internals::reference::{INDEX, PAGES, index};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every page and its text.
fn pages() -> Vec<(&'static str, String)> {
    let pages = PAGES.iter().map(|page| (page.file, page.render()));
    pages.chain([(INDEX, index())]).collect()
}

#[test]
fn every_page_is_up_to_date() {
    let folder = root().join("docs/reference");
    let bless = std::env::var_os("SIDEWATCH_BLESS").is_some();
    let mut stale = Vec::new();
    for (file, text) in pages() {
        let path = folder.join(file);
        if fs::read_to_string(&path).is_ok_and(|written| written == text) {
            continue;
        }
        if bless {
            fs::write(&path, text).unwrap();
        } else {
            stale.push(file);
        }
    }
    assert!(
        stale.is_empty(),
        "{stale:?}: stale; run SIDEWATCH_BLESS=1 cargo test --test it -- reference"
    );
}

#[test]
fn every_file_in_the_folder_is_a_page() {
    let known: BTreeSet<&str> = pages().into_iter().map(|(file, _)| file).collect();
    for entry in fs::read_dir(root().join("docs/reference")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(name.as_str()), "{name} is no page");
    }
}

/// Every long option of a command and its subcommands, without help and version.
fn long_options(command: &clap::Command, found: &mut BTreeSet<String>) {
    let longs = command.get_arguments().filter_map(clap::Arg::get_long);
    let known = longs.filter(|long| !["help", "version"].contains(long));
    found.extend(known.map(|long| format!("`--{long}")));
    for child in command.get_subcommands() {
        long_options(child, found);
    }
}

#[test]
fn no_option_of_the_command_line_is_left_out() {
    let page = PAGES.iter().find(|page| page.file == "cli.md").unwrap();
    let text = page.render();
    let mut options = BTreeSet::new();
    long_options(&sidewatch::internals::cli::command(), &mut options);
    assert!(options.len() > 40, "{options:?}");
    for option in options {
        let ends = ["`", "="].map(|end| format!("{option}{end}"));
        assert!(ends.iter().any(|end| text.contains(end)), "{option}");
    }
}

/// Text files below a folder, or the file itself.
fn texts(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            texts(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|ext| {
        ["md", "yaml", "yml", "json", "tpl", "txt"]
            .iter()
            .any(|known| ext == *known)
    }) {
        found.push(path.to_owned());
    }
}

/// The words of a text that begin with `sidewatch_`.
fn metric_names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c))
        .filter(|word| word.starts_with("sidewatch_") && word.len() > "sidewatch_".len())
        .collect()
}

#[test]
fn every_metric_that_charts_documents_and_rules_name_is_in_the_table() {
    let known: BTreeSet<&str> = catalogue::all().map(|family| family.name).collect();
    let mut files = Vec::new();
    for place in ["helm", "docs", "rules", "README.md", "SECURITY.md"] {
        texts(&root().join(place), &mut files);
    }
    let mut named = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for name in metric_names(&text) {
            assert!(known.contains(name), "{}: {name}", file.display());
            named.insert(name.to_owned());
        }
    }
    assert!(named.len() > 40, "{named:?}");
}

#[test]
fn every_link_within_a_page_has_its_anchor() {
    let mut dead = Vec::new();
    for (file, text) in pages() {
        let anchors: BTreeSet<String> = text
            .split("<a id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .map(str::to_owned)
            .chain(text.lines().filter_map(|line| {
                let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
                Some(heading.to_lowercase().replace(' ', "-").replace('`', ""))
            }))
            .collect();
        let links = text.split("](#").skip(1);
        dead.extend(
            links
                .filter_map(|rest| rest.split(')').next())
                .filter(|link| !anchors.contains(*link))
                .map(|link| format!("{file}#{link}")),
        );
        assert!(!text.contains('\u{1}'), "{file}: a link was not resolved");
    }
    assert!(dead.is_empty(), "{dead:?}");
}
