//! The keys of Prometheus' `http_config` → [`http::Settings`].

use super::read::Fields;
use crate::runtime::http;

/// Reads the http_config keys that stand among the other keys of a section.
pub(super) fn read_http(_fields: &mut Fields<'_>) -> http::Settings {
    http::Settings::default()
}
