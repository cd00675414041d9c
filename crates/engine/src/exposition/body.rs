//! The body of a scrape, its format and its time.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

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
    /// The media type of this format in a `Content-Type` header.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text",
        }
    }
}

/// The response to one scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposition {
    /// The decompressed bytes.
    pub body: Body,
    /// Their syntax.
    pub format: Format,
    /// The scheduled time of the scrape: the timestamp of every sample without one of its own.
    pub at: Timestamp,
    /// How long the scrape took.
    pub duration: Duration,
    /// Whether a redirect led to another host than the target's; errors then do not quote the body.
    pub is_foreign: bool,
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

    /// A body in the given format, with a scrape duration of 0.
    #[must_use]
    pub fn new(body: impl Into<Body>, format: Format, at: Timestamp) -> Self {
        Self {
            body: body.into(),
            format,
            at,
            duration: Duration::ZERO,
            is_foreign: false,
        }
    }
}

/// The bytes of an exposition. When it is dropped, its buffer returns to the producer it came from.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
    home: Option<Arc<Buffer>>,
}

impl Body {
    /// Bytes whose buffer returns to `home` on drop.
    pub fn lent(bytes: Vec<u8>, home: Arc<Buffer>) -> Self {
        Self {
            bytes,
            home: Some(home),
        }
    }

    /// The bytes, to append to.
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

/// The buffer that a producer reads its bodies into, reused from scrape to scrape.
#[derive(Debug, Default)]
pub struct Buffer(Mutex<Vec<u8>>);

impl Buffer {
    /// Takes the buffer, empty; a new one while the last body still holds it.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock())
    }

    /// Keeps the buffer for the next scrape; shrinks it when the last body used less than a quarter
    /// of it.
    fn put(&self, mut bytes: Vec<u8>) {
        let used = bytes.len();
        bytes.clear();
        if bytes.capacity() / 4 > used {
            bytes.shrink_to(used * 2);
        }
        *self.0.lock() = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, Buffer, Exposition};
    use crate::metric::Timestamp;
    use std::sync::Arc;

    #[test]
    fn a_dropped_body_returns_its_buffer_empty_and_with_its_capacity() {
        let home = Arc::new(Buffer::default());
        let mut bytes = home.take();
        bytes.extend_from_slice(&[b'x'; 1000]);
        let room = bytes.capacity();
        drop(Body::lent(bytes, Arc::clone(&home)));
        let again = home.take();
        assert_eq!((again.len(), again.capacity()), (0, room));
    }

    #[test]
    fn the_debug_output_of_an_exposition_does_not_contain_its_bytes() {
        let exposition = Exposition::text("secret 1\n", Timestamp::default());
        assert!(!format!("{exposition:?}").contains("secret"));
    }
}
