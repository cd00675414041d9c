//! Scrapes of arbitrary OpenMetrics never panic, and are read as the slow reference reads them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("exposition_openmetrics", data));
