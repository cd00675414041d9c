//! Series in the notation of tests.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/exposition_reference.rs"]
#[allow(dead_code, reason = "one of the targets needs it")]
mod exposition_reference;
#[path = "../targets.rs"]
#[allow(dead_code, reason = "this is one of them")]
mod targets;

fuzz_target!(|data: &[u8]| targets::series_notation(data));
