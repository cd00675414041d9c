//! A request of a webhook before it is signed.

use bytes::Bytes;
use serde_json::Value;

/// Headers and body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names and values, including `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Message {
    /// A JSON body and its content type.
    pub(super) fn new(content_type: &str, body: &Value) -> Self {
        Self {
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.to_string().into(),
        }
    }

    /// Adds a header.
    pub(super) fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}
