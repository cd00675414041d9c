//! What each path answers.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue, LOCATION, VARY,
};
use hyper::{Method, Request};

use super::super::encode::Exposition;
use super::super::query::Query;
use super::super::shared::Shared;
use super::super::{api, page};
use super::gate::READ_BY_POST;
use super::renderer::{Asked, Rendered};
use super::reply::{Answer, Reply};

/// Bodies below this are not worth compressing.
const GZIP_FROM: usize = 1024;

/// The answer to a request that needs no rendering; `None` for one that does.
pub(super) fn at_once(request: &Request<Incoming>, shared: &Shared) -> Option<Answer> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = Answer::from(Reply::text(405, "only GET and HEAD are served here\n"));
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allowed);
        return Some(answer);
    }
    let (path, query) = (request.uri().path(), request.uri().query());
    if let Some(location) = location(path, query, shared) {
        return Some(without_body(redirect(&location), request.method()));
    }
    let reply = match request.uri().path() {
        "/-/healthy" => Reply::text(200, "sidewatch is healthy\n"),
        "/-/ready" => match shared.readiness() {
            Ok(()) => Reply::text(200, "sidewatch is ready\n"),
            Err(reason) => Reply::text(503, reason),
        },
        "/" | "/metrics" => return None,
        path if path.starts_with("/api/") || path.starts_with("/signal/") => return None,
        _ => Reply::text(404, "not found\n"),
    };
    Some(without_body(reply.into(), request.method()))
}

/// An answer without its body for a HEAD.
fn without_body(answer: Answer, method: &Method) -> Answer {
    if method == Method::HEAD {
        return answer.map(|_| Full::default());
    }
    answer
}

/// Renders a page from what is shared, which takes time.
pub(super) fn render(asked: &Asked, shared: &Shared) -> Rendered {
    let reply = page_of(asked, shared);
    let gzip = reply.body.len() >= GZIP_FROM && asked.gzip;
    let compressed = gzip.then(|| compress(reply.body.as_bytes()));
    let (status, mut headers) = (reply.status, reply.headers());
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if asked.uri.path() == "/" || asked.uri.path().starts_with("/signal/") {
        let policy = HeaderValue::from_static(page::POLICY.as_str());
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    let body = match compressed {
        Some(Ok(compressed)) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            compressed.into()
        }
        _ => reply.body.into(),
    };
    Rendered {
        status,
        headers,
        body,
    }
}

/// Where the pages of Prometheus' interface are on the status page; `None` for other paths. Alerts
/// link to `/graph`, the page for an expression. The location is relative, so that the prefix of a
/// proxy stays.
fn location(path: &str, query: Option<&str>, shared: &Shared) -> Option<String> {
    match path {
        "/graph" => Some(page::link(&Query::parse(query), &shared.snapshot())),
        "/query" => Some("./".to_owned()),
        "/alerts" | "/rules" | "/targets" => Some(format!("./#{}", path.trim_start_matches('/'))),
        _ => None,
    }
}

fn redirect(location: &str) -> Answer {
    let mut answer = Answer::from(Reply::text(302, "the status page shows this\n"));
    if let Ok(location) = HeaderValue::try_from(location) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn page_of(asked: &Asked, shared: &Shared) -> Reply {
    let (path, query) = (asked.uri.path(), asked.uri.query());
    match path {
        "/metrics" => {
            let format = Exposition::negotiate(&asked.accept);
            Reply::new(200, format.content_type(), shared.metrics(format))
        }
        "/" => {
            let part = if asked.foreign {
                page::Part::Live
            } else {
                page::Part::of(query)
            };
            let html = page::render(&shared.charted(), part);
            Reply::new(200, "text/html; charset=utf-8", html)
        }
        _ => match path.strip_prefix("/signal/") {
            Some(id) => signal_page(id, shared),
            None => api_page(path, query, shared),
        },
    }
}

/// The page of a signal, or with `.json` at its end the same as data.
fn signal_page(id: &str, shared: &Shared) -> Reply {
    let snapshot = shared.charted();
    let (id, is_json) = id
        .strip_suffix(".json")
        .map_or((id, false), |id| (id, true));
    let mut signals = snapshot.signals.iter();
    let found = signals.find(|signal| page::anchor(signal) == id);
    match (found, is_json) {
        (Some(signal), false) => {
            let html = page::signal(&snapshot, signal, shared.day(signal));
            Reply::new(200, "text/html; charset=utf-8", html)
        }
        (Some(signal), true) => {
            let data = api::signal(&snapshot, signal, &shared.day(signal));
            Reply::new(200, "application/json", api::success(&data))
        }
        (None, false) => Reply::text(404, "no such signal now; the status page lists all\n"),
        (None, true) => {
            let message = "no such signal; see /api/v1/signals";
            Reply::new(404, "application/json", api::error("not_found", message))
        }
    }
}

fn api_page(path: &str, query: Option<&str>, shared: &Shared) -> Reply {
    // The control answers these as soon as it is there.
    if READ_BY_POST.contains(&path)
        && let Err(reason) = shared.readiness()
    {
        let body = api::error("unavailable", reason.trim_end());
        return Reply::new(503, "application/json", body);
    }
    let (status, body) = match api::data(path, &Query::parse(query), shared) {
        Some(Ok(data)) => (200, api::success(&data)),
        Some(Err(message)) => (400, api::error("bad_data", &message)),
        None => {
            let message = "no such path; see /api/v1/rules, alerts, signals, targets, query, query_range, series, labels, metadata, status/config, status/buildinfo";
            (404, api::error("not_found", message))
        }
    };
    Reply::new(status, "application/json", body)
}

/// `gzip` or `*`, unless its weight is 0.
pub(super) fn accepts_gzip(header: &str) -> bool {
    let mut any = false;
    for coding in header.split(',') {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let wanted = weight.is_none_or(|q| q.trim().parse::<f64>().is_ok_and(|q| q > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        any |= name == "*" && wanted;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::accepts_gzip;

    #[test]
    fn the_weight_decides_whether_a_body_is_compressed() {
        for (header, wanted) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("gzip;q=0, *;q=1", false),
            ("*", true),
            ("*;q=0", false),
            ("identity", false),
            ("", false),
            ("gzip;q=x", false),
        ] {
            assert_eq!(accepts_gzip(header), wanted, "{header}");
        }
    }
}
