//! Any record of the store is refused or used, and using it does not panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/exposition_reference.rs"]
#[allow(dead_code, reason = "one of the targets needs it")]
mod exposition_reference;
#[path = "../targets.rs"]
#[allow(dead_code, reason = "this is one of them")]
mod targets;

fuzz_target!(|data: &[u8]| targets::store_record(data));
