//! Behaviour at the seams, in one binary.

mod support;

mod e2e; // the binary beside the real Prometheus and Alertmanager
mod exposition_memo; // the memo of the last scrape changes cost, never samples
mod exposition_text; // accept and reject, row by row
mod layers; // modules depend only downwards
mod promql_coverage; // what the judge is told of windows that fill
mod promql_oracle; // the evaluator beside the real Prometheus
mod promql_random; // series and expressions from a seed
mod promql_streaming; // scrape by scrape equals all at once
mod promql_suite; // Prometheus' own test suite
mod scrape_http; // transport behaviour
mod scrape_window; // from a body to the window
