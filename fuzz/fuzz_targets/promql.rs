//! Any text is an expression or an error with a place; what is accepted is evaluated within its
//! limits.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("promql", data));
