//! `sidewatch outbox list|retry|drop`: shows and changes undelivered retraining requests.

mod remote;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::config::http_client_settings;
use crate::metric::{Timestamp, format_duration};
use crate::notify::retrain::{Entry, Outbox as _, Phase};
use crate::runtime::{clock, http, one_line};
use crate::state::{Error as StoreError, Store, StoreOutbox};

use self::remote::RemoteOutbox;
use super::error::Error;

/// List, retry or drop retraining requests that have not been delivered yet.
///
/// The requests of a stopped process are read from its store. A running process keeps its store
/// locked and is asked over HTTP.
#[derive(Debug, Args)]
pub struct Outbox {
    #[command(subcommand)]
    action: Action,
    /// The --storage.path of `sidewatch run`
    #[arg(
        long = "storage.path",
        global = true,
        value_name = "DIR",
        default_value = "."
    )]
    storage: PathBuf,
    /// Address of the running sidewatch, used when it has the store open
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:9755"
    )]
    url: String,
    /// File with http_config keys (authorization, basic_auth, tls_config, …) for --url
    #[arg(long = "http.config.file", global = true, value_name = "FILE")]
    http_config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the requests that wait and those that were given up
    List {
        /// Output format
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Retry requests at once, also those that were given up
    Retry {
        /// Keys as `list` prints them; without keys, all requests
        keys: Vec<String>,
    },
    /// Delete requests
    Drop {
        /// Keys as `list` prints them
        #[arg(required_unless_present = "all")]
        keys: Vec<String>,
        /// Delete every request
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
    /// There is no store, the running process does not answer, or a key is unknown.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        self.run_at(clock::now(), out)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Error::new)
    }

    /// Runs the command at the time `now`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
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
                self.run_on_store(&StoreOutbox::new(Arc::clone(&store)), now, out)?;
                store.close().map_err(|error| error.to_string())
            }
            Err(StoreError::InUse { .. }) => self.run_on_process(&self.remote()?, now, out),
            Err(error) => Err(error.to_string()),
        }
    }

    fn remote(&self) -> Result<RemoteOutbox, String> {
        let settings = match &self.http_config {
            Some(path) => http_client_settings(path).map_err(|problems| problems.to_string())?,
            None => http::Settings::default(),
        };
        RemoteOutbox::new(&self.url, settings)
    }

    /// Runs the command on the outbox of a running process.
    fn run_on_process(
        &self,
        remote: &RemoteOutbox,
        now: Timestamp,
        out: &mut dyn Write,
    ) -> Result<(), String> {
        let entries = remote.list()?;
        match &self.action {
            Action::List { format } => {
                print(*format, &entries, now, out).map_err(|error| error.to_string())
            }
            Action::Retry { keys } => {
                let selected = select(&entries, keys, keys.is_empty())?;
                remote.apply("retry", &selected)?;
                self.print_count(out, "will be tried now", selected.len())
            }
            Action::Drop { keys, all } => {
                let selected = select(&entries, keys, *all)?;
                remote.apply("drop", &selected)?;
                self.print_count(out, "dropped", selected.len())
            }
        }
    }

    /// Runs the command on the store of a stopped process.
    fn run_on_store(
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
                let selected = select(&entries, keys, keys.is_empty())?;
                for entry in &selected {
                    outbox
                        .update(&entry.retried(now))
                        .map_err(|error| error.to_string())?;
                }
                self.print_count(out, "will be tried at the next start", selected.len())
            }
            Action::Drop { keys, all } => {
                let selected = select(&entries, keys, *all)?;
                for entry in &selected {
                    outbox
                        .remove(&entry.key())
                        .map_err(|error| error.to_string())?;
                }
                self.print_count(out, "dropped", selected.len())
            }
        }
    }

    fn print_count(&self, out: &mut dyn Write, result: &str, count: usize) -> Result<(), String> {
        let noun = if count == 1 { "request" } else { "requests" };
        writeln!(out, "{count} {noun} {result}")
            .map_err(|error| format!("{}: {error}", self.storage.display()))
    }
}

/// The entries with these keys, or all.
fn select(entries: &[Entry], keys: &[String], all: bool) -> Result<Vec<Entry>, String> {
    if all {
        return Ok(entries.to_vec());
    }
    let find = |key: &String| {
        entries
            .iter()
            .find(|entry| entry.key() == *key)
            .cloned()
            .ok_or_else(|| format!("{key}: no such request; see sidewatch outbox list"))
    };
    keys.iter().map(find).collect()
}

fn print(format: Format, entries: &[Entry], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => {
            let entries: Vec<serde_json::Value> = entries.iter().map(to_json).collect();
            writeln!(out, "{}", json!(entries))
        }
        Format::Text if entries.is_empty() => writeln!(out, "nothing waits"),
        Format::Text => entries
            .iter()
            .try_for_each(|entry| print_line(entry, now, out)),
    }
}

fn to_json(entry: &Entry) -> serde_json::Value {
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

fn print_line(entry: &Entry, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
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
        one_line(&entry.key()),
        one_line(&request.model_id),
        one_line(&request.rule),
        entry.attempts,
        entry
            .last_error
            .as_deref()
            .map(|error| format!(", last: {}", one_line(error)))
            .unwrap_or_default()
    )
}
