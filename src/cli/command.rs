//! Parses the command line and runs the command.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use super::error::Error;
use super::keep_running::parse;
use super::logging::{Logging, finish, say_failure};
use super::{
    backtest, baseline, check, completions, demo, outbox, plan, query, relay, run, schema, score,
    test,
};
use crate::runtime::Terminal;

#[derive(Debug, Parser)]
#[command(
    name = "sidewatch",
    version,
    about = "Watches a model server's metrics and says when the model goes bad"
)]
struct Arguments {
    #[command(flatten)]
    logging: Logging,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a model server
    Run(Box<run::Run>),
    /// Watch an embedded model server whose model degrades after a while
    Demo(demo::Demo),
    /// Check configuration and rule files
    Check(check::Check),
    /// Print the JSON Schema of a kind of file, for editors
    Schema(schema::Schema),
    /// Print a shell completion script
    Completions(completions::Completions),
    /// Replay past metrics through rules
    Backtest(backtest::Backtest),
    /// Find the models that a Prometheus scrapes and replay their past through packs
    Plan(plan::Plan),
    /// Record references for drift rules
    Baseline(baseline::Baseline),
    /// Run unit tests of rules, as promtool does, and tests of verdicts
    Test(test::Test),
    /// Evaluate an expression over saved scrapes
    Query(query::Query),
    /// Score the rows of CSV files with a strategy
    Score(score::Score),
    /// Request retraining when Alertmanager sends a notification
    Relay(relay::Relay),
    /// List, retry or drop undelivered retraining requests
    Outbox(outbox::Outbox),
}

impl Command {
    fn run(&self) -> Result<ExitCode, Error> {
        let data = || std::io::stdout().lock();
        let stdout = || Terminal(data());
        match self {
            Self::Run(run) => run.run(),
            Self::Demo(demo) => demo.run(),
            Self::Check(check) if check.prints_rules() => check.run(&mut data()),
            Self::Check(check) => check.run(&mut stdout()),
            Self::Schema(schema) => schema.run(&mut data()),
            Self::Completions(completions) => completions.run(command(), &mut data()),
            Self::Backtest(backtest) => backtest.run(&mut stdout()),
            Self::Plan(plan) => plan.run(&mut stdout()),
            Self::Baseline(baseline) => baseline.run(&mut stdout()),
            Self::Test(test) => test.run(&mut stdout()),
            Self::Query(query) => query.run(&mut stdout()),
            Self::Score(score) => score.run(&mut stdout()).map_err(Error::new),
            Self::Relay(relay) => relay.run(),
            Self::Outbox(outbox) => outbox.run(&mut stdout()),
        }
    }

    /// Whether the output is a report that informational log messages would only disturb.
    fn is_quiet(&self) -> bool {
        matches!(
            self,
            Self::Demo(_) | Self::Backtest(_) | Self::Plan(_) | Self::Test(_)
        )
    }
}

/// The description of the command line.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Parses the arguments, runs the command, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let (arguments, left_out) = parse(std::env::args_os().collect());
    let Arguments {
        logging,
        mut command,
    } = arguments;
    if let Command::Run(run) = &mut command {
        run.leave_out(left_out);
    }
    let Ok(log) = logging.start(command.is_quiet()) else {
        return ExitCode::FAILURE;
    };
    let ended = command.run().unwrap_or_else(|error| {
        say_failure(&log, &error);
        ExitCode::FAILURE
    });
    finish(&log);
    ended
}
