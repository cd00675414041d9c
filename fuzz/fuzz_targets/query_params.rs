//! Any text is the parameters of a query within their limits, or refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("query_params", data));
