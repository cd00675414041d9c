//! How long a rendered text may be.

/// Longest text a template may produce, in bytes.
const MAX_OUTPUT: usize = 64 * 1024;

/// Refuses a text that is longer than texts may be.
pub(super) fn check_length(bytes: usize) -> Result<(), String> {
    if bytes > MAX_OUTPUT {
        return Err(format!("the text is longer than {MAX_OUTPUT} bytes"));
    }
    Ok(())
}
