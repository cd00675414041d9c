//! Any text is a web configuration or has problems that are said.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("web_config", data));
