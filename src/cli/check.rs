//! `sidewatch check`: is what I wrote valid, and does it do what I meant?

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::Error;
use super::check_web;
use super::replay::load_rules;
use crate::alert;
use crate::config::rules::{Group, Rule};
use crate::config::{Config, Problems};
use crate::judge::Registry;
use crate::metric::format_duration;

/// The exit code when everything is valid but something looks like a slip.
pub(super) const LINT: u8 = 3;

/// Check configuration and rule files: exit code 0, 1 when invalid, 3 when valid with remarks
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Configuration files, with the rule files that they name
    Config {
        /// Files to check
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Rule files, PrometheusRule manifests, folders of them, or names of packs
    Rules {
        /// Files, folders or names of packs
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Web configuration files (--web.config.file), with their certificates
    Web {
        /// Files to check
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

impl Check {
    /// Checks and prints every problem and every remark.
    ///
    /// # Errors
    /// When nothing can be printed or a folder cannot be read.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let mut worst = 0;
        match &self.what {
            What::Config { files } => {
                for file in files {
                    let loaded = Config::load(file, &Registry::default());
                    worst = worse(worst, report(out, &file.display().to_string(), loaded)?);
                }
            }
            What::Rules { files } => {
                for file in rule_files(files)? {
                    let loaded = load_rules(std::slice::from_ref(&file), Duration::from_secs(15));
                    worst = worse(worst, report(out, &file, loaded)?);
                }
            }
            What::Web { files } => {
                for file in files {
                    worst = worse(worst, check_web::check(out, file)?);
                }
            }
        }
        Ok(ExitCode::from(worst))
    }
}

/// Invalid beats remarks beats nothing.
fn worse(one: u8, other: u8) -> u8 {
    if one == 1 || other == 1 {
        1
    } else {
        one.max(other)
    }
}

/// Folders are replaced by the rule files in them; tests are no rule files.
fn rule_files(named: &[String]) -> Result<Vec<String>, Error> {
    let mut files = Vec::new();
    for name in named {
        let path = Path::new(name);
        if !path.is_dir() {
            files.push(name.clone());
            continue;
        }
        let wrong = |error: io::Error| Error::new(format!("{name}: cannot be read: {error}"));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(wrong)? {
            let file = entry.map_err(wrong)?.path().display().to_string();
            let is_yaml = file.ends_with(".yaml") || file.ends_with(".yml");
            if is_yaml && !file.ends_with(".test.yaml") && !file.ends_with(".test.yml") {
                found.push(file);
            }
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn report(out: &mut dyn Write, file: &str, loaded: Result<Config, Problems>) -> Result<u8, Error> {
    let (code, text) = match loaded {
        Err(problems) => (1, format!("{problems}\n")),
        Ok(config) => {
            let groups = &config.rules.groups;
            let interval = config.settings.global.scrape_interval;
            let remarks: Vec<String> = groups
                .iter()
                .flat_map(|group| lint(group, interval))
                .collect();
            let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
            let code = if remarks.is_empty() { 0 } else { LINT };
            let remarks: String = remarks
                .iter()
                .map(|remark| format!("{file}: {remark}\n"))
                .collect();
            (code, format!("{remarks}{file}: {rules} rules are valid\n"))
        }
    };
    write!(out, "{text}").map_err(|error| Error::new(format!("cannot print: {error}")))?;
    Ok(code)
}

/// What is valid and probably not meant.
fn lint(group: &Group, scrape_interval: Duration) -> Vec<String> {
    let interval = group.interval.unwrap_or(scrape_interval);
    let rules = group.rules.iter().filter_map(|rule| match rule {
        Rule::Alert { alert, .. } => Some(alert),
        Rule::Watch(watch) => Some(&watch.alert),
        Rule::Record(_) => None,
    });
    let remarks = rules.flat_map(|alert| {
        let place = format!("{}: {}", group.name, alert.name);
        lint_alert(alert, interval)
            .into_iter()
            .map(move |remark| format!("{place}: {remark}"))
    });
    remarks.collect()
}

fn lint_alert(alert: &alert::Rule, interval: Duration) -> Vec<String> {
    let mut remarks = Vec::new();
    if !alert.annotations.iter().any(|(name, _)| name == "summary") {
        remarks.push("annotations.summary is missing; say in a sentence what is wrong".to_owned());
    }
    for (name, template) in &alert.labels {
        if template.uses_value() {
            remarks.push(format!(
                "labels.{name}: $value makes a new alert of every value; put it into an annotation"
            ));
        }
    }
    if !alert.hold.is_zero() && alert.hold < interval {
        remarks.push(format!(
            "for: {} is shorter than the interval of {}, so the alert fires one evaluation late and no sooner",
            format_duration(alert.hold),
            format_duration(interval)
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Check, What, rule_files};

    fn check(rules: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.yaml");
        fs::write(&path, format!("groups:\n  - name: g\n    rules:\n{rules}")).unwrap();
        fs::write(dir.path().join("r.test.yaml"), "tests: []\n").unwrap();
        let name = path.display().to_string();
        let files = vec![dir.path().display().to_string()];
        assert_eq!(rule_files(&files).unwrap(), [name.as_str()]);
        let mut out = Vec::new();
        let code = Check {
            what: What::Rules { files },
        }
        .run(&mut out)
        .unwrap();
        let text = String::from_utf8(out).unwrap().replace(&name, "r.yaml");
        format!("{text}{code:?}")
    }

    #[test]
    fn what_is_valid_is_said_to_be() {
        let text =
            check("      - alert: A\n        expr: up == 0\n        annotations: {summary: s}\n");
        assert!(text.starts_with("r.yaml: 1 rules are valid\n"), "{text}");
        assert!(text.ends_with("(0)))") || text.contains("(0)"), "{text}");
    }

    #[test]
    fn an_invalid_file_is_told_by_line_and_exits_with_1() {
        let text = check("      - alert: A\n        expr: rate(x)\n");
        assert!(
            text.starts_with("r.yaml:5: groups[0].rules[0].expr: argument 1 of rate"),
            "{text}"
        );
        assert!(text.contains("(1)"), "{text}");
    }

    #[test]
    fn slips_are_remarks_and_exit_with_3() {
        let text = check(
            "      - alert: A\n        expr: up == 0\n        for: 5s\n        labels: {now: '{{ $value }}'}\n",
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "r.yaml: g: A: annotations.summary is missing; say in a sentence what is wrong",
                "r.yaml: g: A: labels.now: $value makes a new alert of every value; put it into an annotation",
                "r.yaml: g: A: for: 5s is shorter than the interval of 15s, so the alert fires one evaluation late and no sooner",
            ]
        );
        assert!(text.contains("(3)"), "{text}");
    }
}
