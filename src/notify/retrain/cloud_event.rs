//! CloudEvents 1.0.

use serde_json::{Map, Value, json};

use super::bodies::data;
use super::limits::{self, shortened};
use super::message::Message;
use super::{RequestKind, RetrainRequest};
use crate::alert::template::query_escape;

/// The `type` attribute of a CloudEvent.
fn event_type(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Retrain => "dev.sidewatch.retraining.requested",
        RequestKind::Rollback => "dev.sidewatch.rollback.requested",
    }
}

/// The `source` attribute of a CloudEvent: one per model.
fn source(model_id: &str) -> String {
    format!("/sidewatch/{}", query_escape(model_id).replace('+', "%20"))
}

/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
pub(super) fn structured(request: &RetrainRequest) -> Message {
    let mut event = Map::new();
    for (name, value) in attributes(request) {
        event.insert(name.to_owned(), Value::String(value));
    }
    event.insert("datacontenttype".to_owned(), json!("application/json"));
    event.insert("data".to_owned(), data(request));
    Message::new("application/cloudevents+json", &Value::Object(event))
}

/// The attributes. None is empty, and none holds a control character (section "Type System").
fn attributes(request: &RetrainRequest) -> Vec<(&'static str, String)> {
    let model_id = attribute(&request.model_id);
    let attributes = vec![
        ("specversion", "1.0".to_owned()),
        ("id", request.id.clone()),
        ("source", source(&model_id)),
        ("type", event_type(request.kind).to_owned()),
        ("subject", attribute(&request.rule)),
        ("time", request.requested_at.to_string()),
        ("partitionkey", model_id),
    ];
    let given = attributes.into_iter();
    given.filter(|(_, value)| !value.is_empty()).collect()
}

fn attribute(text: &str) -> String {
    let printable = text.replace(char::is_control, " ");
    shortened(printable.trim(), limits::ATTRIBUTE_CHARS).into_owned()
}

/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>,
/// section 3.1
pub(super) fn binary(request: &RetrainRequest) -> Message {
    let mut message = Message::new("application/json", &data(request));
    for (name, value) in attributes(request) {
        message.header(&format!("ce-{name}"), &header_value(&value));
    }
    message
}

/// Percent-encodes as section 3.1.3.2 of the binding requires: space, `"`, `%` and everything
/// beyond printable ASCII.
fn header_value(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
