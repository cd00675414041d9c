//! Waiting for conditions, never for time.

use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

/// Interval between checks of a condition.
const LOOK: Duration = Duration::from_millis(50);

/// Checks a condition repeatedly until it returns a value.
///
/// # Panics
/// If the deadline passes first; the message contains the condition and its last state.
pub(crate) async fn until<T, E: Display>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = tokio::time::Instant::now();
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        match look().await {
            Ok(found) => return found,
            Err(seen) if started.elapsed() > deadline => {
                panic!("waited {deadline:?} for {what}; last seen: {seen}")
            }
            Err(_) => {}
        }
    }
}

/// The body of a GET when the answer is 2xx, else what went wrong.
pub(crate) async fn get_text(url: &str) -> Result<String, String> {
    let response = reqwest::get(url).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.text().await.map_err(|error| error.to_string())?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(format!("{status}: {body}"))
    }
}

/// The JSON of a GET.
pub(crate) async fn get_json(url: &str) -> Result<Value, String> {
    let text = get_text(url).await?;
    serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
}
