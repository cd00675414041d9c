//! Redacts the secrets of a file, line for line.

use std::collections::BTreeSet;
use std::ops::Range;

use super::settings::Settings;
use super::yaml::{Scalar, Scalars, scalars};
use crate::describe::{Description, Keys, Kind};
use crate::runtime::http::known_origin;

/// The placeholder of a secret, as Prometheus writes it.
const HIDDEN: &str = "<secret>";
/// A comment with one of these words may hold an old secret.
const SUSPECT: [&str; 8] = [
    "passw",
    "secret",
    "token",
    "credential",
    "key:",
    "bearer",
    "basic",
    "hook",
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
    let addresses: Vec<&Scalar> = all.iter().filter(|scalar| is_hook(scalar)).collect();
    let is_address = |scalar: &Scalar| {
        let aliased = |hook: &&Scalar| hook.anchor.is_some() && hook.anchor == scalar.anchor;
        !scalar.is_alias
            && addresses
                .iter()
                .any(|hook| *hook == scalar || aliased(hook))
    };
    let values: Vec<String> = secrets
        .iter()
        .chain(&addresses)
        .map(|scalar| scalar.value.to_lowercase())
        .filter(|value| !value.is_empty())
        .collect();
    let Some(first) = text.get(..first_end) else {
        return HIDDEN.to_owned();
    };
    let meaning = |scalar: &Scalar| match scalar {
        _ if is_hidden(scalar) => Meaning::Secret,
        _ if is_address(scalar) => Meaning::Hook,
        _ => Meaning::Open,
    };
    let mut out = redacted(first, &all, &meaning, &values);
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
        Some(Scalars { all, .. }) => redacted(text, &all, &|_| Meaning::Open, &[]),
        None => HIDDEN.to_owned(),
    }
}

/// What of a scalar is hidden.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// All of it.
    Secret,
    /// All but scheme and host of the URL: the path of a webhook often holds a token.
    Hook,
    /// User, password, query and fragment of its URLs.
    Open,
}

/// Whether this is the URL of a webhook.
fn is_hook(scalar: &Scalar) -> bool {
    let is_below = scalar.path.iter().any(|key| key == "webhooks");
    is_below && !scalar.is_key && scalar.path.last().is_some_and(|key| key == "url")
}

/// Writes a text with its scalars redacted by their place and meaning, and what stands between them
/// by its words.
fn redacted(
    text: &str,
    scalars: &[Scalar],
    meaning: &dyn Fn(&Scalar) -> Meaning,
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
        let meaning = meaning(scalar);
        was_hidden = meaning != Meaning::Open;
        match meaning {
            Meaning::Secret => {
                out.push_str(without_properties(&between));
                out.push_str(&blank(written));
            }
            Meaning::Hook => {
                out.push_str(&between);
                let host = only_host(&scalar.value).filter(|_| !written.contains('\n'));
                out.push_str(&host.unwrap_or_else(|| blank(written)));
            }
            Meaning::Open => {
                out.push_str(&between);
                out.push_str(&shown(scalar, written));
            }
        }
        at = scalar.range.end;
    }
    let rest = text.get(at..).unwrap_or("");
    out.push_str(&comments(rest, secrets, was_hidden));
    out
}

/// A URL of which only scheme and host are shown; `None` if it is no URL.
fn only_host(url: &str) -> Option<String> {
    let origin = known_origin(url)?;
    let is_whole = [origin.clone(), format!("{origin}/")].contains(&url.to_owned());
    Some(if is_whole {
        url.to_owned()
    } else {
        format!("{origin}/{HIDDEN}")
    })
}

/// A scalar as written, without the secret parts of its URLs.
fn shown(scalar: &Scalar, written: &str) -> String {
    if without_credentials(&scalar.value) == scalar.value {
        return written.to_owned();
    }
    let readable = without_credentials(written);
    let is_hidden = credentials(&scalar.value).into_iter().all(|secret| {
        let secret = scalar.value.get(secret).unwrap_or_default();
        secret.is_empty() || (written.contains(secret) && !readable.contains(secret))
    });
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

/// Redacts any other text, where only parts of URLs may be secret: user and password, query and
/// fragment. A password may hold quotes, brackets and commas, so an authority ends at a blank, `/`,
/// `?` or `#` only, and a query at a blank or with the text.
#[must_use]
pub(crate) fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut shown = 0;
    for secret in credentials(text) {
        out.push_str(text.get(shown..secret.start).unwrap_or_default());
        out.push_str(HIDDEN);
        shown = secret.end;
    }
    out.push_str(text.get(shown..).unwrap_or_default());
    out
}

/// Where the secret parts of the URLs of a text are, in bytes.
fn credentials(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = text.get(at..).and_then(|rest| rest.find("://")) {
        at += begin + "://".len();
        let rest = text.get(at..).unwrap_or_default();
        if let Some(user) = user_of(rest) {
            found.push(at..at + user.len());
            at += user.len();
        }
        let rest = text.get(at..).unwrap_or_default();
        if let Some(query) = query_of(rest) {
            found.push(at + query.start..at + query.end);
            at += query.end;
        }
    }
    found
}

/// What stands before the last `@` of an authority at the start of a text.
fn user_of(text: &str) -> Option<&str> {
    let end = |c: char| c.is_whitespace() || "/?#".contains(c);
    let authority = text.split(end).next().unwrap_or("");
    authority.rsplit_once('@').map(|(user, _)| user)
}

/// Query and fragment of the URL whose authority starts a text, without the first `?` or `#`. The
/// quote that ends the text belongs to no query.
fn query_of(text: &str) -> Option<Range<usize>> {
    let word = text.split(char::is_whitespace).next().unwrap_or("");
    let end = match word.strip_suffix(['"', '\'']) {
        Some(quoted) if word.len() == text.trim_end().len() => quoted.len(),
        _ => word.len(),
    };
    let url = word.get(..end)?;
    let url = url.split("://").next().unwrap_or("");
    let begin = url.find(['?', '#'])? + 1;
    (begin < end).then_some(begin..end)
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
  # - url: https://hooks.example/s3cret-u
  - url: https://hooks.example/services/s3cret-v?x=s3cret-w   # s3cret-x
  - url: &address http://shown-host/s3cret-y
    oauth2: {client_id: id, token_url: "https://shown-tokens/path?tenant=s3cret-z", scopes: [a]}
backfill: {url: 'http://prom/path?s3cret-A'}
source: [http://prom/#s3cret-B, 'http://prom/p?a=s3cret-C', *address]
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
        for part in [
            "url: http://<secret>@127.0.0.1:8000/metrics  # harmless",
            "url: https://hooks.example/<secret>   # <secret>",
            "- url: http://shown-host/<secret>",
            "token_url: \"https://shown-tokens/path?<secret>\", scopes: [a]}",
            "backfill: {url: 'http://prom/path?<secret>'}",
            "source: [http://prom/#<secret>, 'http://prom/p?<secret>', *address]",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
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
    fn a_url_without_secret_parts_stays_as_it_is() {
        for text in [
            "http://a/b@c",
            "see https://x.y, then a@b?",
            "://",
            "x://@",
            "https?://a",
        ] {
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
    fn user_query_and_fragment_are_hidden_in_every_url_of_a_text() {
        for (text, expected) in [
            ("http://h/?s3cret", "http://h/?<secret>"),
            ("a http://h?s3cret#s3cret b", "a http://h?<secret> b"),
            (
                "http://s3cret:s3cret@h/p#s3cret",
                "http://<secret>@h/p#<secret>",
            ),
            (
                "http://h/http://s3cret@i/?s3cret",
                "http://h/http://<secret>@i/?<secret>",
            ),
            ("http://h/?a=http://s3cret@i/?s3cret", "http://h/?<secret>"),
            ("http://h/?q=\"s3cret\",s3cret", "http://h/?<secret>"),
            ("\"http://h/?s3cret\"", "\"http://h/?<secret>\""),
            (
                "http://h/?s3cret\nhttp://i/?s3cret",
                "http://h/?<secret>\nhttp://i/?<secret>",
            ),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[test]
    fn of_a_webhook_only_scheme_and_host_are_shown_however_its_url_is_written() {
        for url in [
            r#""https://h/s3cret""#,
            r#""https:\u002f\u002fh\u002fs3cret""#,
            "'https://h/s3cret?s3cret'",
            "!!str https://h/s3cret",
            "&a https://h/s3cret",
            "https://s3cret:s3cret@h/s3cret",
            "h/s3cret",
            ">-\n      https://h/s3cret",
        ] {
            let text = format!("retraining:\n  webhooks:\n  - url: {url}\n    name: n\n");
            let shown = settings(&text);
            assert!(!shown.contains("s3cret"), "{shown}");
            assert!(shown.ends_with("\n    name: n\n"), "{url}: {shown}");
            assert_eq!(shown.lines().count(), text.lines().count(), "{shown}");
        }
        let shared = "a: &h http://h/s3cret\nretraining: {webhooks: [{url: *h}]}\n";
        assert!(!settings(shared).contains("s3cret"));
        let plain = "retraining: {webhooks: [{url: http://argo:12000}]}\n";
        assert_eq!(settings(plain), plain);
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
