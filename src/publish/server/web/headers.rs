//! Headers that a web configuration may add to every answer.

use hyper::HeaderMap;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};

/// The allow-list, as it is written in the file.
const ALLOWED: [(&str, HeaderName); 5] = [
    ("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY),
    ("X-Content-Type-Options", X_CONTENT_TYPE_OPTIONS),
    ("X-Frame-Options", X_FRAME_OPTIONS),
    ("X-XSS-Protection", X_XSS_PROTECTION),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
];

/// Headers for every answer, each on the allow-list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// Adds a header.
    ///
    /// # Errors
    /// When the name is not on the allow-list or the value is invalid; the text says what would be
    /// valid.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some((_, header)) = ALLOWED.iter().find(|(allowed, _)| *allowed == name) else {
            let names = ALLOWED.map(|(allowed, _)| allowed).join(", ");
            return Err(format!("only these headers can be set: {names}"));
        };
        let one_of = |values: &[&str]| {
            if values.contains(&value.to_ascii_lowercase().as_str()) {
                return Ok(());
            }
            Err(format!("must be {}, got {value:?}", values.join(" or ")))
        };
        if *header == X_FRAME_OPTIONS {
            one_of(&["deny", "sameorigin"])?;
        } else if *header == X_CONTENT_TYPE_OPTIONS {
            one_of(&["nosniff"])?;
        }
        let value = HeaderValue::from_str(value)
            .map_err(|_| format!("must be visible ASCII on one line, got {value:?}"))?;
        self.0.push((header.clone(), value));
        Ok(())
    }

    /// Adds the headers to an answer. A `Content-Security-Policy` that the answer already has stays
    /// beside the configured one, and a browser applies both.
    pub(in super::super) fn add_to(&self, answer: &mut HeaderMap) {
        for (name, value) in &self.0 {
            if *name == CONTENT_SECURITY_POLICY {
                answer.append(name, value.clone());
            } else {
                answer.insert(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};

    use super::Headers;

    #[test]
    fn only_headers_on_the_allow_list_with_valid_values_are_accepted() {
        let mut headers = Headers::default();
        for (name, value) in [
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "nosniff"),
            ("Strict-Transport-Security", "max-age=31536000"),
        ] {
            assert_eq!(headers.insert(name, value), Ok(()));
        }
        for (name, value) in [
            ("Access-Control-Allow-Origin", "*"),
            ("X-Frame-Options", "allow"),
            ("X-Content-Type-Options", "sniff"),
            ("X-XSS-Protection", "1\r\nSet-Cookie: a=b"),
        ] {
            assert!(headers.insert(name, value).is_err(), "{name}: {value}");
        }
    }

    #[test]
    fn a_configured_policy_does_not_loosen_the_pages_own() {
        let mut headers = Headers::default();
        headers
            .insert("Content-Security-Policy", "frame-ancestors 'none'")
            .unwrap();
        let mut answer = HeaderMap::new();
        answer.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'"),
        );
        headers.add_to(&mut answer);
        assert_eq!(answer.get_all(CONTENT_SECURITY_POLICY).iter().count(), 2);
    }
}
