//! The limit on the length of a rendered text.

/// Longest text a template may produce, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;

/// Refuses a text that exceeds the limit.
pub(super) fn check_length(bytes: usize) -> Result<(), String> {
    if bytes > MAX_OUTPUT {
        return Err(format!("the text is longer than {MAX_OUTPUT} bytes"));
    }
    Ok(())
}
