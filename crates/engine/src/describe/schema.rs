//! Descriptions as JSON Schema, draft 2020-12.

use serde_json::{Map, Value as Json, json};

use super::key::{Choice, Description, Key, Kind, Limits, Word};

/// The schema of a kind of file.
#[must_use]
pub fn json_schema(title: &str, kind: &Kind) -> Json {
    let mut schema = Schema::default();
    let mut root = schema.kind(kind, &Limits::NONE);
    set(
        &mut root,
        "$schema",
        "https://json-schema.org/draft/2020-12/schema",
    );
    set(&mut root, "title", title);
    set(&mut root, "$defs", Json::Object(schema.definitions));
    root
}

fn set(schema: &mut Json, keyword: &str, value: impl Into<Json>) {
    if let Some(keywords) = schema.as_object_mut() {
        keywords.insert(keyword.to_owned(), value.into());
    }
}

#[derive(Default)]
struct Schema {
    /// Each section once, under its name.
    definitions: Map<String, Json>,
}

impl Schema {
    fn kind(&mut self, kind: &Kind, limits: &Limits) -> Json {
        match kind {
            Kind::Scalar(scalar) => limited((scalar.schema)(), limits),
            Kind::Words(words) => any_word(words),
            Kind::List(item) => {
                let mut list = json!({"type": "array", "items": self.kind(item, &Limits::NONE)});
                for (keyword, limit) in
                    [("minItems", limits.at_least), ("maxItems", limits.at_most)]
                {
                    if let Some(limit) = limit {
                        set(&mut list, keyword, number(limit));
                    }
                }
                list
            }
            Kind::Map(value) => {
                json!({"type": "object", "additionalProperties": self.kind(value, &Limits::NONE)})
            }
            Kind::Section(describe) => self.section(&describe()),
            Kind::Choice(choice) => self.choice(choice),
            Kind::Anything => json!({}),
        }
    }

    fn section(&mut self, section: &Description) -> Json {
        if !self.definitions.contains_key(section.name) {
            // Known before its keys are, since a section may contain itself.
            self.definitions.insert(section.name.to_owned(), Json::Null);
            let schema = self.object(section, None);
            self.definitions.insert(section.name.to_owned(), schema);
        }
        json!({"$ref": format!("#/$defs/{}", section.name)})
    }

    fn object(&mut self, section: &Description, tag: Option<(&str, &str)>) -> Json {
        let mut properties = Map::new();
        let mut required = Vec::new();
        if let Some((key, word)) = tag {
            properties.insert(key.to_owned(), json!({"const": word}));
            required.push(Json::from(key));
        }
        for key in section.all_keys() {
            // Parameters of a tagged section are never null.
            properties.insert(key.name.to_owned(), self.key(key, tag.is_none()));
            if key.is_required {
                required.push(key.name.into());
            }
        }
        let mut schema = json!({
            "type": "object",
            "description": section.doc,
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            set(&mut schema, "required", required);
        }
        if let Some(Json::Object(rules)) = &section.schema {
            for (keyword, rule) in rules {
                set(&mut schema, keyword, rule.clone());
            }
        }
        schema
    }

    fn choice(&mut self, choice: &Choice) -> Json {
        if !self.definitions.contains_key(choice.name) {
            self.definitions.insert(choice.name.to_owned(), Json::Null);
            let mut one_of = Vec::new();
            for (word, section) in (choice.sections)() {
                one_of.push(if choice.tag.is_empty() {
                    self.section(&section)
                } else {
                    self.object(&section, Some((choice.tag, word)))
                });
            }
            let schema = json!({"description": choice.doc, "anyOf": one_of});
            self.definitions.insert(choice.name.to_owned(), schema);
        }
        json!({"$ref": format!("#/$defs/{}", choice.name)})
    }

    fn key(&mut self, key: &Key, nullable: bool) -> Json {
        let mut schema = self.kind(&key.kind, &key.limits);
        if nullable && !key.is_required {
            schema = or_nothing(schema);
        }
        let mut doc = key.doc.clone();
        if !key.limits.default_text.is_empty() {
            doc = format!("{doc} Default: {}.", key.limits.default_text);
        } else if let Some(default) = &key.default {
            doc = format!("{doc} Default: {default}.");
        }
        set(&mut schema, "description", doc);
        if !key.limits.example.is_empty() {
            set(&mut schema, "examples", vec![key.limits.example]);
        }
        schema
    }
}

/// A key with nothing behind it counts as absent.
fn or_nothing(mut schema: Json) -> Json {
    let kinds = match schema.get("type") {
        Some(Json::String(kind)) => json!([kind, "null"]),
        Some(Json::Array(kinds)) => kinds.iter().cloned().chain([json!("null")]).collect(),
        _ => return json!({"anyOf": [schema, {"type": "null"}]}),
    };
    set(&mut schema, "type", kinds);
    schema
}

/// Limits of numbers; those of durations and sizes cannot be said in JSON Schema.
fn limited(mut schema: Json, limits: &Limits) -> Json {
    let kind = schema.get("type").and_then(Json::as_str);
    if !matches!(kind, Some("number" | "integer")) {
        return schema;
    }
    for (keyword, limit) in [
        ("minimum", limits.at_least),
        ("maximum", limits.at_most),
        ("exclusiveMinimum", limits.above),
        ("exclusiveMaximum", limits.below),
    ] {
        if let Some(limit) = limit {
            set(&mut schema, keyword, number(limit));
        }
    }
    schema
}

/// Whole numbers as JSON writes them.
#[expect(clippy::cast_possible_truncation, reason = "limits are far below 2^53")]
fn number(limit: f64) -> Json {
    if limit.fract().abs() > 0.0 {
        limit.into()
    } else {
        (limit as i64).into()
    }
}

fn any_word(words: &[Word]) -> Json {
    let one_of = words.iter().map(|word| {
        let mut one = json!({"const": word.word});
        if !word.doc.is_empty() {
            set(&mut one, "description", word.doc);
        }
        one
    });
    json!({"oneOf": one_of.collect::<Vec<_>>()})
}
