//! Secrets, given in the configuration or in files.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::{Error, Kind};
use crate::runtime::read_small;

/// A value that never appears in logs: given in the configuration, or in a file that is read for
/// every request. Surrounding white space is not part of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself.
    Inline(String),
    /// The file with the value, at most 1 MiB.
    File(PathBuf),
}

impl Secret {
    /// The current value as text. `url` is the address of the request that needs it.
    ///
    /// # Errors
    /// When the file cannot be read, is too large or is not UTF-8.
    pub(crate) async fn read(&self, url: &str) -> Result<String, Error> {
        String::from_utf8(self.read_bytes(url).await?).map_err(|_| {
            let detail = format!("{self:?} is not UTF-8");
            Error::new(Kind::Credentials, url, detail)
        })
    }

    /// The current value as bytes. `url` is the address of the request that needs it.
    ///
    /// # Errors
    /// When the file cannot be read or is too large.
    pub(crate) async fn read_bytes(&self, url: &str) -> Result<Vec<u8>, Error> {
        let path = match self {
            Self::Inline(value) => return Ok(value.as_bytes().trim_ascii().to_vec()),
            Self::File(path) => path,
        };
        let fail = |reason: String| {
            let detail = format!("cannot read the secret {}: {reason}", path.display());
            Error::new(Kind::Credentials, url, detail)
        };
        let bytes = read_small(path).await.map_err(fail)?;
        Ok(bytes.trim_ascii().to_vec())
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::Inline(String::new())
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::Inline(value.to_owned())
    }
}

impl From<&Path> for Secret {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("<secret>"),
            Self::File(path) => write!(f, "<secret from {}>", path.display()),
        }
    }
}
