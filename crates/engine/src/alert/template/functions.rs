//! The functions a rule's template may call: Go's and Prometheus'.

use core::net::IpAddr;
use std::collections::BTreeMap;

use regex::Regex;

use crate::metric::{parse_duration, unanchored};

use super::length::check_length;
use super::value::Value;
use super::{Scope, compare, format, humanize};

/// Every function with the fewest and most arguments it takes.
const TABLE: [(&str, usize, usize); 49] = [
    ("and", 1, usize::MAX),
    ("or", 1, usize::MAX),
    ("not", 1, 1),
    ("len", 1, 1),
    ("index", 1, usize::MAX),
    ("slice", 1, 4),
    ("print", 0, usize::MAX),
    ("println", 0, usize::MAX),
    ("printf", 1, usize::MAX),
    ("html", 0, usize::MAX),
    ("js", 0, usize::MAX),
    ("urlquery", 0, usize::MAX),
    ("eq", 2, usize::MAX),
    ("ne", 2, 2),
    ("lt", 2, 2),
    ("le", 2, 2),
    ("gt", 2, 2),
    ("ge", 2, 2),
    ("query", 1, 1),
    ("first", 1, 1),
    ("label", 2, 2),
    ("value", 1, 1),
    ("strvalue", 1, 1),
    ("sortByLabel", 2, 2),
    ("args", 0, usize::MAX),
    ("tmpl", 2, 2),
    ("safeHtml", 1, 1),
    ("match", 2, 2),
    ("reReplaceAll", 3, 3),
    ("title", 1, 1),
    ("toUpper", 1, 1),
    ("toLower", 1, 1),
    ("graphLink", 1, 1),
    ("tableLink", 1, 1),
    ("stripPort", 1, 1),
    ("stripDomain", 1, 1),
    ("humanize", 1, 1),
    ("humanize1024", 1, 1),
    ("humanizeDuration", 1, 1),
    ("humanizePercentage", 1, 1),
    ("humanizeTimestamp", 1, 1),
    ("toTime", 1, 1),
    ("toDuration", 1, 1),
    ("toJson", 1, 1),
    ("now", 0, 0),
    ("pathPrefix", 0, 0),
    ("externalURL", 0, 0),
    ("parseDuration", 1, 1),
    ("urlQueryEscape", 1, 1),
];

pub(super) fn exists(name: &str) -> bool {
    TABLE.iter().any(|(known, ..)| *known == name)
}

pub(super) fn call(name: &str, arguments: &[Value], scope: &Scope<'_>) -> Result<Value, String> {
    if let Some((_, least, most)) = TABLE.iter().find(|(known, ..)| *known == name)
        && !(*least..=*most).contains(&arguments.len())
    {
        return Err(format!(
            "wrong number of arguments: want {least}, got {}",
            arguments.len()
        ));
    }
    let found = builtin(name, arguments)
        .or_else(|| strings(name, arguments))
        .or_else(|| numbers(name, arguments))
        .or_else(|| samples(name, arguments, scope))
        .or_else(|| links(name, arguments, scope));
    found.unwrap_or_else(|| Err(format!("function {name:?} is not defined")))
}

fn text(arguments: &[Value], at: usize) -> Result<&str, String> {
    match arguments.get(at) {
        Some(Value::Text(text)) => Ok(text),
        Some(other) => Err(format!(
            "wrong type for value; expected string; got {}",
            other.type_name()
        )),
        None => Err("an argument is missing".to_owned()),
    }
}

/// A number, or a text that reads as one.
fn number(arguments: &[Value]) -> Result<f64, String> {
    match arguments.first() {
        Some(Value::Float(f) | Value::Duration(f) | Value::Time(f)) => Ok(*f),
        #[expect(clippy::cast_precision_loss, reason = "Go converts the same way")]
        Some(Value::Int(n)) => Ok(*n as f64),
        Some(Value::Text(text)) => text
            .trim_start_matches('+')
            .parse()
            .map_err(|_| format!("can't convert {text:?} to a number")),
        other => Err(format!(
            "can't convert {} to float",
            other.map_or("nothing", Value::type_name)
        )),
    }
}

fn builtin(name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let ordered = |wanted: &[std::cmp::Ordering]| {
        let order = compare::order(arguments)?;
        Ok(Value::Bool(order.is_some_and(|o| wanted.contains(&o))))
    };
    match name {
        "not" => Some(Ok(Value::Bool(
            !arguments.first().is_some_and(Value::is_true),
        ))),
        "eq" => Some(compare::equal(arguments).map(Value::Bool)),
        "ne" => Some(compare::equal(arguments).map(|same| Value::Bool(!same))),
        "lt" => Some(ordered(&[Less])),
        "le" => Some(ordered(&[Less, Equal])),
        "gt" => Some(ordered(&[Greater])),
        "ge" => Some(ordered(&[Greater, Equal])),
        "len" => Some(length(arguments)),
        "index" => Some(index(arguments)),
        "slice" => Some(slice(arguments)),
        "print" => Some(Ok(Value::Text(print(arguments, false)))),
        "println" => Some(Ok(Value::Text(print(arguments, true)))),
        "printf" => Some(text(arguments, 0).map(|pattern| {
            Value::Text(format::sprintf(pattern, arguments.get(1..).unwrap_or(&[])))
        })),
        "html" => Some(Ok(Value::Text(html(&print(arguments, false))))),
        "js" => Some(Ok(Value::Text(js(&print(arguments, false))))),
        "urlquery" => Some(Ok(Value::Text(query_escape(&print(arguments, false))))),
        _ => None,
    }
}

/// Go's Sprint puts a space between operands when neither is a string, Sprintln always.
fn print(arguments: &[Value], line: bool) -> String {
    let mut out = String::new();
    for (at, value) in arguments.iter().enumerate() {
        let both_plain = at > 0
            && !matches!(value, Value::Text(_))
            && !matches!(arguments[at - 1], Value::Text(_));
        if at > 0 && (line || both_plain) {
            out.push(' ');
        }
        out.push_str(&value.print("<nil>"));
    }
    if line {
        out.push('\n');
    }
    out
}

fn length(arguments: &[Value]) -> Result<Value, String> {
    let length = match arguments.first() {
        Some(Value::Text(text)) => text.len(),
        Some(Value::Labels(labels)) => labels.len(),
        Some(Value::Map(map)) => map.len(),
        Some(Value::List(list)) => list.len(),
        other => {
            let kind = other.map_or("nothing", Value::type_name);
            return Err(format!("len of type {kind}"));
        }
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let (first, keys) = arguments.split_first().ok_or("index of untyped nil")?;
    keys.iter()
        .try_fold(first.clone(), |value, key| match (&value, key) {
            (Value::List(list), Value::Int(at)) => usize::try_from(*at)
                .ok()
                .and_then(|at| list.get(at).cloned())
                .ok_or_else(|| format!("index out of range: {at}")),
            (Value::Text(text), Value::Int(at)) => usize::try_from(*at)
                .ok()
                .and_then(|at| text.as_bytes().get(at))
                .map(|byte| Value::Int(i64::from(*byte)))
                .ok_or_else(|| format!("index out of range: {at}")),
            (Value::Labels(_) | Value::Map(_), Value::Text(key)) => value.field(key),
            _ => Err(format!("can't index item of type {}", value.type_name())),
        })
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let (first, bounds) = arguments.split_first().ok_or("slice of untyped nil")?;
    let mut at = [None, None];
    for (slot, bound) in at.iter_mut().zip(bounds) {
        let Value::Int(n) = bound else {
            let kind = bound.type_name();
            return Err(format!("cannot index slice with type {kind}"));
        };
        *slot = Some(usize::try_from(*n).map_err(|_| format!("index out of range: {n}"))?);
    }
    let range = |length: usize| at[0].unwrap_or(0)..at[1].unwrap_or(length);
    let part = if let Value::Text(text) = first {
        let part = text.get(range(text.len()));
        part.map(|part| Value::Text(part.to_owned()))
    } else if let Value::List(list) = first {
        let part = list.get(range(list.len()));
        part.map(|part| Value::List(part.to_vec()))
    } else {
        return Err(format!("can't slice item of type {}", first.type_name()));
    };
    part.ok_or_else(|| "index out of range".to_owned())
}

fn strings(name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let map = |f: &dyn Fn(&str) -> String| Some(text(arguments, 0).map(|t| Value::Text(f(t))));
    match name {
        "safeHtml" => map(&str::to_owned),
        "title" => map(&title),
        "toUpper" => map(&str::to_uppercase),
        "toLower" => map(&str::to_lowercase),
        "stripPort" => map(&strip_port),
        "stripDomain" => map(&strip_domain),
        "urlQueryEscape" => map(&query_escape),
        "toJson" => Some(Ok(Value::Text(arguments[0].to_json().to_string()))),
        "match" => Some(matches_pattern(arguments)),
        "reReplaceAll" => Some(replace_all(arguments)),
        _ => None,
    }
}

fn pattern(arguments: &[Value]) -> Result<Regex, String> {
    let text = text(arguments, 0)?;
    unanchored(text).map_err(|why| format!("bad regular expression {text:?}: {why}"))
}

fn matches_pattern(arguments: &[Value]) -> Result<Value, String> {
    let found = pattern(arguments)?.is_match(text(arguments, 1)?);
    Ok(Value::Bool(found))
}

fn replace_all(arguments: &[Value]) -> Result<Value, String> {
    let (pattern, with, text) = (
        pattern(arguments)?,
        text(arguments, 1)?,
        text(arguments, 2)?,
    );
    // A group is no longer than its match.
    let groups = with.matches('$').count();
    let (mut out, mut copied) = (String::new(), 0);
    for found in pattern.captures_iter(text) {
        let whole = found.get_match();
        out.push_str(text.get(copied..whole.start()).unwrap_or(""));
        check_length(out.len() + with.len() + groups.saturating_mul(whole.len()))?;
        found.expand(with, &mut out);
        copied = whole.end();
    }
    out.push_str(text.get(copied..).unwrap_or(""));
    Ok(Value::Text(out))
}

/// Every word's first letter in upper case, as Prometheus 3 has it, which takes words from Unicode
/// (UAX #29): a single `.`, `:` or apostrophe inside of a word does not end it.
fn title(text: &str) -> String {
    let (mut is_inside, mut was_mid) = (false, false);
    let titled = text.chars().map(|c| {
        let is_mid = is_mid_word(c);
        is_inside &= is_mid && !was_mid || c.is_alphanumeric() || c == '_';
        was_mid = is_mid;
        let is_first = !is_inside && (c.is_lowercase() || c.is_uppercase());
        is_inside |= is_first;
        if is_first {
            c.to_uppercase().next().unwrap_or(c)
        } else {
            c
        }
    });
    titled.collect()
}

/// Whether a character is `MidNumLet`, `MidLetter` or `Single_Quote` in Unicode's word boundaries.
fn is_mid_word(c: char) -> bool {
    matches!(
        c,
        '.' | ':'
            | '\''
            | '·'
            | '\u{387}'
            | '\u{55f}'
            | '\u{5f4}'
            | '\u{2018}'
            | '\u{2019}'
            | '\u{2024}'
            | '\u{2027}'
            | '\u{fe13}'
            | '\u{fe52}'
            | '\u{fe55}'
            | '\u{ff07}'
            | '\u{ff0e}'
            | '\u{ff1a}'
    )
}

/// Host and port, split as by Go's `net.SplitHostPort`.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').map(|host| (host, port));
    }
    (!host.contains(':') && !host.contains(['[', ']'])).then_some((host, port))
}

fn strip_port(text: &str) -> String {
    split_host_port(text)
        .map_or(text, |(host, _)| host)
        .to_owned()
}

fn strip_domain(text: &str) -> String {
    let (host, port) = match split_host_port(text) {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or(host);
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Escapes text as Go's `url.QueryEscape` does.
pub fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
}

fn js(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
        out
    })
}

fn numbers(name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let map = |f: fn(f64) -> String| Some(number(arguments).map(|n| Value::Text(f(n))));
    match name {
        "humanize" => map(humanize::humanize),
        "humanize1024" => map(humanize::humanize_1024),
        "humanizeDuration" => map(humanize::duration),
        "humanizePercentage" => map(humanize::percentage),
        "humanizeTimestamp" => Some(
            number(arguments)
                .and_then(humanize::timestamp)
                .map(Value::Text),
        ),
        "toTime" => Some(number(arguments).map(Value::Time)),
        "toDuration" => Some(number(arguments).map(Value::Duration)),
        "parseDuration" => Some(
            text(arguments, 0)
                .and_then(parse_duration)
                .map(|duration| Value::Float(duration.as_secs_f64())),
        ),
        _ => None,
    }
}

fn samples(name: &str, arguments: &[Value], scope: &Scope<'_>) -> Option<Result<Value, String>> {
    match name {
        "query" => Some(query(arguments, scope)),
        "first" => Some(match arguments.first() {
            Some(Value::List(list)) => list
                .first()
                .cloned()
                .ok_or_else(|| "first() called on vector with no elements".to_owned()),
            _ => Err("first() needs the result of a query".to_owned()),
        }),
        "label" => {
            Some(text(arguments, 0).and_then(|name| arguments[1].field("Labels")?.field(name)))
        }
        "value" => Some(arguments[0].field("Value")),
        "strvalue" => Some(
            arguments[0]
                .field("Labels")
                .and_then(|l| l.field("__value__")),
        ),
        "sortByLabel" => Some(sort_by_label(arguments)),
        "args" => {
            let named = (0..)
                .map(|i| format!("arg{i}"))
                .zip(arguments.iter().cloned());
            Some(Ok(Value::Map(named.collect::<BTreeMap<_, _>>())))
        }
        _ => None,
    }
}

fn query(arguments: &[Value], scope: &Scope<'_>) -> Result<Value, String> {
    let expression = text(arguments, 0)?;
    let answer = scope
        .query
        .ok_or("queries in templates are not available here")?;
    let samples = answer(expression, scope.at)?;
    let values = samples
        .into_iter()
        .map(|(labels, value)| Value::sample(labels, value));
    Ok(Value::List(values.collect()))
}

fn sort_by_label(arguments: &[Value]) -> Result<Value, String> {
    let (Value::Text(name), Value::List(list)) = (&arguments[0], &arguments[1]) else {
        return Err("a label's name and the result of a query are needed".to_owned());
    };
    let key = |value: &Value| {
        let label = value.field("Labels").and_then(|labels| labels.field(name));
        label.map(|label| label.print("")).unwrap_or_default()
    };
    let mut list = list.clone();
    list.sort_by_key(key);
    Ok(Value::List(list))
}

fn links(name: &str, arguments: &[Value], scope: &Scope<'_>) -> Option<Result<Value, String>> {
    let url = scope.context.external_url.as_str();
    let link = |tab: u8| {
        Some(text(arguments, 0).map(|expression| {
            Value::Text(format!(
                "/graph?g0.expr={}&g0.tab={tab}",
                query_escape(expression)
            ))
        }))
    };
    match name {
        "graphLink" => link(0),
        "tableLink" => link(1),
        "externalURL" => Some(Ok(Value::Text(url.to_owned()))),
        "pathPrefix" => {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("");
            Some(Ok(Value::Text(path.trim_end_matches('/').to_owned())))
        }
        "now" => Some(Ok(Value::Float(scope.at.as_secs_f64()))),
        _ => None,
    }
}
