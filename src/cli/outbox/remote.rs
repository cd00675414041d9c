//! Client of the outbox API of a running process.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::cli::executor;
use crate::notify::retrain::Entry;
use crate::runtime::http::{Client, Response, Settings};

/// Time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response, in bytes.
const MAX_RESPONSE: u64 = 64 << 20;

/// The outbox of a running process.
pub(super) struct RemoteOutbox {
    base: String,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

/// A response of the API.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    data: Vec<Entry>,
    #[serde(default)]
    error: String,
}

impl RemoteOutbox {
    pub(super) fn new(url: &str, settings: Settings) -> Result<Self, String> {
        Ok(Self {
            base: format!("{}/api/v1/retraining/outbox", url.trim_end_matches('/')),
            client: Client::new(settings),
            runtime: executor::current_thread().map_err(|error| error.to_string())?,
        })
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> String {
        format!(
            "{}: {error}; give the address of the running sidewatch with --url",
            self.base
        )
    }

    fn read(&self, response: &Response) -> Result<Vec<Entry>, String> {
        match serde_json::from_slice::<Envelope>(&response.body) {
            Ok(envelope) if response.is_success() => Ok(envelope.data),
            Ok(envelope) if !envelope.error.is_empty() => Err(envelope.error),
            Err(error) if response.is_success() => Err(self.failed(&error)),
            Ok(_) | Err(_) if matches!(response.status, 401 | 403) => Err(format!(
                "{}: status {}; give a token or a password in --http.config.file",
                self.base, response.status
            )),
            Ok(_) | Err(_) => Err(self.failed(&format!("status {}", response.status))),
        }
    }

    /// All undelivered requests.
    pub(super) fn list(&self) -> Result<Vec<Entry>, String> {
        let response = self
            .runtime
            .block_on(self.client.get(&self.base, &[], TIMEOUT, MAX_RESPONSE))
            .map_err(|error| self.failed(&error))?;
        self.read(&response)
    }

    /// Posts an action, `retry` or `drop`, for these entries.
    pub(super) fn apply(&self, action: &str, entries: &[Entry]) -> Result<(), String> {
        let keys: Vec<String> = entries.iter().map(Entry::key).collect();
        let url = format!("{}/{action}", self.base);
        let body = json!({ "keys": keys }).to_string();
        let response = self
            .runtime
            .block_on(self.client.post_json(&url, &[], body, TIMEOUT))
            .map_err(|error| self.failed(&error))?;
        if response.is_success() {
            return Ok(());
        }
        self.read(&response).map(|_| ())
    }
}
