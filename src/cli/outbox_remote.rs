//! The outbox of a running process, over its HTTP API.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::notify::retrain::Entry;
use crate::runtime::http::{Client, Response, Settings};

/// Time for one question.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest list read.
const LIMIT: u64 = 64 << 20;

/// A running sidewatch.
pub(super) struct Remote {
    base: String,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

/// The envelope of the API.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Vec<Entry>,
    #[serde(default)]
    error: String,
}

impl Remote {
    pub(super) fn new(url: &str, settings: Settings) -> Result<Self, String> {
        Ok(Self {
            base: format!("{}/api/v1/retraining/outbox", url.trim_end_matches('/')),
            client: Client::new(settings),
            runtime: super::one_thread().map_err(|error| error.to_string())?,
        })
    }

    fn failed(&self, what: &dyn std::fmt::Display) -> String {
        format!(
            "{}: {what}; where does the running sidewatch listen? Say it with --url",
            self.base
        )
    }

    fn read(&self, response: &Response) -> Result<Vec<Entry>, String> {
        let answer: Result<Answer, _> = serde_json::from_slice(&response.body);
        match answer {
            Ok(answer) if response.is_success() => Ok(answer.data),
            Ok(answer) if !answer.error.is_empty() => Err(answer.error),
            Err(error) if response.is_success() => Err(self.failed(&error)),
            Ok(_) | Err(_) if matches!(response.status, 401 | 403) => Err(format!(
                "{}: the answer is {}; give a token or a password in the file of --http.config.file",
                self.base, response.status
            )),
            Ok(_) | Err(_) => Err(self.failed(&format!("status {}", response.status))),
        }
    }

    /// Every request that has not arrived.
    pub(super) fn list(&self) -> Result<Vec<Entry>, String> {
        let asked = self.client.get(&self.base, &[], TIMEOUT, LIMIT);
        let response = self
            .runtime
            .block_on(asked)
            .map_err(|error| self.failed(&error))?;
        self.read(&response)
    }

    /// Retries or drops these.
    pub(super) fn act(&self, what: &str, entries: &[Entry]) -> Result<(), String> {
        let keys: Vec<String> = entries.iter().map(Entry::key).collect();
        let url = format!("{}/{what}", self.base);
        let body = json!({ "keys": keys }).to_string();
        let asked = self.client.post_json(&url, &[], body, TIMEOUT);
        let response = self
            .runtime
            .block_on(asked)
            .map_err(|error| self.failed(&error))?;
        if response.is_success() {
            return Ok(());
        }
        self.read(&response).map(|_| ())
    }
}
