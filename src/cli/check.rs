//! `sidewatch check`: is what I wrote valid, and does it do what I meant?

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use super::Error;
use super::check_relay;
use super::check_report::Report;
use super::check_target::Where;
use super::check_web;
use crate::config::exposed::Exposed;
use crate::config::lint::{Lint, LintContext, Lints, remarks};
use crate::config::settings::{Settings, Storage, Target};
use crate::config::{Config, Problems, export, packs, rule_files_in};
use crate::judge::Registry;
use crate::metric::{Labels, parse_duration};

/// The exit code when everything is valid but something looks like a slip.
pub(super) const LINT: u8 = 3;

/// Check configuration and rule files: exit code 0, 1 when invalid, 3 when valid with remarks
#[derive(Debug, clap::Args)]
#[command(after_long_help = lints())]
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
        #[command(flatten)]
        how: How,
    },
    /// Rule files, PrometheusRule manifests, folders of them, or names of packs
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
    /// Files, folders or names of packs; auto for the pack of what the target is
    #[arg(required = true)]
    files: Vec<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    target: Where,
    /// Time between scrapes that the rules are meant for
    #[arg(long = "scrape.interval", value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    interval: Duration,
    /// How long samples are kept for the rules' ranges
    #[arg(long = "storage.retention", value_name = "DURATION", value_parser = parse_duration)]
    retention: Option<Duration>,
    /// Print the part that Prometheus itself can evaluate, as a Prometheus rule file; remarks go to standard error
    #[arg(long)]
    export_prometheus: bool,
    /// Write the exported rules to a file
    #[arg(long, value_name = "FILE", requires = "export_prometheus")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Args)]
struct How {
    /// Lints to apply: all, none, or names with commas between them; sidewatch check --help lists them
    #[arg(long, value_name = "LINTS", default_value = "all")]
    lint: Lints,
    /// Take remarks for mistakes: exit with 1 instead of 3
    #[arg(long)]
    lint_fatal: bool,
    /// Shape of the answer
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// The shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a mistake, remark and file.
    Text,
    /// One object.
    Json,
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
    /// Checks and prints every problem and every remark.
    ///
    /// # Errors
    /// When nothing can be printed, or a folder or target cannot be read.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        match &self.what {
            What::Config { files, how } => {
                let mut report = Report::default();
                for file in files {
                    let loaded = Config::load(file, &Registry::default());
                    let name = file.display().to_string();
                    add_config(&mut report, name, loaded, &how.lint);
                }
                how.finish(&report, out)
            }
            What::Relay { files } => each(files, |file| check_relay::check(out, file)),
            What::Web { files } => each(files, |file| check_web::check(out, file)),
            What::Rules(rules) => rules.run(out),
        }
    }
}

/// Checks file by file; a mistake beats a remark.
fn each(
    files: &[PathBuf],
    check: impl FnMut(&PathBuf) -> Result<u8, Error>,
) -> Result<ExitCode, Error> {
    let codes: Vec<u8> = files.iter().map(check).collect::<Result<_, Error>>()?;
    let worst = if codes.contains(&1) {
        1
    } else {
        codes.into_iter().max().unwrap_or(0)
    };
    Ok(ExitCode::from(worst))
}

impl How {
    fn finish(&self, report: &Report, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let printed = match self.format {
            Format::Text => write!(out, "{report}"),
            Format::Json => writeln!(out, "{}", report.to_json()),
        };
        printed.map_err(|error| unprintable(&error))?;
        Ok(ExitCode::from(self.code(report)))
    }

    fn code(&self, report: &Report) -> u8 {
        match (report.problems.is_empty(), report.remarks.is_empty()) {
            (true, true) => 0,
            (true, false) if !self.lint_fatal => LINT,
            _ => 1,
        }
    }
}

fn unprintable(error: &io::Error) -> Error {
    Error::new(format!("cannot print: {error}"))
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
        let exposed = self.target.exposed()?;
        let mut report = Report::default();
        // Files are read one by one and looked at together: a watch may stand in another file than its record.
        let mut whole = Config {
            settings: self.settings(Vec::new()),
            ..Config::default()
        };
        for file in rule_files(&self.files)? {
            let name = recognised(&file, exposed.as_ref(), &mut report)?;
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
        report.remarks.extend(remarks(&context, &self.how.lint));
        if !self.export_prometheus {
            return self.how.finish(&report, out);
        }
        if report.problems.is_empty() {
            let text = export::prometheus(&whole.rules);
            match &self.out {
                None => write!(out, "{text}").map_err(|error| unprintable(&error))?,
                Some(file) => std::fs::write(file, text).map_err(|error| {
                    Error::new(format!("{}: cannot be written: {error}", file.display()))
                })?,
            }
        }
        self.how.finish(&report, &mut io::stderr().lock())
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

/// `auto` is replaced by the pack of what the target is.
fn recognised(file: &str, exposed: Option<&Exposed>, report: &mut Report) -> Result<String, Error> {
    if file != packs::AUTO {
        return Ok(file.to_owned());
    }
    let Some(exposed) = exposed else {
        let text = "auto needs to know the server: give --target or --snapshots";
        return Err(Error::new(text));
    };
    let names: Vec<&str> = exposed.names().collect();
    let pack = packs::recognise(&names).map_err(|why| Error::new(format!("auto: {why}")))?;
    report.note(format!("auto: {pack}"));
    Ok(pack.name.to_owned())
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

    use super::{Check, What, rule_files};

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        check: Check,
    }

    fn check(rules: &str, flags: &[&str]) -> String {
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
        let line = ["check", "rules", &folder];
        let line = line.iter().chain(flags).copied();
        let check = Line::parse_from(line).check;
        assert!(matches!(check.what, What::Rules(_)));
        let mut out = Vec::new();
        let code = check.run(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap().replace(&name, "r.yaml");
        format!("{text}{code:?}")
    }

    const SLIPS: &str = "      - alert: A\n        expr: up == 0\n        for: 5s\n        labels:\n          now: '{{ $value }}'\n";

    #[test]
    fn what_is_valid_is_said_to_be() {
        let text = check(
            "      - alert: A\n        expr: up == 0\n        annotations: {summary: s}\n",
            &[],
        );
        assert!(text.starts_with("r.yaml: 1 rule is valid\n"), "{text}");
        assert!(text.contains("(0)"), "{text}");
    }

    #[test]
    fn an_invalid_file_is_told_by_line_and_exits_with_1() {
        let text = check("      - alert: A\n        expr: rate(x)\n", &[]);
        assert!(
            text.starts_with("r.yaml:5: groups[0].rules[0].expr: argument 1 of rate"),
            "{text}"
        );
        assert!(text.contains("(1)"), "{text}");
    }

    #[test]
    fn slips_are_remarks_with_place_and_name_and_exit_with_3() {
        let text = check(SLIPS, &[]);
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
    fn lints_are_chosen_by_name_and_can_be_made_mistakes() {
        let text = check(SLIPS, &["--lint=none"]);
        assert!(
            text.starts_with("r.yaml: 1 rule is valid") && text.contains("(0)"),
            "{text}"
        );
        let text = check(SLIPS, &["--lint=short-for,no-summary", "--lint-fatal"]);
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
    fn json_has_every_file_mistake_and_remark() {
        let text = check(SLIPS, &["--format=json"]);
        let json = text.lines().next().unwrap();
        let answer: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(answer["files"][0]["file"], "r.yaml");
        assert_eq!(answer["files"][0]["rules"], 1);
        assert_eq!(answer["problems"].as_array().unwrap().len(), 0);
        assert_eq!(answer["remarks"][1]["lint"], "short-for");
        assert_eq!(answer["remarks"][1]["line"], 6);
    }
}
