//! Runs scripts of Prometheus' PromQL test language against Sidewatch's evaluator.
//!
//! `cargo run --release --example promqltest -- DIR [--json FILE]` runs every `*.test` of a
//! directory. FILE gets one JSON line per evaluation: `{"file", "line", "ok", "why"}`, where file
//! and line are those of a comment `# upstream FILE:LINE` before it, and `ok` is null where the
//! expression or its data is refused (native histograms, duration expressions and the like). An
//! instant evaluation that passes must also pass as the middle of a range. `--required FILE` names
//! evaluations that must pass, a line `FILE:LINE` each; the others may be refused. The exit code is
//! 1 when an evaluation gives a wrong answer or a required one does not pass.

mod data;
mod judge;
mod script;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge::Verdict;
use script::{Command, Eval};

/// What the script says and what came of it.
struct Outcome {
    file: String,
    line: usize,
    verdict: Verdict,
}

/// What the command line asks for.
struct Arguments {
    dir: PathBuf,
    json: Option<PathBuf>,
    required: Option<PathBuf>,
}

impl Arguments {
    fn read() -> io::Result<Self> {
        let usage = || io::Error::other("usage: promqltest DIR [--json FILE] [--required FILE]");
        let mut args = std::env::args().skip(1);
        let mut read = Self {
            dir: PathBuf::from(args.next().ok_or_else(usage)?),
            json: None,
            required: None,
        };
        while let Some(option) = args.next() {
            let place = match option.as_str() {
                "--json" => &mut read.json,
                "--required" => &mut read.required,
                _ => return Err(usage()),
            };
            *place = Some(PathBuf::from(args.next().ok_or_else(usage)?));
        }
        Ok(read)
    }
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let mut err = io::stderr().lock();
    match run(&mut out) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _printed = writeln!(err, "promqltest: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(out: &mut dyn Write) -> io::Result<usize> {
    let Arguments {
        dir,
        json,
        required,
    } = Arguments::read()?;
    let mut files: Vec<PathBuf> = fs::read_dir(&dir)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "test"));
    files.sort();
    let mut outcomes = Vec::new();
    for file in &files {
        run_file(file, &mut outcomes)?;
    }
    if let Some(path) = json {
        write_json(&path, &outcomes)?;
    }
    let mut missing = match required {
        None => BTreeSet::new(),
        Some(path) => fs::read_to_string(path)?
            .lines()
            .map(str::to_owned)
            .collect(),
    };
    let (mut passed, mut failed, mut refused) = (0, 0, 0);
    for outcome in &outcomes {
        match &outcome.verdict {
            Verdict::Passed => {
                passed += 1;
                missing.remove(&format!("{}:{}", outcome.file, outcome.line));
            }
            Verdict::Refused(_) => refused += 1,
            Verdict::Failed(why) => {
                failed += 1;
                writeln!(out, "{}:{}: {why}", outcome.file, outcome.line)?;
            }
        }
    }
    writeln!(
        out,
        "promqltest: {passed} passed, {failed} failed, {refused} refused"
    )?;
    for origin in &missing {
        writeln!(out, "{origin}: must pass, and does not")?;
    }
    Ok(failed + missing.len())
}

fn run_file(path: &Path, outcomes: &mut Vec<Outcome>) -> io::Result<()> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let text = fs::read_to_string(path)?;
    let commands =
        script::parse(&text).map_err(|why| io::Error::other(format!("{name}: {why}")))?;
    let mut store = data::Store::default();
    for command in commands {
        match command {
            Command::Clear => store = data::Store::default(),
            Command::Load(series) => store.load(series),
            Command::Eval(eval) => outcomes.push(outcome(&name, &eval, &mut store)),
        }
    }
    Ok(())
}

fn outcome(name: &str, eval: &Eval, store: &mut data::Store) -> Outcome {
    let (file, line) = eval
        .upstream
        .clone()
        .unwrap_or_else(|| (name.to_owned(), eval.line));
    Outcome {
        file,
        line,
        verdict: judge::judge(eval, store),
    }
}

fn write_json(path: &Path, outcomes: &[Outcome]) -> io::Result<()> {
    let mut out = io::BufWriter::new(fs::File::create(path)?);
    for outcome in outcomes {
        let (ok, why) = match &outcome.verdict {
            Verdict::Passed => (Some(true), ""),
            Verdict::Failed(why) => (Some(false), why.as_str()),
            Verdict::Refused(why) => (None, why.as_str()),
        };
        let record =
            serde_json::json!({"file": outcome.file, "line": outcome.line, "ok": ok, "why": why});
        writeln!(out, "{record}")?;
    }
    out.flush()
}
