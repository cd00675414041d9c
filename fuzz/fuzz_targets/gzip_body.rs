//! Any bytes are a gzip body that is read alike in all pieces, or an error.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sidewatch_fuzz::feed("gzip_body", data));
