//! Redacts the secrets of a file, line for line.

use std::collections::BTreeSet;

use super::settings::Settings;
use super::yaml::{Scalar, scalars};
use crate::describe::{Description, Keys, Kind};

/// The placeholder of a secret, as Prometheus writes it.
const HIDDEN: &str = "<secret>";
/// A comment with one of these words may hold an old secret.
const SUSPECT: [&str; 7] = [
    "passw",
    "secret",
    "token",
    "credential",
    "key:",
    "bearer",
    "basic",
];

/// Redacts the secrets of a configuration file, line for line.
pub(super) fn settings(text: &str) -> String {
    let Some(scalars) = scalars(text) else {
        return HIDDEN.to_owned();
    };
    let keys = secret_keys(&Settings::description());
    let is_secret = |path: &[String]| path.iter().any(|key| keys.contains(key.as_str()));
    let secrets: Vec<&Scalar> = scalars
        .iter()
        .filter(|scalar| is_secret(&scalar.path))
        .collect();
    let hidden = |scalar: &Scalar| {
        let aliased = |secret: &&Scalar| secret.anchor.is_some() && secret.anchor == scalar.anchor;
        !scalar.is_alias && (is_secret(&scalar.path) || secrets.iter().any(aliased))
    };
    let values: Vec<&str> = secrets
        .iter()
        .map(|scalar| scalar.value.as_str())
        .filter(|value| !value.is_empty())
        .collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for scalar in &scalars {
        let (Some(between), Some(written)) = (
            text.get(at..scalar.range.start),
            text.get(scalar.range.clone()),
        ) else {
            // Two scalars never overlap; if they did, redaction would be unsafe.
            return HIDDEN.to_owned();
        };
        out.push_str(&comments(between, &values));
        if hidden(scalar) {
            out.push_str(&blank(written));
        } else {
            out.push_str(written);
        }
        at = scalar.range.end;
    }
    out.push_str(&comments(text.get(at..).unwrap_or(""), &values));
    without_credentials(&out)
}

/// Redacts any other text, where only the user information of URLs may be secret.
#[must_use]
pub(crate) fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = |c: char| c.is_whitespace() || "/?#\"'<>`,}]".contains(c);
        let authority = after.split(end).next().unwrap_or("");
        rest = match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(HIDDEN);
                out.push('@');
                after
                    .get(authority.len() - host.len()..)
                    .unwrap_or_default()
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// The names of all keys that are described as secret, in a section and in those below it. A key of
/// such a name is redacted anywhere, even where it is unknown.
fn secret_keys(section: &Description) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    for key in section.all_keys() {
        if key.limits.is_secret {
            names.insert(key.name);
        }
        let mut kind = &key.kind;
        while let Kind::List(inner) | Kind::Map(inner) = kind {
            kind = inner;
        }
        if let Kind::Section(describe) = kind {
            names.extend(secret_keys(&describe()));
        }
    }
    names
}

/// Keeps the number of lines, so that every other line keeps its number.
fn blank(written: &str) -> String {
    let body = written.trim_end_matches(['\n', ' ']);
    let lines = body.matches('\n').count();
    let tail = written.get(body.len()..).unwrap_or("");
    let indent = |line: &str| line.len() - line.trim_start().len();
    let indents = body.lines().skip(1).map(indent);
    let mut out = HIDDEN.to_owned();
    for indent in indents.take(lines) {
        out.push('\n');
        out.push_str(&" ".repeat(indent));
    }
    out.push_str(tail);
    out
}

/// Redacts the text between two scalars: structure and harmless comments stay.
fn comments(between: &str, secrets: &[&str]) -> String {
    let mut out = String::with_capacity(between.len());
    for line in between.split_inclusive('\n') {
        let Some((before, comment)) = line.split_once('#') else {
            out.push_str(line);
            continue;
        };
        let lower = comment.to_lowercase();
        let harmless = !SUSPECT.iter().any(|word| lower.contains(word))
            && !secrets.iter().any(|secret| comment.contains(secret));
        out.push_str(before);
        out.push('#');
        if harmless {
            out.push_str(comment);
        } else {
            out.push(' ');
            out.push_str(HIDDEN);
            if comment.ends_with('\n') {
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{settings, without_credentials};
    use crate::config::Settings;
    use crate::describe::Keys;

    /// Every place of a configuration that may hold a secret, and every way to write one.
    const EVERYTHING: &str = r#"# old password: s3cret-a
global: {scrape_interval: 15s}   # the token was s3cret-b
scrape:
  targets:
  - url: http://me:s3cret-c@127.0.0.1:8000/metrics  # harmless
  basic_auth: {username: me, password: s3cret-d}
  proxy_url: "http://me:s3cret-e@proxy:3128"
  proxy_connect_header: {X-A: [s3cret-f]}
  http_headers:
    X-Api:
      values: ["s3cret-g", 's3cret-h']
      secrets:
      - s3cret-i
  tls_config:
    cert: shown
    key: |
      -----BEGIN s3cret-j
      s3cret-k
    server_name: shown-too
alerting:
  alertmanagers:
  - url: https://s3cret-l@am:9093
    authorization: {credentials: "s3cret\u002dm"}
  - url: http://other
    oauth2:
      client_id: id
      client_secret: >-
        s3cret-n
        s3cret-o
      token_url: http://a:s3cret-p@b/token
      endpoint_params: {assertion: s3cret-q}
  - url: http://third
    bearer_token: s3cret-r
retraining:
  webhooks:
  - name: &shared s3cret-s
    url: "http://u:s3cret-t@w"
    secret: *shared
    secret_file: shown-file
"#;

    #[test]
    fn no_secret_is_left_and_every_line_keeps_its_number() {
        let shown = settings(EVERYTHING);
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(shown.lines().count(), EVERYTHING.lines().count(), "{shown}");
        for (before, after) in EVERYTHING.lines().zip(shown.lines()) {
            if !before.contains("s3cret") {
                assert_eq!(before, after);
            }
        }
        assert!(shown.contains("  basic_auth: {username: me, password: <secret>}"));
        assert!(shown.contains("url: http://<secret>@127.0.0.1:8000/metrics  # harmless"));
    }

    #[test]
    fn every_key_that_holds_a_secret_is_described_as_one() {
        let keys = super::secret_keys(&Settings::description());
        let keys: Vec<&str> = keys.into_iter().collect();
        assert_eq!(
            keys,
            [
                "bearer_token",
                "client_secret",
                "credentials",
                "endpoint_params",
                "http_headers",
                "key",
                "password",
                "proxy_connect_header",
                "secret",
                "secrets"
            ]
        );
    }

    #[test]
    fn a_url_without_user_information_stays_as_it_is() {
        for text in ["http://a/b@c", "see https://x.y, then a@b", "://", "x://@"] {
            let same = text.replace("://@", "://<secret>@");
            assert_eq!(without_credentials(text), same);
        }
    }
}
