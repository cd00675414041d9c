//! The command line: one file a command.

mod auto;
pub mod backtest;
mod baseline;
pub mod check;
mod check_relay;
mod check_report;
mod check_target;
mod check_web;
mod completions;
mod demo;
mod feed;
pub mod outbox;
mod outbox_remote;
mod outgoing;
pub mod plan;
pub mod query;
mod relay;
pub mod replay;
mod run;
mod schema;
pub mod score;
mod serving;
pub mod snapshots;
pub mod test;

use std::fmt;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

/// What went wrong, in a sentence for the person at the terminal.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// An error with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

#[derive(Debug, Parser)]
#[command(
    name = "sidewatch",
    version,
    about = "Watches a model server's metrics and says when the model goes bad"
)]
struct Arguments {
    /// Least severe messages that are logged
    #[arg(long = "log.level", global = true, value_enum, default_value = "info")]
    log_level: Level,
    /// Shape of log lines
    #[arg(long = "log.format", global = true, value_enum, default_value = "text")]
    log_format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a model server
    Run(Box<run::Run>),
    /// Watch an embedded model server that degrades after a while
    Demo(demo::Demo),
    /// Check configuration and rule files
    Check(check::Check),
    /// Print the JSON Schema of a kind of file, for editors
    Schema(schema::Schema),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Replay saved scrapes through rules
    Backtest(backtest::Backtest),
    /// Find the models that a Prometheus knows, and what would have been said about them
    Plan(plan::Plan),
    /// Record references for drift rules
    Baseline(baseline::Baseline),
    /// Test rules as promtool does, and what strategies say
    Test(test::Test),
    /// Evaluate an expression over saved scrapes
    Query(query::Query),
    /// Score the rows of CSV files with a strategy
    Score(score::Score),
    /// Ask for retraining when Alertmanager says so
    Relay(relay::Relay),
    /// Look at and change the retraining requests that have not arrived
    Outbox(outbox::Outbox),
}

/// The description of the command line.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Threads for a command that serves or waits for others.
fn runtime(threads: usize) -> Result<Runtime, Error> {
    let built = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    built.map_err(|error| Error::new(format!("cannot start: {error}")))
}

/// The command's own thread, for one that asks a few questions.
fn one_thread() -> Result<Runtime, Error> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Error::new(format!("cannot start: {error}")))
}

/// Parses the arguments, runs the command, and turns its end into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(&arguments);
    let ended = match &arguments.command {
        Command::Run(run) => run.run(),
        Command::Demo(demo) => demo.run(),
        Command::Check(check) => check.run(&mut std::io::stdout().lock()),
        Command::Schema(schema) => schema.run(&mut std::io::stdout().lock()),
        Command::Completions(completions) => {
            completions.run(command(), &mut std::io::stdout().lock())
        }
        Command::Backtest(backtest) => backtest.run(&mut std::io::stdout().lock()),
        Command::Plan(plan) => plan.run(&mut std::io::stdout().lock()),
        Command::Baseline(baseline) => baseline.run(&mut std::io::stdout().lock()),
        Command::Test(test) => test.run(&mut std::io::stdout().lock()),
        Command::Query(query) => query.run(&mut std::io::stdout().lock()),
        Command::Score(score) => score.run(&mut std::io::stdout().lock()).map_err(Error::new),
        Command::Relay(relay) => relay.run(),
        Command::Outbox(outbox) => outbox.run(&mut std::io::stdout().lock()),
    };
    ended.unwrap_or_else(|error| {
        #[expect(clippy::print_stderr, reason = "the last word of a failed command")]
        {
            eprintln!("sidewatch: {error}");
        }
        ExitCode::FAILURE
    })
}

/// `RUST_LOG` wins over the flag, for whoever needs one module only.
fn start_logging(arguments: &Arguments) {
    let level = match arguments.log_level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let quiet = matches!(
        arguments.command,
        Command::Demo(_) | Command::Backtest(_) | Command::Plan(_) | Command::Test(_)
    ) && matches!(arguments.log_level, Level::Info);
    let level = if quiet { "error" } else { level };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let colours = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    match arguments.log_format {
        Format::Text => logs.with_target(false).init(),
        Format::Json => logs.json().init(),
    }
}
