//! One answer of a target: the bytes, the format they are in, and when they were asked for.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::metric::Timestamp;

/// The syntax of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Prometheus text exposition, 0.0.4 and 1.0.0 (quoted UTF-8 names).
    #[default]
    Text,
    /// OpenMetrics text 1.0 (and 0.0.1).
    OpenMetrics,
}

impl Format {
    /// The media type a target announces this format with.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text",
        }
    }
}

/// One scrape's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposition {
    /// The bytes as sent, decompressed.
    pub body: Body,
    /// Their syntax.
    pub format: Format,
    /// The scheduled time of the scrape: the timestamp of every sample without one of its own.
    pub at: Timestamp,
    /// How long the target took to answer.
    pub duration: Duration,
}

impl Exposition {
    /// A body in the Prometheus text format.
    #[must_use]
    pub fn text(body: impl Into<Body>, at: Timestamp) -> Self {
        Self::new(body, Format::Text, at)
    }

    /// A body in the OpenMetrics format.
    #[must_use]
    pub fn openmetrics(body: impl Into<Body>, at: Timestamp) -> Self {
        Self::new(body, Format::OpenMetrics, at)
    }

    /// A body in the given format, answered in no time.
    #[must_use]
    pub fn new(body: impl Into<Body>, format: Format, at: Timestamp) -> Self {
        Self {
            body: body.into(),
            format,
            at,
            duration: Duration::ZERO,
        }
    }
}

/// The bytes of an exposition; they go back to the producer that lent the buffer when they are dropped.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
    home: Option<Arc<Buffer>>,
}

impl Body {
    /// Bytes whose buffer returns to `home` afterwards.
    pub fn lent(bytes: Vec<u8>, home: Arc<Buffer>) -> Self {
        Self {
            bytes,
            home: Some(home),
        }
    }

    /// The bytes, to be filled.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.put(std::mem::take(&mut self.bytes));
        }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Clone for Body {
    fn clone(&self) -> Self {
        self.bytes.clone().into()
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, home: None }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

/// The one buffer a producer reads its bodies into.
#[derive(Debug, Default)]
pub struct Buffer(Mutex<Vec<u8>>);

impl Buffer {
    /// The buffer, empty; a new one when it is still lent.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the buffer for the next scrape, without the room that one outsized body needed.
    fn put(&self, mut bytes: Vec<u8>) {
        let used = bytes.len();
        bytes.clear();
        if bytes.capacity() / 4 > used {
            bytes.shrink_to(used * 2);
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, Buffer, Exposition};
    use crate::metric::Timestamp;
    use std::sync::Arc;

    #[test]
    fn a_lent_buffer_comes_back_empty_and_with_its_room() {
        let home = Arc::new(Buffer::default());
        let mut bytes = home.take();
        bytes.extend_from_slice(&[b'x'; 1000]);
        let room = bytes.capacity();
        drop(Body::lent(bytes, Arc::clone(&home)));
        let again = home.take();
        assert_eq!((again.len(), again.capacity()), (0, room));
    }

    #[test]
    fn an_exposition_debugs_without_its_bytes() {
        let exposition = Exposition::text("secret 1\n", Timestamp::default());
        assert!(!format!("{exposition:?}").contains("secret"));
    }
}
