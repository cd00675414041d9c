//! Scalars of YAML that are more than text, and less.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! scalars {
    ($($(#[doc = $doc:literal])+ $name:ident $schema:tt;)*) => {$(
        $(#[doc = $doc])+
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

scalars! {
    /// Text; a number or boolean is taken as written.
    Text {"type": ["string", "number", "boolean"]};
    /// PromQL.
    Expression {
        "description": "A PromQL expression, evaluated over the samples of the last storage.retention.",
        "type": ["string", "number"],
        "examples": ["sum by (model_name) (rate(request_errors_total[1m]))"],
    };
    /// A duration as Prometheus writes it.
    Duration {
        "description": "A duration such as 30s, 5m or 1h30m, or 0.",
        "anyOf": [
            {
                "type": "string",
                "pattern": "^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
                "minLength": 2,
            },
            {"const": 0},
            {"const": "0"},
        ],
        "examples": ["30s", "5m", "1h30m"],
    };
    /// A size in bytes.
    Size {
        "description": "Bytes, or a size with a unit.",
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^[0-9]+ *([kKmMgG]([iI]?[bB])?|[bB])?$"},
        ],
        "examples": ["64MiB", 1_048_576],
    };
    /// An address over HTTP.
    Url {
        "description": "An absolute URL with scheme http or https; ${VAR} is replaced from the environment.",
        "type": "string",
        "pattern": "^(https?://.|.*\\$)",
        "examples": ["http://127.0.0.1:8000/metrics"],
    };
    /// How many of how many.
    Share {
        "description": "N/M: at least N of the last M evaluations, 1 ≤ N ≤ M ≤ 1000.",
        "type": "string",
        "pattern": "^ *[0-9]{1,4} */ *[0-9]{1,4} *$",
        "examples": ["3/5"],
    };
}

/// Names and texts.
pub(super) type Texts = BTreeMap<String, Text>;

/// Labels by name.
pub(super) struct Labels;

impl JsonSchema for Labels {
    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        json_schema!({
            "type": "object",
            "propertyNames": {"minLength": 1, "not": {"pattern": "^__"}},
            "additionalProperties": text,
        })
    }
}
