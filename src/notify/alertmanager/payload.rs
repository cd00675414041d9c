//! Encodes alerts for Alertmanager's API v2.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::ser::SerializeMap;

use crate::alert::{Alert, AlertState, Annotations};
use crate::metric::{Labels, Timestamp};

use super::queue::Item;

/// Longest annotation that is sent, in bytes; the rest is cut off.
const MAX_ANNOTATION_BYTES: usize = 16 * 1024;
/// Size of the JSON of a typical alert, in bytes.
const TYPICAL_JSON_BYTES: usize = 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    labels: &'a Labels,
    annotations: Truncated<'a>,
    starts_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<&'a str>,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
}

/// Annotations of limited length.
struct Truncated<'a>(&'a Annotations);

impl Serialize for Truncated<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, &truncated(value))?;
        }
        map.end()
    }
}

fn truncated(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_ANNOTATION_BYTES {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(MAX_ANNOTATION_BYTES);
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or("")))
}

/// A cache of formatted times. The alerts of one evaluation share most of them, and formatting is
/// the expensive part of encoding.
#[derive(Debug, Default)]
pub(super) struct TimeCache(Vec<(Timestamp, Arc<str>)>);

impl TimeCache {
    /// Entries before the cache is cleared.
    const CAPACITY: usize = 16;

    fn text(&mut self, at: Timestamp) -> Arc<str> {
        if let Some((_, text)) = self.0.iter().find(|(cached, _)| *cached == at) {
            return Arc::clone(text);
        }
        if self.0.len() >= Self::CAPACITY {
            self.0.clear();
        }
        let text: Arc<str> = at.to_string().into();
        self.0.push((at, Arc::clone(&text)));
        text
    }
}

/// An alert with its labels for all peers.
#[derive(Debug)]
pub(super) struct Relabelled<'a> {
    pub(super) alert: &'a Alert,
    pub(super) labels: Labels,
    /// Encoded once for every peer without relabelling of its own.
    item: OnceCell<Option<Item>>,
}

impl<'a> Relabelled<'a> {
    pub(super) fn new(alert: &'a Alert, labels: Labels) -> Self {
        let item = OnceCell::new();
        Self {
            alert,
            labels,
            item,
        }
    }

    /// The queue item for a peer that receives these labels; `None` if Alertmanager would refuse it.
    pub(super) fn item(&self, labels: &Labels, times: &mut TimeCache) -> Option<Item> {
        if *labels != self.labels {
            return item(self.alert, labels, times);
        }
        let shared = self.item.get_or_init(|| item(self.alert, labels, times));
        shared.clone()
    }
}

/// The JSON object of one alert with these labels; `None` if Alertmanager would refuse it.
///
/// Alertmanager refuses a whole batch for one alert without labels, with an end before its start or
/// with an invalid URL.
fn encode(alert: &Alert, labels: &Labels, times: &mut TimeCache) -> Option<Vec<u8>> {
    let named = labels.iter().all(|(name, _)| !name.is_empty());
    if labels.is_empty() || !named || alert.state == AlertState::Pending {
        return None;
    }
    let starts_at = alert.starts_at();
    let ends_at = alert
        .resolved_at
        .or(alert.ends_at)
        .map(|ends_at| times.text(ends_at.max(starts_at)));
    let payload = Payload {
        labels,
        annotations: Truncated(&alert.annotations),
        starts_at: &times.text(starts_at),
        ends_at: ends_at.as_deref(),
        generator_url: if is_uri(&alert.generator_url) {
            &alert.generator_url
        } else {
            ""
        },
    };
    let mut json = Vec::with_capacity(TYPICAL_JSON_BYTES);
    serde_json::to_writer(&mut json, &payload).ok()?;
    Some(json)
}

/// Whether the API's check, which resembles Go's `url.ParseRequestURI`, accepts the text: a rooted
/// path or an absolute URL of plain bytes.
fn is_uri(text: &str) -> bool {
    let absolute = text.starts_with("http://") || text.starts_with("https://");
    let plain = text.bytes().all(|b| {
        let reserved = matches!(
            b,
            b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
        );
        b.is_ascii_graphic() && !reserved
    });
    let escapes = text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    });
    (absolute || text.starts_with('/')) && plain && escapes
}

/// The queue item for an alert with these labels; `None` if Alertmanager would refuse it.
pub(super) fn item(alert: &Alert, labels: &Labels, times: &mut TimeCache) -> Option<Item> {
    Some(Item {
        fingerprint: labels.fingerprint(),
        json: encode(alert, labels, times)?.into(),
        labels: labels.clone(),
    })
}

/// The JSON array of a batch.
pub(super) fn body(items: &[Item]) -> Bytes {
    let length: usize = items.iter().map(|item| item.json.len() + 1).sum();
    let mut body = Vec::with_capacity(length + 2);
    for (at, item) in items.iter().enumerate() {
        body.push(if at == 0 { b'[' } else { b',' });
        body.extend_from_slice(&item.json);
    }
    if items.is_empty() {
        body.push(b'[');
    }
    body.push(b']');
    body.into()
}
