//! Reads text files, with limits on size and encoding.

use std::path::Path;

use super::problem::{Problem, Problems};
use crate::runtime::read_settled;

/// The largest rule or configuration file that is read, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<String, Problems> {
    let file = path.display().to_string();
    let wrong = |message: String| Problems::from(Problem::of_file(&file, message));
    let bytes = read_settled(path, MAX_FILE_BYTES as u64)
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".to_owned()))
}
