//! Log output, as the global flags and `RUST_LOG` say.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::panic;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::runtime::{Log, Printable, Terminal};

/// How long a panic waits for its message to be written.
const PANIC_FLUSH: Duration = Duration::from_millis(100);
/// How long the end of the process waits for the last lines.
const LAST_FLUSH: Duration = Duration::from_secs(1);

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
    ///
    /// # Errors
    /// When the system gives no thread to write the log.
    pub(super) fn start(&self, quiet: bool) -> io::Result<Log> {
        let level = match self.log_level {
            Level::Info if quiet => "error",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        let log = Log::start(io::stderr())?;
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let writer = log.clone();
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(io::stderr().is_terminal())
            .log_internal_errors(false)
            .with_writer(move || writer.clone());
        match self.log_format {
            Format::Text => logs
                .with_target(false)
                .fmt_fields(debug_fn(field).delimited(" "))
                .init(),
            Format::Json => logs.json().init(),
        }
        report_panics(log.clone());
        Ok(log)
    }
}

/// Writes one field of a text log.
fn field(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        let name = field.name();
        if out.has_ansi_escapes() {
            write!(out, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
        } else {
            write!(out, "{name}=")?;
        }
    }
    write!(Printable(out), "{value:?}")
}

/// Sends the messages of panics through the log: printing them directly could block.
fn report_panics(log: Log) {
    panic::set_hook(Box::new(move |panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let mut text = format!("thread '{name}' {panic}\n");
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            text.push_str(&trace.to_string());
        }
        say(&log, &text, PANIC_FLUSH);
    }));
}

/// Writes the last message of a failed command.
pub(super) fn say_failure(log: &Log, error: &dyn fmt::Display) {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    writeln!(Terminal(&mut text), "sidewatch: {error}").ok();
    say(log, &String::from_utf8_lossy(&text), LAST_FLUSH);
}

/// Waits for the last lines, but not for a reader that stalls.
pub(super) fn finish(log: &Log) {
    log.flush(LAST_FLUSH);
}

fn say(log: &Log, text: &str, timeout: Duration) {
    // Neither can fail: a line without room is dropped and counted.
    drop(log.clone().write_all(text.as_bytes()));
    log.flush(timeout);
}
