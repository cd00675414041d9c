//! Types that can stand behind a key: how each is read, described and shown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::key::{Kind, Limits, Scalar, Word};
use super::read::Node;
use super::value::Value;
use crate::metric::{Labels, format_duration};

/// What may stand behind a key, and the Rust value that it becomes.
pub trait Shape {
    /// What is read.
    type Value;

    /// What may be written.
    fn kind() -> Kind;

    /// Reads the value; what is wrong with it becomes a problem of the node.
    fn read(node: &Node<'_>, limits: &Limits) -> Option<Self::Value>;

    /// The value as it would be written, for showing a default; `None` when nothing would be.
    fn show(_value: &Self::Value) -> Option<String> {
        None
    }
}

/// Text; numbers and booleans are taken as written.
pub static TEXT: Scalar = Scalar {
    name: "text",
    doc: "Text. A number or a boolean is taken as it is written.",
    schema: || json!({"type": ["string", "number", "boolean"]}),
    show: number,
};

static TEXT_OR_NOTHING: Scalar = Scalar {
    name: "text or nothing",
    doc: "Text as above; nothing is the empty text.",
    schema: || json!({"type": ["string", "number", "boolean", "null"]}),
    show: number,
};

static ENV_TEXT: Scalar = Scalar {
    name: "text with variables",
    doc: "Text in which `${VAR}` is replaced by the environment variable `VAR`, and `$$` by `$`. A variable that is not set is an error.",
    schema: || json!({"type": ["string", "number", "boolean"]}),
    show: number,
};

static FILE: Scalar = Scalar {
    name: "file",
    doc: "Path of a file, relative to the file in which it is written.",
    schema: || json!({"type": ["string", "number", "boolean"]}),
    show: number,
};

static FOLDER: Scalar = Scalar {
    name: "folder",
    doc: "Path of a folder, relative to the working directory.",
    schema: || json!({"type": ["string", "number", "boolean"]}),
    show: number,
};

static BOOLEAN: Scalar = Scalar {
    name: "boolean",
    doc: "`true` or `false`.",
    schema: || json!({"type": "boolean"}),
    show: number,
};

static COUNT: Scalar = Scalar {
    name: "whole number",
    doc: "A whole number, 0 or more.",
    schema: || json!({"type": "integer", "minimum": 0}),
    show: number,
};

static NUMBER: Scalar = Scalar {
    name: "number",
    doc: "A finite number.",
    schema: || json!({"type": "number"}),
    show: number,
};

static DURATION: Scalar = Scalar {
    name: "duration",
    doc: "A duration as Prometheus writes it, such as `30s`, `5m` or `1h30m`, or `0`.",
    schema: || {
        json!({
            "anyOf": [
                {
                    "type": "string",
                    "pattern": "^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
                    "minLength": 2,
                },
                {"const": 0},
                {"const": "0"},
            ],
        })
    },
    show: |seconds| match Duration::try_from_secs_f64(seconds) {
        Ok(Duration::ZERO) => "0".to_owned(),
        Ok(duration) => format_duration(duration),
        Err(_) => number(seconds),
    },
};

static SIZE: Scalar = Scalar {
    name: "size",
    doc: "Bytes, or a number with one of the units `KiB`, `MiB` and `GiB`, such as `64MiB`.",
    schema: || {
        json!({
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^[0-9]+ *([kKmMgG]([iI]?[bB])?|[bB])?$"},
            ],
        })
    },
    show: number,
};

static LABELS: Scalar = Scalar {
    name: "labels",
    doc: "A map of label names to values. Names must not be empty or start with `__`.",
    schema: || {
        json!({
            "type": "object",
            "propertyNames": {"minLength": 1, "not": {"pattern": "^__"}},
            "additionalProperties": (TEXT_OR_NOTHING.schema)(),
        })
    },
    show: number,
};

static ENV_LABELS: Scalar = Scalar {
    name: "labels with variables",
    doc: "Labels in whose values `${VAR}` is replaced by the environment variable `VAR`.",
    schema: LABELS.schema,
    show: number,
};

/// A number without a tail of zeros.
fn number(number: f64) -> String {
    if number != 0.0 && number.abs() < 1e-4 {
        format!("{number:e}")
    } else {
        number.to_string()
    }
}

/// Reports a number that is outside its limits.
fn check(node: &Node<'_>, scalar: &Scalar, value: f64, limits: &Limits) {
    if !limits.allow(value) {
        let words = limits.words(&|limit| (scalar.show)(limit));
        let got = (scalar.show)(value);
        node.problem(format!("must be {words}{}, got {got}", hint(limits)));
    }
}

/// The remark behind a message.
fn hint(limits: &Limits) -> String {
    if limits.hint.is_empty() {
        String::new()
    } else {
        format!(", {}", limits.hint)
    }
}

impl Shape for String {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&TEXT)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        node.text()
    }

    fn show(value: &Self) -> Option<String> {
        (!value.is_empty()).then(|| value.clone())
    }
}

/// Text with `${VAR}`.
#[derive(Debug)]
pub struct EnvText;

impl Shape for EnvText {
    type Value = String;

    fn kind() -> Kind {
        Kind::Scalar(&ENV_TEXT)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<String> {
        Some(node.expand(&node.text()?))
    }

    fn show(value: &String) -> Option<String> {
        String::show(value)
    }
}

/// A file, relative to the one that names it.
#[derive(Debug)]
pub struct FilePath;

impl Shape for FilePath {
    type Value = PathBuf;

    fn kind() -> Kind {
        Kind::Scalar(&FILE)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<PathBuf> {
        Some(node.base().join(node.text()?))
    }
}

/// A folder; empty text counts as absent.
#[derive(Debug)]
pub struct Folder;

impl Shape for Folder {
    type Value = PathBuf;

    fn kind() -> Kind {
        Kind::Scalar(&FOLDER)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<PathBuf> {
        let path = node.text().filter(|path| !path.is_empty());
        path.map(PathBuf::from)
    }
}

impl Shape for bool {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&BOOLEAN)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        node.boolean()
    }

    fn show(value: &Self) -> Option<String> {
        Some(value.to_string())
    }
}

/// A whole number of any width.
#[derive(Debug)]
pub(super) struct Count<T>(std::marker::PhantomData<T>);

impl<T: TryFrom<u64> + ToString> Shape for Count<T> {
    type Value = T;

    fn kind() -> Kind {
        Kind::Scalar(&COUNT)
    }

    #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
    fn read(node: &Node<'_>, limits: &Limits) -> Option<T> {
        let Some(count) = node.peek_count() else {
            let is_large = matches!(node.value(), Value::Number(value, _) if *value >= 9e15);
            let wanted = match limits.words(&number) {
                words if !words.is_empty() => format!("whole number {words}"),
                _ if is_large => "smaller number".to_owned(),
                _ => "whole number, 0 or more".to_owned(),
            };
            let got = node.got();
            node.problem(format!("must be a {wanted}, got {got}"));
            return None;
        };
        check(node, &COUNT, count as f64, limits);
        let fits = T::try_from(count).ok();
        if fits.is_none() {
            node.problem(format!("must be a smaller number, got {count}"));
        }
        fits
    }

    fn show(value: &T) -> Option<String> {
        Some(value.to_string())
    }
}

macro_rules! counts {
    ($($width:ty),*) => {$(
        impl Shape for $width {
            type Value = Self;

            fn kind() -> Kind {
                Count::<Self>::kind()
            }

            fn read(node: &Node<'_>, limits: &Limits) -> Option<Self> {
                Count::<Self>::read(node, limits)
            }

            fn show(value: &Self) -> Option<String> {
                Count::<Self>::show(value)
            }
        }
    )*};
}

counts!(u64, u32, usize);

impl Shape for f64 {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&NUMBER)
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Self> {
        let value = node.number()?;
        check(node, &NUMBER, value, limits);
        Some(value)
    }

    fn show(value: &Self) -> Option<String> {
        Some(number(*value))
    }
}

impl Shape for Duration {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&DURATION)
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Self> {
        let value = node.duration()?;
        check(node, &DURATION, value.as_secs_f64(), limits);
        Some(value)
    }

    fn show(value: &Self) -> Option<String> {
        Some(format_duration(*value))
    }
}

/// A size in bytes.
#[derive(Debug)]
pub struct Size;

impl Shape for Size {
    type Value = u64;

    fn kind() -> Kind {
        Kind::Scalar(&SIZE)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<u64> {
        node.bytes()
    }

    fn show(value: &u64) -> Option<String> {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let unit = units
            .iter()
            .find(|(bits, _)| *value > 0 && value.trailing_zeros() >= *bits);
        Some(unit.map_or_else(
            || value.to_string(),
            |(bits, unit)| format!("{}{unit}", value >> bits),
        ))
    }
}

impl Shape for Labels {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&LABELS)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        Some(node.labels())
    }
}

/// Labels with `${VAR}` in their values.
#[derive(Debug)]
pub struct EnvLabels;

impl Shape for EnvLabels {
    type Value = Labels;

    fn kind() -> Kind {
        Kind::Scalar(&ENV_LABELS)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Labels> {
        let labels = node.labels();
        let expanded = labels
            .iter()
            .map(|(name, value)| (name.to_owned(), node.expand(value)));
        Some(expanded.collect())
    }
}

/// Names and texts.
#[derive(Debug)]
pub struct TextMap;

impl Shape for TextMap {
    type Value = Vec<(String, String)>;

    fn kind() -> Kind {
        Kind::Map(Box::new(Kind::Scalar(&TEXT_OR_NOTHING)))
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self::Value> {
        node.text_map()
    }
}

/// An absent key and `null` are the same, so an optional value is read as the value itself.
impl<S: Shape> Shape for Option<S> {
    type Value = Option<S::Value>;

    fn kind() -> Kind {
        S::kind()
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Self::Value> {
        Some(S::read(node, limits))
    }

    fn show(value: &Self::Value) -> Option<String> {
        S::show(value.as_ref()?)
    }
}

/// Items that are wrong are left out; the limits are those of the number of items.
impl<S: Shape> Shape for Vec<S> {
    type Value = Vec<S::Value>;

    fn kind() -> Kind {
        Kind::List(Box::new(S::kind()))
    }

    #[expect(clippy::cast_precision_loss, reason = "a list is shorter than 2^53")]
    fn read(node: &Node<'_>, limits: &Limits) -> Option<Self::Value> {
        if !matches!(node.value(), Value::List(_)) {
            return node.in_the_place_of(&Self::kind()).wrong("a list");
        }
        let items = node.list()?;
        if !limits.allow(items.len() as f64) {
            let fault = match (items.len(), limits.hint) {
                (0, "") => "must not be empty".to_owned(),
                (0, hint) => format!("must not be empty; {hint}"),
                (count, _) => {
                    let words = limits.words(&number);
                    format!("must have {words} entries, got {count}")
                }
            };
            node.problem(fault);
        }
        let values = items.iter().filter_map(|item| S::read(item, &Limits::NONE));
        Some(values.collect())
    }

    fn show(value: &Self::Value) -> Option<String> {
        let items: Option<Vec<String>> = value.iter().map(S::show).collect();
        let items = items.filter(|items| !items.is_empty())?;
        Some(format!("[{}]", items.join(", ")))
    }
}

/// A map whose keys are data.
impl<S: Shape> Shape for BTreeMap<String, S> {
    type Value = BTreeMap<String, S::Value>;

    fn kind() -> Kind {
        Kind::Map(Box::new(S::kind()))
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self::Value> {
        if !matches!(node.value(), Value::Map(_)) {
            return node.in_the_place_of(&Self::kind()).wrong("a map");
        }
        let entries = node.entries()?.into_iter();
        let values = entries
            .filter_map(|(name, node)| Some((name.to_owned(), S::read(&node, &Limits::NONE)?)));
        Some(values.collect())
    }
}

/// Reads one of several words.
#[must_use]
pub fn read_word<T>(node: &Node<'_>, limits: &Limits, words: Vec<(Word, T)>) -> Option<T> {
    let text = node.text()?;
    let known: Vec<&str> = words.iter().map(|(word, _)| word.word).collect();
    let known = match known.as_slice() {
        [only] => (*only).to_owned(),
        [one, other] => format!("{one} or {other}"),
        several => format!("one of {}", several.join(", ")),
    };
    let found = words.into_iter().find(|(word, _)| word.word == text);
    if found.is_none() {
        let got = node.got_text();
        node.problem(format!("must be {known}{}, got {got}", hint(limits)));
    }
    found.map(|(_, value)| value)
}
