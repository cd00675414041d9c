//! Webhook bodies from the user's template.

use serde_json::Value;

use crate::alert::template;

use super::super::Error;
use super::Message;

/// A body as a template over the request: `{{ .model_id }}`, `{{ .labels.team }}`,
/// `{{ .annotations | toJson }}`.
#[derive(Debug, Clone)]
pub struct BodyTemplate {
    template: template::Template,
    content_type: String,
}

impl PartialEq for BodyTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.template.source() == other.template.source() && self.content_type == other.content_type
    }
}

impl BodyTemplate {
    /// Parses a body.
    ///
    /// # Errors
    /// The first problem, with its place in the text.
    pub fn parse(source: &str, content_type: &str) -> Result<Self, template::TemplateError> {
        Ok(Self {
            template: template::Template::parse_data(source)?,
            content_type: content_type.to_owned(),
        })
    }

    pub(super) fn message(&self, data: &Value) -> Result<Message, Error> {
        let body = self.template.render_data(data).map_err(Error::Template)?;
        if self.content_type.ends_with("json")
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&body)
        {
            return Err(Error::Template(format!(
                "the template renders invalid JSON: {error}; write values as {{{{ .reason | toJson }}}}"
            )));
        }
        Ok(Message {
            headers: vec![("content-type".to_owned(), self.content_type.clone())],
            body: body.into(),
        })
    }
}
