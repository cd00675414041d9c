//! What templates compute with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metric::Labels;

use super::format;

/// A value of a template, after Go's kinds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// `map[string]string`: a missing key is "".
    Labels(Labels),
    /// `map[string]any`: a missing key is nil.
    Map(BTreeMap<String, Self>),
    List(Vec<Self>),
    /// A struct: an unknown field is an error.
    Record(Arc<BTreeMap<&'static str, Self>>),
    /// A time in seconds since the epoch.
    Time(f64),
    /// A duration in seconds.
    Duration(f64),
}

impl Value {
    /// One sample of a query: `.Labels` and `.Value`.
    pub(super) fn sample(labels: Labels, value: f64) -> Self {
        Self::Record(Arc::new(BTreeMap::from([
            ("Labels", Self::Labels(labels)),
            ("Value", Self::Float(value)),
        ])))
    }

    /// Go's notion of truth: not the zero value, not empty.
    #[expect(clippy::float_cmp, reason = "Go compares with zero exactly")]
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(b) => *b,
            Self::Int(n) => *n != 0,
            Self::Float(f) | Self::Duration(f) => *f != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Record(_) | Self::Time(_) => true,
        }
    }

    pub(super) fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Labels(labels) => Ok(Self::Text(labels.get(name).unwrap_or("").to_owned())),
            Self::Map(map) => Ok(map.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Record(fields) => fields
                .get(name)
                .cloned()
                .ok_or_else(|| format!("can't evaluate field {name}")),
            Self::Nil => Err(format!("nil data; no entry for key {name:?}")),
            Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::List(_)
            | Self::Time(_)
            | Self::Duration(_) => Err(format!(
                "can't evaluate field {name} in type {}",
                self.type_name()
            )),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Labels(_) => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::List(_) => "list",
            Self::Record(_) => "struct",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
        }
    }

    /// Go's `%v`; nil prints as `nil` says.
    pub(super) fn print(&self, nil: &str) -> String {
        match self {
            Self::Nil => nil.to_owned(),
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Float(f) => format::float(*f),
            Self::Text(text) => text.clone(),
            Self::Labels(labels) => {
                let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
            Self::Map(map) => {
                let pairs = map.iter().map(|(k, v)| format!("{k}:{}", v.print("<nil>")));
                format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
            }
            Self::List(list) => {
                let items: Vec<String> = list.iter().map(|v| v.print("<nil>")).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Record(fields) => {
                let items: Vec<String> = fields.values().map(|v| v.print("<nil>")).collect();
                format!("{{{}}}", items.join(" "))
            }
            Self::Time(seconds) => format::time(*seconds),
            Self::Duration(seconds) => format::duration(*seconds),
        }
    }
}
