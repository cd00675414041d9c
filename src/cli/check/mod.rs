//! `sidewatch check`: reports mistakes in files, and rules that are valid but probably not
//! intended.

mod exposed;
mod relay;
mod report;
mod web;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use self::exposed::MetricsSource;
use self::report::{INVALID, Report, ReportOptions};
use super::error::Error;
use crate::config::exposed::Exposed;
use crate::config::lint::{Lint, LintContext, Lints, remarks};
use crate::config::settings::{Settings, Storage, Target};
use crate::config::{Config, Problems, export, packs, rule_files_in};
use crate::judge::Registry;
use crate::metric::{Labels, parse_duration};

/// Check configuration and rule files: exit code 0, 1 when invalid, 3 when valid with remarks
#[derive(Debug, clap::Args)]
#[command(after_long_help = lints())]
pub(crate) struct Check {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, clap::Subcommand)]
enum Subject {
    /// Configuration files, with the rule files that they name
    Config {
        /// Files to check
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        options: ReportOptions,
    },
    /// Rule files, PrometheusRule manifests, folders of them, or pack names
    Rules(Box<Rules>),
    /// Configuration files of sidewatch relay
    Relay {
        /// Files to check
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Web configuration files (--web.config.file), with their certificates
    Web {
        /// Files to check
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct Rules {
    /// Files, folders or pack names; auto for the pack that fits the target
    #[arg(required = true)]
    files: Vec<String>,
    #[command(flatten)]
    options: ReportOptions,
    #[command(flatten)]
    source: MetricsSource,
    /// Scrape interval that the rules are written for
    #[arg(long = "scrape.interval", value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    interval: Duration,
    /// How long samples are kept for range selectors
    #[arg(long = "storage.retention", value_name = "DURATION", value_parser = parse_duration)]
    retention: Option<Duration>,
    /// Print the rules that Prometheus can evaluate, as a Prometheus rule file; remarks go to
    /// standard error
    #[arg(long)]
    export_prometheus: bool,
    /// Write the exported rules to a file
    #[arg(long, value_name = "FILE", requires = "export_prometheus")]
    out: Option<PathBuf>,
}

/// The lints, for the end of the long help.
fn lints() -> String {
    let mut text = "Lints (remarks on valid rules):\n".to_owned();
    for lint in Lint::ALL {
        let description = lint.description();
        text.push_str(&format!("  {}: {}\n", description.name, description.finds));
    }
    text
}

impl Check {
    /// Whether standard output is a rule file for a program, and no report.
    pub(super) fn prints_rules(&self) -> bool {
        matches!(&self.subject, Subject::Rules(rules) if rules.export_prometheus)
    }

    /// Checks the files and prints every problem and every remark.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        match &self.subject {
            Subject::Config { files, options } => {
                let mut report = Report::default();
                for file in files {
                    let loaded = Config::load(file, &Registry::default());
                    let name = file.display().to_string();
                    add_config(&mut report, name, loaded, &options.lint);
                }
                options.print(&report, out)
            }
            Subject::Relay { files } => check_each(files, |file| relay::check(out, file)),
            Subject::Web { files } => check_each(files, |file| web::check(out, file)),
            Subject::Rules(rules) => rules.run(out),
        }
    }
}

/// Checks file by file. One invalid file decides the exit code, whatever remarks the others have.
fn check_each(
    files: &[PathBuf],
    check: impl FnMut(&PathBuf) -> Result<u8, Error>,
) -> Result<ExitCode, Error> {
    let codes: Vec<u8> = files.iter().map(check).collect::<Result<_, Error>>()?;
    let worst = if codes.contains(&INVALID) {
        INVALID
    } else {
        codes.into_iter().max().unwrap_or(0)
    };
    Ok(ExitCode::from(worst))
}

fn add_config(report: &mut Report, file: String, loaded: Result<Config, Problems>, wanted: &Lints) {
    match loaded {
        Err(problems) => report.invalid(file, &problems),
        Ok(config) => {
            let context = LintContext {
                config: &config,
                has_settings: true,
                exposed: None,
            };
            report.remarks.extend(remarks(&context, wanted));
            report.valid(file, count(&config));
        }
    }
}

fn count(config: &Config) -> usize {
    let groups = config.rules.groups.iter();
    groups.map(|group| group.rules.len()).sum()
}

impl Rules {
    fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let exposed = self.source.exposed()?;
        let mut report = Report::default();
        // Files are parsed one by one and linted together: a watch may use a record of another
        // file.
        let mut whole = Config {
            settings: self.settings(Vec::new()),
            ..Config::default()
        };
        let mut names = Vec::new();
        for file in rule_files(&self.files)? {
            names.extend(resolve_auto(&file, exposed.as_ref(), &mut report)?);
        }
        for name in names {
            let settings = self.settings(vec![name.clone()]);
            match Config::assemble(settings, Path::new(""), &Registry::default()) {
                Err(problems) => report.invalid(name, &problems),
                Ok(config) => {
                    report.valid(name, count(&config));
                    whole.sources.extend(config.sources);
                    whole.rules.groups.extend(config.rules.groups);
                }
            }
        }
        let context = LintContext {
            config: &whole,
            has_settings: false,
            exposed: exposed.as_ref(),
        };
        report.remarks.extend(remarks(&context, &self.options.lint));
        if !self.export_prometheus {
            return self.options.print(&report, out);
        }
        if report.problems.is_empty() {
            let text = export::prometheus(&whole.rules);
            match &self.out {
                None => write!(out, "{text}").map_err(|error| Error::unprintable(&error)),
                Some(file) => {
                    std::fs::write(file, text).map_err(|error| Error::unwritable(file, &error))
                }
            }?;
        }
        self.options.print(&report, &mut io::stderr().lock())
    }

    fn settings(&self, rule_files: Vec<String>) -> Settings {
        let mut settings = Settings {
            rule_files,
            ..Settings::default()
        };
        settings.global.scrape_interval = self.interval;
        settings.storage.retention = self.retention.unwrap_or(Storage::default().retention);
        settings.scrape.targets = vec![Target {
            url: String::new(),
            labels: Labels::empty(),
        }];
        settings
    }
}

/// Replaces `auto` by the packs that fit the exposed metrics.
fn resolve_auto(
    file: &str,
    exposed: Option<&Exposed>,
    report: &mut Report,
) -> Result<Vec<String>, Error> {
    if file != packs::AUTO {
        return Ok(vec![file.to_owned()]);
    }
    let Some(exposed) = exposed else {
        let text = "auto needs metrics to recognise the server by: give --target or --snapshots";
        return Err(Error::new(text));
    };
    let names: Vec<&str> = exposed.names().collect();
    let pack = packs::recognise(&names).map_err(|why| Error::new(format!("auto: {why}")))?;
    report.note(format!("auto: {pack}"));
    Ok(pack.names().into_iter().map(str::to_owned).collect())
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
        let found = rule_files_in(path).map_err(Error::new)?;
        files.extend(found.iter().map(|file| file.display().to_string()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::{Check, Subject, rule_files};

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        check: Check,
    }

    fn check_rules(rules: &str, flags: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.yaml");
        fs::write(&path, format!("groups:\n  - name: g\n    rules:\n{rules}")).unwrap();
        fs::write(dir.path().join("r.test.yaml"), "tests: []\n").unwrap();
        let name = path.display().to_string();
        let folder = dir.path().display().to_string();
        assert_eq!(
            rule_files(std::slice::from_ref(&folder)).unwrap(),
            [name.as_str()]
        );
        let command = ["check", "rules", &folder];
        let check = Line::parse_from(command.iter().chain(flags)).check;
        assert!(matches!(check.subject, Subject::Rules(_)));
        let mut out = Vec::new();
        let code = check.run(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap().replace(&name, "r.yaml");
        format!("{text}{code:?}")
    }

    const REMARKED: &str = "      - alert: A\n        expr: up == 0\n        for: 5s\n        labels:\n          now: '{{ $value }}'\n";

    #[test]
    fn a_valid_file_is_reported_with_its_number_of_rules() {
        let text = check_rules(
            "      - alert: A\n        expr: up == 0\n        annotations: {summary: s}\n",
            &[],
        );
        assert!(text.starts_with("r.yaml: 1 rule is valid\n"), "{text}");
        assert!(text.contains("(0)"), "{text}");
    }

    #[test]
    fn an_invalid_file_is_reported_by_line_and_exits_with_1() {
        let text = check_rules("      - alert: A\n        expr: rate(x)\n", &[]);
        assert!(
            text.starts_with("r.yaml:5: groups[0].rules[0].expr: argument 1 of rate"),
            "{text}"
        );
        assert!(text.contains("(1)"), "{text}");
    }

    #[test]
    fn remarks_have_a_location_and_a_lint_name_and_exit_with_3() {
        let text = check_rules(REMARKED, &[]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "r.yaml:4: groups[0].rules[0].annotations.summary: is missing; say in a sentence what is wrong [no-summary]",
                "r.yaml:6: groups[0].rules[0].for: 5s is shorter than the interval of 15s: the alert fires one evaluation late and no sooner; write 15s or more [short-for]",
                "r.yaml:8: groups[0].rules[0].labels.now: $value makes a new alert of every value; put it into an annotation [value-in-label]",
                "r.yaml: 1 rule is valid",
            ]
        );
        assert!(text.contains("(3)"), "{text}");
    }

    #[test]
    fn lints_are_chosen_by_name_and_can_be_fatal() {
        let text = check_rules(REMARKED, &["--lint=none"]);
        assert!(
            text.starts_with("r.yaml: 1 rule is valid") && text.contains("(0)"),
            "{text}"
        );
        let text = check_rules(REMARKED, &["--lint=short-for,no-summary", "--lint-fatal"]);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("(1)"), "{text}");
        let unknown = Line::try_parse_from(["check", "rules", "x", "--lint=nope"]).unwrap_err();
        assert!(
            unknown
                .to_string()
                .contains("no lint \"nope\"; write all, none, or some of no-summary"),
            "{unknown}"
        );
    }

    #[test]
    fn json_output_has_every_file_mistake_and_remark() {
        let text = check_rules(REMARKED, &["--format=json"]);
        let json = text.lines().next().unwrap();
        let answer: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(answer["files"][0]["file"], "r.yaml");
        assert_eq!(answer["files"][0]["rules"], 1);
        assert_eq!(answer["problems"].as_array().unwrap().len(), 0);
        assert_eq!(answer["remarks"][1]["lint"], "short-for");
        assert_eq!(answer["remarks"][1]["line"], 6);
    }
}
