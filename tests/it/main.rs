//! Behaviour at the seams, one binary.

mod exposition_differential;
mod exposition_ingest;
mod exposition_memo;
mod exposition_openmetrics;
mod exposition_oracle;
mod exposition_reference;
mod exposition_text;
mod scrape_auth;
mod scrape_http;
mod scrape_raw;
mod scrape_tls;
mod scrape_window;
