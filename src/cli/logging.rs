//! Log output, as the global flags and `RUST_LOG` say.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Args)]
pub(super) struct Logging {
    /// Minimum severity of log messages
    #[arg(long = "log.level", global = true, value_enum, default_value = "info")]
    log_level: Level,
    /// Format of log messages
    #[arg(long = "log.format", global = true, value_enum, default_value = "text")]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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

impl Logging {
    /// Logs to standard error. A `quiet` command logs only errors unless another level is asked
    /// for.
    /// `RUST_LOG` takes precedence over the flag and can select single modules.
    pub(super) fn start(&self, quiet: bool) {
        let level = match self.log_level {
            Level::Info if quiet => "error",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        match self.log_format {
            Format::Text => logs.with_target(false).init(),
            Format::Json => logs.json().init(),
        }
    }
}
