//! The only HTTP client of the program: scrapes, Alertmanager, webhooks and the Prometheus API use
//! it.
//!
//! [`Settings`] is Prometheus' `http_config`. Secret files are read for every request, and the
//! connection pool is rebuilt when a TLS file has changed. Credentials are sent only to the host
//! that they are configured for, and a POST never loses its body to a redirect. Every response has a
//! size limit.

mod answers;
mod auth;
mod body;
mod client;
mod error;
mod exchange;
mod oauth2;
mod redirect;
mod request;
mod secret;
mod settings;
mod tls;
mod url;

pub use body::inflate;
pub use client::Client;
pub use error::{Error, Kind};
pub use request::Response;
pub(crate) use request::{Method, Overflow, Request};
pub use secret::Secret;
pub use settings::{Auth, Header, OAuth2, Proxy, Settings, Tls, TlsVersion};
pub(crate) use url::{form, known_origin, origin, redacted};

pub(crate) use crate::describe::bare_url;
