//! Alerts as Alertmanager's API v2 wants them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::ser::SerializeMap;

use crate::alert::{Alert, AlertState};
use crate::metric::{Labels, Timestamp};

use super::queue::Item;

/// Longest annotation sent, in bytes; the rest is cut.
const MAX_ANNOTATION: usize = 16 * 1024;
/// Room for the JSON of a usual alert, in bytes.
const USUAL: usize = 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    labels: &'a Labels,
    annotations: Annotations<'a>,
    starts_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<&'a str>,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
}

struct Annotations<'a>(&'a Labels);

impl Serialize for Annotations<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, &cut(value))?;
        }
        map.end()
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_ANNOTATION {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(MAX_ANNOTATION);
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or("")))
}

/// Times as text. The alerts of one evaluation share most of them, and writing a date is what costs.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<(Timestamp, Arc<str>)>);

impl Times {
    /// Times remembered before starting anew.
    const MOST: usize = 16;

    fn text(&mut self, at: Timestamp) -> Arc<str> {
        if let Some((_, text)) = self.0.iter().find(|(known, _)| *known == at) {
            return Arc::clone(text);
        }
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let text: Arc<str> = at.to_string().into();
        self.0.push((at, Arc::clone(&text)));
        text
    }
}

/// The JSON object of one alert under these labels; `None` when Alertmanager would refuse it.
///
/// Alertmanager answers a whole batch with an error for one alert without labels, with times the wrong way round or
/// with a URL it cannot parse, so these never leave.
fn encode(alert: &Alert, labels: &Labels, times: &mut Times) -> Option<Vec<u8>> {
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
        annotations: Annotations(&alert.annotations),
        starts_at: &times.text(starts_at),
        ends_at: ends_at.as_deref(),
        generator_url: if is_uri(&alert.generator_url) {
            &alert.generator_url
        } else {
            ""
        },
    };
    let mut json = Vec::with_capacity(USUAL);
    serde_json::to_writer(&mut json, &payload).ok()?;
    Some(json)
}

/// Whether Go's `url.ParseRequestURI`-like check of the API accepts it: a rooted path or an absolute URL of plain bytes.
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

pub(super) fn item(alert: &Alert, labels: &Labels, times: &mut Times) -> Option<Item> {
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
