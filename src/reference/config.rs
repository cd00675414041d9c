//! The reference of configuration files.

use crate::config::relay::Relay;
use crate::config::settings::Settings;
use crate::describe::{Keys, Page};

/// `docs/reference/configuration.md`.
#[must_use]
pub fn configuration() -> String {
    let mut page = Page::new(
        "Configuration files",
        "Every key of the configuration file, of the configuration file of `sidewatch relay` and of \
         the web configuration file. A key with nothing behind it counts as absent; an unknown key \
         is an error. `sidewatch check config FILE` reports every mistake with its line, and \
         `sidewatch schema config` prints a JSON Schema for editors.",
    );
    page.section("Configuration file", "", &Settings::description());
    page.section("Relay", "", &Relay::description());
    page.finish()
}
