//! Behaviour at the seams, in one binary.

mod support;

mod e2e; // the binary beside the real Prometheus and Alertmanager
mod exposition_memo; // the memo of the last scrape changes cost, never samples
mod exposition_text; // accept and reject, row by row
mod layers; // modules depend only downwards
mod scrape_http; // transport behaviour
mod scrape_window; // from a body to the window
