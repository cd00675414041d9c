//! Any text is a template that expands, or an error with a place.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("template", data));
