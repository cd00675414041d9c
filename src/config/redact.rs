//! Redacts the secrets of a file, line for line.

use std::collections::BTreeSet;

use super::settings::Settings;
use super::yaml::{Scalar, Scalars, scalars};
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

/// Redacts the secrets of a configuration file, line for line. What stands behind the first document
/// is not read as configuration, and is left out.
pub(super) fn settings(text: &str) -> String {
    let Some(Scalars { all, first_end }) = scalars(text) else {
        return HIDDEN.to_owned();
    };
    let keys = secret_keys(&Settings::description());
    let is_secret = |scalar: &Scalar| {
        !scalar.is_key && scalar.path.iter().any(|key| keys.contains(key.as_str()))
    };
    let secrets: Vec<&Scalar> = all.iter().filter(|scalar| is_secret(scalar)).collect();
    let is_hidden = |scalar: &Scalar| {
        let aliased = |secret: &&Scalar| secret.anchor.is_some() && secret.anchor == scalar.anchor;
        !scalar.is_alias && (is_secret(scalar) || secrets.iter().any(aliased))
    };
    let values: Vec<String> = secrets
        .iter()
        .map(|scalar| scalar.value.to_lowercase())
        .filter(|value| !value.is_empty())
        .collect();
    let Some(first) = text.get(..first_end) else {
        return HIDDEN.to_owned();
    };
    let mut out = redacted(first, &all, &is_hidden, &values);
    if text
        .get(first_end..)
        .is_some_and(|rest| !rest.trim().is_empty())
    {
        out.push_str(HIDDEN);
        out.push('\n');
    }
    out
}

/// Redacts a rule file or a file that rules name, where only URLs may hold a secret.
pub(super) fn rules(text: &str) -> String {
    match scalars(text) {
        Some(Scalars { all, .. }) => redacted(text, &all, &|_| false, &[]),
        None => HIDDEN.to_owned(),
    }
}

/// Writes a text with its scalars redacted by their place and meaning, and what stands between them
/// by its words.
fn redacted(
    text: &str,
    scalars: &[Scalar],
    is_hidden: &dyn Fn(&Scalar) -> bool,
    secrets: &[String],
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut was_hidden = false;
    for scalar in scalars
        .iter()
        .filter(|scalar| scalar.range.end <= text.len())
    {
        let (Some(between), Some(written)) = (
            text.get(at..scalar.range.start),
            text.get(scalar.range.clone()),
        ) else {
            // Two scalars never overlap; if they did, redaction would be unsafe.
            return HIDDEN.to_owned();
        };
        let between = comments(between, secrets, was_hidden);
        was_hidden = is_hidden(scalar);
        if was_hidden {
            out.push_str(without_properties(&between));
            out.push_str(&blank(written));
        } else {
            out.push_str(&between);
            out.push_str(&shown(scalar, written));
        }
        at = scalar.range.end;
    }
    let rest = text.get(at..).unwrap_or("");
    out.push_str(&comments(rest, secrets, was_hidden));
    out
}

/// A scalar as written, without the user information of its URLs.
fn shown(scalar: &Scalar, written: &str) -> String {
    if without_credentials(&scalar.value) == scalar.value {
        return written.to_owned();
    }
    let readable = without_credentials(written);
    let is_hidden = credentials(&scalar.value)
        .iter()
        .all(|secret| written.contains(secret) && !readable.contains(secret));
    // Escapes and line breaks may hide a URL's credentials from a look at the text.
    if is_hidden { readable } else { blank(written) }
}

/// What stands before a value, without its anchor and its tag, which may be a mistyped secret.
fn without_properties(between: &str) -> &str {
    let line = between.rfind('\n').map_or(0, |end| end + 1);
    let is_comment = between.get(line..).is_some_and(|rest| rest.contains('#'));
    let property = between.get(line..).and_then(|rest| rest.find(['&', '!']));
    match property {
        Some(start) if !is_comment => between.get(..line + start).unwrap_or(between),
        _ => between,
    }
}

/// Redacts any other text, where only the user information of URLs may be secret. A password may
/// hold quotes, brackets and commas, so an authority ends at a blank, `/`, `?` or `#` only.
#[must_use]
pub(crate) fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        rest = match user_of(after) {
            Some(user) => {
                out.push_str(HIDDEN);
                after.get(user.len()..).unwrap_or_default()
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// The user information of every URL in a text that has one.
fn credentials(text: &str) -> Vec<&str> {
    let behind = text.split("://").skip(1);
    behind
        .filter_map(user_of)
        .filter(|user| !user.is_empty())
        .collect()
}

/// What stands before the last `@` of an authority at the start of a text.
fn user_of(text: &str) -> Option<&str> {
    let end = |c: char| c.is_whitespace() || "/?#".contains(c);
    let authority = text.split(end).next().unwrap_or("");
    authority.rsplit_once('@').map(|(user, _)| user)
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

/// Redacts the text between two scalars: structure and harmless comments stay. A comment behind a
/// secret is never harmless; neither is a directive, which has no use here.
fn comments(between: &str, secrets: &[String], behind_secret: bool) -> String {
    let mut out = String::with_capacity(between.len());
    for line in between.split_inclusive('\n') {
        let line = &without_credentials(line);
        let is_directive = line.starts_with('%');
        let parts = if is_directive {
            Some(("", line.as_str()))
        } else {
            line.split_once('#')
        };
        let Some((before, comment)) = parts else {
            out.push_str(line);
            continue;
        };
        let lower = comment.to_lowercase();
        let harmless = !behind_secret
            && !is_directive
            && !SUSPECT.iter().any(|word| lower.contains(word))
            && !secrets.iter().any(|secret| lower.contains(secret));
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

    #[test]
    fn a_password_in_a_url_is_hidden_however_it_is_written() {
        let target =
            |url: &str| format!("scrape:\n  targets: [{{url: {url}, labels: {{a: b}}}}]\n");
        for url in [
            r#""http://u:a's3cret@h:1/m""#,
            r#""http://u:a,s3cret@h:1/m""#,
            r#""http://u:a}s3cret@h:1/m""#,
            r#""http://u:a]s3cret@h:1/m""#,
            r#""http://u:a<s3cret@h:1/m""#,
            r#""http://u:a`s3cret@h:1/m""#,
            r#""http://u:a\"s3cret@h:1/m""#,
            r#""http://u:s3cret\u0040h:1/m""#,
            r#""http:\u002f\u002fu:s3cret@h:1/m""#,
            r#""http://u:s3\x63ret@h:1/m""#,
            "\"http://u:s3cret\\\n      @h:1/m\"",
            "'http://u:a''s3cret@h:1/m'",
            "http://u:s3cret@h:1/m",
        ] {
            let text = target(url);
            for shown in [settings(&text), super::rules(&text)] {
                assert!(!shown.contains("cret@") && !shown.contains("s3"), "{shown}");
                assert!(shown.contains("targets: [{url: "), "{shown}");
                assert_eq!(shown.lines().count(), text.lines().count(), "{shown}");
            }
        }
        let key = r#"labels: {"http:\u002f\u002fu:s3cret@h": x}"#;
        assert!(!settings(key).contains("s3cret"));
    }

    #[test]
    fn what_is_no_part_of_the_configuration_is_left_out() {
        for text in [
            "model: {id: m}\n---\ns3cret: 1\n",
            "model: {id: m}\n...\n# s3cret\n",
            "model: {id: m}\n...\n---\n- s3cret\n",
            "%TAG ! tag:s3cret:\n---\nmodel: {id: m}\n",
            "model: {id: m, password: &s3cret x}\n",
            "model: {id: m, password: &s3cret }\n",
            "model: {id: m, password: !s3cret x}\n",
            "model:\n  id: m\n  password: |\n    x\n  # old one s3cret\n",
            "model: {id: m, password: S3cret} # was s3cRet\n",
        ] {
            let shown = settings(text);
            assert!(!shown.to_lowercase().contains("s3cret"), "{shown}");
            assert!(shown.contains("id: m"), "{shown}");
        }
        assert_eq!(settings("a: [\n"), "<secret>");
        assert_eq!(super::rules("a: [\n"), "<secret>");
        let two = "groups: []\n---\ngroups: []\n";
        assert_eq!(super::rules(two), two);
    }
}
