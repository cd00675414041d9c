//! The text of a file as it may be shown: the same lines, without secrets.

use super::yaml::{Scalar, scalars};

/// What stands where a secret stood, as Prometheus writes it.
const HIDDEN: &str = "<secret>";
/// Keys whose value is a secret.
const KEYS: [&str; 7] = [
    "password",
    "credentials",
    "bearer_token",
    "client_secret",
    "secret",
    "key",
    "secrets",
];
/// Keys below which every value may be one.
const SECTIONS: [&str; 3] = ["http_headers", "proxy_connect_header", "endpoint_params"];
/// A comment with one of these words may be a secret that was used once.
const SUSPECT: [&str; 7] = [
    "passw",
    "secret",
    "token",
    "credential",
    "key:",
    "bearer",
    "basic",
];

/// A configuration file without secrets, line for line.
pub(super) fn settings(text: &str) -> String {
    let Some(scalars) = scalars(text) else {
        return HIDDEN.to_owned();
    };
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
            // Two scalars never overlap; if they did, nothing could be trusted.
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

/// Any other text: the user information of its URLs is all that may be secret.
#[must_use]
pub fn without_credentials(text: &str) -> String {
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

fn is_secret(path: &[String]) -> bool {
    let named = path.iter().rev().find(|key| !key.is_empty());
    named.is_some_and(|key| KEYS.contains(&key.as_str()))
        || path.iter().any(|key| SECTIONS.contains(&key.as_str()))
}

/// As many lines as before, so that every other line keeps its number.
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

/// What stands between two scalars: structure, which stays, and comments, which stay when they are harmless.
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
    fn a_url_without_user_information_stays_as_it_is() {
        for text in ["http://a/b@c", "see https://x.y, then a@b", "://", "x://@"] {
            let same = text.replace("://@", "://<secret>@");
            assert_eq!(without_credentials(text), same);
        }
    }
}
