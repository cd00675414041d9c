//! Any text is a rule file or has problems that are said.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("rules_yaml", data));
