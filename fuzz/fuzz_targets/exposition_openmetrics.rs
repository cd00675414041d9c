//! Scrapes of arbitrary bytes never panic, and are read as the slow reference reads them.
//!
//! The input is cut at every 0xff into the bodies of consecutive scrapes, so that the memo is fuzzed too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sidewatch::scrape::Format;

#[path = "../../tests/it/exposition_reference.rs"]
mod exposition_reference;

fuzz_target!(|data: &[u8]| {
    let bodies: Vec<&[u8]> = data.split(|&byte| byte == 0xff).collect();
    exposition_reference::check(&bodies, Format::OpenMetrics);
});
