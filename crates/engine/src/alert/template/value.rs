//! The values of templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metric::{Labels, date_of_days, days_of_date};

use super::numbers;

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

/// What a method of Go's `time.Time` without arguments returns; the zone is UTC.
fn part_of_time(seconds: f64, method: &str) -> Option<Value> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let (millis, whole) = ((seconds * 1e3).floor() as i64, seconds.floor() as i64);
    let (days, second) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    let (year, month, day) = date_of_days(days);
    let name_of = |names: &[&str], index: i64| {
        let name = usize::try_from(index).ok().and_then(|at| names.get(at));
        Value::Text((*name.unwrap_or(&"")).to_owned())
    };
    Some(match method {
        "UTC" => Value::Time(seconds),
        "Unix" => Value::Int(whole),
        "UnixMilli" => Value::Int(millis),
        "Year" => Value::Int(year),
        "Month" => name_of(&MONTHS, month - 1),
        "Day" => Value::Int(day),
        "YearDay" => Value::Int(days - days_of_date(year, 1, 1) + 1),
        // The epoch began on a Thursday.
        "Weekday" => name_of(&WEEKDAYS, (days + 4).rem_euclid(7)),
        "Hour" => Value::Int(second / 3600),
        "Minute" => Value::Int(second % 3600 / 60),
        "Second" => Value::Int(second % 60),
        _ => return None,
    })
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// What a method of Go's `time.Duration` without arguments returns.
fn part_of_duration(seconds: f64, method: &str) -> Option<Value> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let whole = |scale: f64| Value::Int((seconds * scale) as i64);
    Some(match method {
        "Hours" => Value::Float(seconds / 3600.0),
        "Minutes" => Value::Float(seconds / 60.0),
        "Seconds" => Value::Float(seconds),
        "Milliseconds" => whole(1e3),
        "Microseconds" => whole(1e6),
        "Nanoseconds" => whole(1e9),
        _ => return None,
    })
}

impl Value {
    /// JSON as Go decodes it into `any`: every number is a float64.
    pub(super) fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(items) => {
                Self::List(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(map) => {
                let pairs = map
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::from_json(value)));
                Self::Map(pairs.collect())
            }
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Nil => serde_json::Value::Null,
            Self::Bool(b) => (*b).into(),
            Self::Int(n) => (*n).into(),
            Self::Float(f) | Self::Time(f) | Self::Duration(f) => (*f).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Labels(labels) => {
                let pairs = labels
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.into()));
                serde_json::Value::Object(pairs.collect())
            }
            Self::Map(map) => {
                let pairs = map
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_json()));
                serde_json::Value::Object(pairs.collect())
            }
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Record(fields) => {
                let pairs = fields
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), value.to_json()));
                serde_json::Value::Object(pairs.collect())
            }
        }
    }

    /// One sample of a query: `.Labels` and `.Value`.
    pub(super) fn sample(labels: Labels, value: f64) -> Self {
        Self::Record(Arc::new(BTreeMap::from([
            ("Labels", Self::Labels(labels)),
            ("Value", Self::Float(value)),
        ])))
    }

    /// The approximate bytes of a copy of this, without data that copies share.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(text) => text.len(),
                Self::List(items) => items.iter().map(Self::bytes).sum(),
                Self::Map(map) => map.iter().map(|(key, v)| key.len() + v.bytes()).sum(),
                Self::Nil
                | Self::Bool(_)
                | Self::Int(_)
                | Self::Float(_)
                | Self::Labels(_)
                | Self::Record(_)
                | Self::Time(_)
                | Self::Duration(_) => 0,
            }
    }

    /// Go's notion of truth: not the zero value, not empty.
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
            Self::Time(seconds) => part_of_time(*seconds, name).ok_or_else(|| self.no_field(name)),
            Self::Duration(seconds) => {
                part_of_duration(*seconds, name).ok_or_else(|| self.no_field(name))
            }
            Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_) | Self::List(_) => {
                Err(self.no_field(name))
            }
        }
    }

    fn no_field(&self, name: &str) -> String {
        let kind = self.type_name();
        format!("can't evaluate field {name} in type {kind}")
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
            Self::Float(f) => numbers::float(*f),
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
            Self::Time(seconds) => numbers::time(*seconds),
            Self::Duration(seconds) => numbers::duration(*seconds),
        }
    }
}
