//! `sidewatch outbox list|retry|drop`: what waits for a retraining receiver.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::config::http_client_settings;
use crate::metric::{Timestamp, format_duration};
use crate::notify::retrain::{Entry, Outbox as _, Phase};
use crate::state::{Error as StoreError, Store, StoreOutbox};

use super::Error;
use super::outbox_remote::Remote;
use crate::runtime::{clock, http};

/// Looks at and changes the retraining requests that have not arrived yet.
///
/// A stopped process' requests are in its store; a running one has the store open and is asked over HTTP.
#[derive(Debug, Args)]
pub struct Outbox {
    #[command(subcommand)]
    action: Action,
    /// The folder given to `sidewatch run`
    #[arg(
        long = "storage.path",
        global = true,
        value_name = "DIR",
        default_value = "."
    )]
    storage: PathBuf,
    /// Where a running sidewatch listens, asked when it has the store open
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:9755"
    )]
    url: String,
    /// File with http_config keys for it: authorization or basic_auth, tls_config with a CA, each from files of their own if you like
    #[arg(long = "http.config.file", global = true, value_name = "FILE")]
    http_config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what waits and what was given up
    List {
        /// How to print
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Try again at once, also what was given up
    Retry {
        /// Keys as `list` shows them; none means all
        keys: Vec<String>,
    },
    /// Forget requests
    Drop {
        /// Keys as `list` shows them
        #[arg(required_unless_present = "all")]
        keys: Vec<String>,
        /// Forget every request
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Outbox {
    /// Runs the command, writing to `out`.
    ///
    /// # Errors
    /// The store is not there, the running process does not answer, a key is unknown.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        self.run_at(clock::now(), out)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Error::new)
    }

    /// Runs the command at the time `now`.
    ///
    /// # Errors
    /// A sentence for the person at the terminal.
    pub fn run_at(&self, now: Timestamp, out: &mut dyn Write) -> Result<(), String> {
        if !Store::exists(&self.storage) {
            let path = self.storage.display();
            return Err(format!(
                "{path}: no store here; give the folder of sidewatch run with --storage.path"
            ));
        }
        match Store::open(&self.storage, now) {
            Ok((store, opened)) => {
                for note in opened.notes {
                    tracing::warn!("{note}");
                }
                let store = Arc::new(store);
                self.stopped(&StoreOutbox::new(Arc::clone(&store)), now, out)?;
                store.close().map_err(|error| error.to_string())
            }
            Err(StoreError::InUse { .. }) => self.running(&self.remote()?, now, out),
            Err(error) => Err(error.to_string()),
        }
    }

    fn remote(&self) -> Result<Remote, String> {
        let settings = match &self.http_config {
            Some(path) => http_client_settings(path).map_err(|problems| problems.to_string())?,
            None => http::Settings::default(),
        };
        Remote::new(&self.url, settings)
    }

    fn running(&self, remote: &Remote, now: Timestamp, out: &mut dyn Write) -> Result<(), String> {
        let entries = remote.list()?;
        match &self.action {
            Action::List { format } => {
                print(*format, &entries, now, out).map_err(|error| error.to_string())
            }
            Action::Retry { keys } => {
                let chosen = chosen(&entries, keys, keys.is_empty())?;
                remote.act("retry", &chosen)?;
                self.say(out, "will be tried now", chosen.len())
            }
            Action::Drop { keys, all } => {
                let chosen = chosen(&entries, keys, *all)?;
                remote.act("drop", &chosen)?;
                self.say(out, "dropped", chosen.len())
            }
        }
    }

    fn stopped(
        &self,
        outbox: &StoreOutbox,
        now: Timestamp,
        out: &mut dyn Write,
    ) -> Result<(), String> {
        let entries = outbox.list().map_err(|error| error.to_string())?;
        match &self.action {
            Action::List { format } => {
                print(*format, &entries, now, out).map_err(|error| error.to_string())
            }
            Action::Retry { keys } => {
                let chosen = chosen(&entries, keys, keys.is_empty())?;
                for entry in &chosen {
                    let fresh = entry.retried(now);
                    outbox.update(&fresh).map_err(|error| error.to_string())?;
                }
                self.say(out, "will be tried at the next start", chosen.len())
            }
            Action::Drop { keys, all } => {
                let chosen = chosen(&entries, keys, *all)?;
                for entry in &chosen {
                    outbox
                        .remove(&entry.key())
                        .map_err(|error| error.to_string())?;
                }
                self.say(out, "dropped", chosen.len())
            }
        }
    }

    fn say(&self, out: &mut dyn Write, what: &str, count: usize) -> Result<(), String> {
        let plural = if count == 1 { "request" } else { "requests" };
        writeln!(out, "{count} {plural} {what}")
            .map_err(|error| format!("{}: {error}", self.storage.display()))
    }
}

/// The entries with these keys.
fn chosen(entries: &[Entry], keys: &[String], all: bool) -> Result<Vec<Entry>, String> {
    if all {
        return Ok(entries.to_vec());
    }
    let find = |key: &String| {
        let found = entries.iter().find(|entry| entry.key() == *key);
        found
            .cloned()
            .ok_or_else(|| format!("{key}: no such request; see sidewatch outbox list"))
    };
    keys.iter().map(find).collect()
}

fn print(format: Format, entries: &[Entry], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => {
            let all: Vec<serde_json::Value> = entries.iter().map(shown).collect();
            writeln!(out, "{}", json!(all))
        }
        Format::Text if entries.is_empty() => writeln!(out, "nothing waits"),
        Format::Text => entries.iter().try_for_each(|entry| line(entry, now, out)),
    }
}

fn shown(entry: &Entry) -> serde_json::Value {
    json!({
        "key": entry.key(),
        "receiver": entry.receiver,
        "phase": entry.phase,
        "created_at": entry.created_at.to_string(),
        "expires_at": entry.expires_at.to_string(),
        "next_at": entry.next_at.to_string(),
        "attempts": entry.attempts,
        "last_error": entry.last_error,
        "request": entry.request,
    })
}

fn line(entry: &Entry, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let phase = match entry.phase {
        Phase::Waiting => "waiting",
        Phase::Dead => "dead   ",
    };
    let request = &entry.request;
    let age = format_duration(std::time::Duration::from_secs(
        now.since(entry.created_at).as_secs(),
    ));
    writeln!(
        out,
        "{phase}  {}  {} {} since {age}, {} attempts{}",
        entry.key(),
        request.model_id,
        request.rule,
        entry.attempts,
        entry
            .last_error
            .as_deref()
            .map(|error| format!(", last: {error}"))
            .unwrap_or_default()
    )
}
