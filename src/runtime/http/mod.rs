//! The one HTTP client of the crate: scrapes, Alertmanager, webhooks and the Prometheus API all go through it.
//!
//! [`Settings`] is Prometheus' `http_config`. Secrets in files are read for every request, TLS files are compared for
//! every request and the connection pool is rebuilt when they changed, credentials stay on the host they were meant
//! for, and every answer is read under a limit.

mod auth;
mod body;
mod client;
mod error;
mod oauth2;
mod redirect;
mod settings;
mod tls;

pub use client::{Client, Method, Overflow, Request, Response};
pub use error::{Error, Kind};
pub use redirect::redacted;
pub use settings::{Auth, Header, OAuth2, Proxy, Secret, Settings, Tls, TlsVersion};
