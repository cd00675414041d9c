//! Expands a pattern or a folder to rule files.

use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use glob::{MatchOptions, Pattern};

use super::text;

/// The path without `.`, and without `..` behind the name of a folder, as Prometheus opens and shows
/// it: `a/../rules.yaml` is `rules.yaml`.
pub(super) fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match (part, clean.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                clean.pop();
            }
            _ => clean.push(part),
        }
    }
    clean
}

/// Rule files whose path matches a pattern, in order; a file whose name ends in `.test.yaml` holds
/// tests and no rules.
///
/// # Errors
/// If the pattern is invalid, or a folder cannot be listed.
pub(super) fn matching(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    if let Some(folder) = pattern.parent()
        && !folder.as_os_str().is_empty()
        && !folder.to_string_lossy().contains('*')
    {
        fs::read_dir(folder)
            .map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    }
    // Only * is special: other pattern characters may be part of a folder's name.
    let text = pattern.to_string_lossy();
    let parts: Vec<String> = text.split('*').map(Pattern::escape).collect();
    let options = MatchOptions {
        require_literal_separator: true,
        ..MatchOptions::default()
    };
    let found = glob::glob_with(&parts.join("*"), options).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            format!("cannot list {}: {}", error.path().display(), error.error())
        })?;
        if path.is_file() && !is_rule_test(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The rule files of a folder and of the folders in it, in order: `*.yaml`, `*.yml` and `*.rules`.
/// Files of tests, hidden files and hidden folders are left out.
///
/// # Errors
/// If a folder cannot be listed, or there is no rule file.
pub(crate) fn rule_files_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let unlisted = |error: io::Error| format!("cannot list {}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(unlisted)? {
            let entry = entry.map_err(unlisted)?;
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // A link to a folder may lead back.
            if entry.file_type().map_err(unlisted)?.is_dir() {
                folders.push(path);
            } else if path.is_file() && is_rule_file(&path) && !holds_tests(&path) {
                files.push(path);
            }
        }
    }
    if files.is_empty() {
        return Err(format!(
            "no rule file in {}: none is named *.yaml, *.yml or *.rules",
            folder.display()
        ));
    }
    files.sort();
    Ok(files)
}

fn is_rule_file(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "rules"))
}

fn is_rule_test(file: &Path) -> bool {
    let name = file.to_string_lossy();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

/// Whether a file holds tests by its name or by its keys: promtool's may have any name.
fn holds_tests(file: &Path) -> bool {
    let is_test_key = |line: &str| line.starts_with("tests:") || line.starts_with("rule_files:");
    is_rule_test(file) || text::read(file).is_ok_and(|text| text.lines().any(is_test_key))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use std::path::{Path, PathBuf};

    use super::{cleaned, matching, rule_files_in};

    #[test]
    fn a_path_is_shown_without_detours() {
        for (path, clean) in [
            ("a/../rules.yaml", "rules.yaml"),
            ("./rules.yaml", "rules.yaml"),
            ("a//b/./../../c/*.yaml", "c/*.yaml"),
            ("../a/../../rules.yaml", "../../rules.yaml"),
            ("/../etc/a/../rules.yaml", "/etc/rules.yaml"),
        ] {
            assert_eq!(cleaned(Path::new(path)), PathBuf::from(clean), "{path}");
        }
    }

    #[test]
    fn a_folder_is_searched_to_the_bottom_and_never_silently_empty() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("none.txt", "");
        let error = rule_files_in(dir.path()).unwrap_err();
        assert!(error.starts_with("no rule file in "), "{error}");
        for name in [
            "z.rules",
            "b/c/d.yml",
            "b/e.yaml",
            ".git/f.yaml",
            "..data/g.yaml",
        ] {
            write(name, "groups: []\n");
        }
        write("b/promtool_test.yaml", "rule_files: [e.yaml]\ntests: []\n");
        let found = rule_files_in(dir.path()).unwrap();
        let names = found
            .iter()
            .map(|file| file.strip_prefix(dir.path()).unwrap());
        let names: Vec<&Path> = names.collect();
        assert_eq!(names, ["b/c/d.yml", "b/e.yaml", "z.rules"].map(Path::new));
    }

    #[test]
    fn a_star_stands_for_anything_in_a_name_and_tests_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a[1]");
        fs::create_dir(&folder).unwrap();
        for name in [
            "a.yaml",
            "vllm-1.yml",
            "vllm.yaml",
            "vllm.test.yaml",
            "b.txt",
        ] {
            fs::write(folder.join(name), "").unwrap();
        }
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            let names = files.iter().filter_map(|file| file.file_name());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        let found = |pattern: &str| names(matching(&folder.join(pattern)).unwrap());
        assert_eq!(found("*.yaml"), ["a.yaml", "vllm.yaml"]);
        assert_eq!(found("vllm*.y*ml"), ["vllm-1.yml", "vllm.yaml"]);
        assert_eq!(found("a*b*c"), Vec::<String>::new());
        let all = names(rule_files_in(&folder).unwrap());
        assert_eq!(all, ["a.yaml", "vllm-1.yml", "vllm.yaml"]);
        assert!(
            matching(&folder.join("none/*.yaml"))
                .unwrap_err()
                .starts_with("cannot list")
        );
    }
}
