//! Any record of the store is refused or used, and using it does not panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("store_record", data));
