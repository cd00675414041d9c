//! Any bytes are a notification or refused in one line.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("relay_message", data));
