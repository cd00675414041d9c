//! Any text is a configuration or has problems that are said.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("config_yaml", data));
