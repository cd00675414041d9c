//! `sidewatch outbox list|retry|drop`: what waits for a retraining receiver.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::metric::{Timestamp, format_duration};
use crate::notify::retrain::{Entry, Outbox as _, Phase};
use crate::state::{Error as StoreError, Store, StoreOutbox};

/// Looks at and changes the retraining requests that have not arrived yet.
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

/// How to reach the requests of a running process.
const ASK: &str = "ask it: GET /api/v1/retraining/outbox, POST /api/v1/retraining/outbox/retry?key=KEY or /drop?key=KEY";

impl Outbox {
    /// Runs the command at the time `now`, writing to `out`.
    ///
    /// # Errors
    /// A sentence: the store is not there, is in use, or a key is unknown.
    pub fn run(&self, now: Timestamp, out: &mut dyn Write) -> Result<(), String> {
        let store = self.open(now)?;
        self.act(&StoreOutbox::new(Arc::clone(&store)), now, out)?;
        store.close().map_err(|error| error.to_string())
    }

    fn act(&self, outbox: &StoreOutbox, now: Timestamp, out: &mut dyn Write) -> Result<(), String> {
        let entries = outbox.list().map_err(|error| error.to_string())?;
        match &self.action {
            Action::List { format } => {
                print(*format, &entries, now, out).map_err(|error| error.to_string())
            }
            Action::Retry { keys } => {
                self.retry(outbox, &chosen(&entries, keys, keys.is_empty())?, now, out)
            }
            Action::Drop { keys, all } => {
                self.drop_entries(outbox, &chosen(&entries, keys, *all)?, out)
            }
        }
    }

    fn open(&self, now: Timestamp) -> Result<Arc<Store>, String> {
        if !Store::exists(&self.storage) {
            let path = self.storage.display();
            return Err(format!(
                "{path}: no store here; give the folder of sidewatch run with --storage.path"
            ));
        }
        let (store, opened) = Store::open(&self.storage, now).map_err(|error| {
            if let StoreError::InUse { path } = &error {
                let path = path.display();
                return format!("{path}: a running sidewatch has it; {ASK}");
            }
            error.to_string()
        })?;
        for note in opened.notes {
            tracing::warn!("{note}");
        }
        Ok(Arc::new(store))
    }

    fn retry(
        &self,
        outbox: &StoreOutbox,
        chosen: &[Entry],
        now: Timestamp,
        out: &mut dyn Write,
    ) -> Result<(), String> {
        for entry in chosen {
            let lifetime = entry.expires_at.since(entry.created_at);
            let fresh = Entry {
                phase: Phase::Waiting,
                next_at: now,
                expires_at: entry.expires_at.max(now + lifetime),
                ..entry.clone()
            };
            outbox.update(&fresh).map_err(|error| error.to_string())?;
        }
        self.say(out, "will be tried at the next start", chosen.len())
    }

    fn drop_entries(
        &self,
        outbox: &StoreOutbox,
        chosen: &[Entry],
        out: &mut dyn Write,
    ) -> Result<(), String> {
        for entry in chosen {
            outbox
                .remove(&entry.key())
                .map_err(|error| error.to_string())?;
        }
        self.say(out, "dropped", chosen.len())
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
