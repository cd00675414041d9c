//! What each path answers.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue,
    LOCATION, VARY,
};
use hyper::{Method, Request, Uri};

use super::super::encode::Exposition;
use super::super::query::Query;
use super::super::shared::Shared;
use super::super::{api, page};
use super::gate::header;
use super::reply::{Answer, Reply};

/// Bodies below this are not worth compressing.
const GZIP_FROM: usize = 1024;

/// Answers a request from what is shared.
pub(super) fn answer(request: &Request<Incoming>, shared: &Shared) -> Answer {
    let is_head = request.method() == Method::HEAD;
    if request.method() != Method::GET && !is_head {
        let mut answer = Answer::from(Reply::text(405, "only GET and HEAD are served here\n"));
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allowed);
        return answer;
    }
    if request.uri().path() == "/graph" {
        return graph(request.uri().query(), shared);
    }
    let reply = page_of(request.uri(), header(request, &ACCEPT), shared);
    let gzip = reply.body.len() >= GZIP_FROM && accepts_gzip(header(request, &ACCEPT_ENCODING));
    let compressed = gzip.then(|| compress(reply.body.as_bytes()));
    let mut answer = Answer::from(reply);
    let headers = answer.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if request.uri().path() == "/" {
        let policy = HeaderValue::from_static(page::POLICY.as_str());
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    if let Some(Ok(compressed)) = compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        *answer.body_mut() = Full::from(compressed);
    }
    if is_head {
        return answer.map(|_| Full::default());
    }
    answer
}

/// Prometheus' page for an expression, to which alerts link: the status page, at the rule. The
/// location is relative, so that the prefix of a proxy stays.
fn graph(query: Option<&str>, shared: &Shared) -> Answer {
    let location = page::link(&Query::parse(query), &shared.snapshot());
    let mut answer = Answer::from(Reply::text(302, "the status page shows the rules\n"));
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

fn page_of(uri: &Uri, accept: &str, shared: &Shared) -> Reply {
    let (path, query) = (uri.path(), uri.query());
    match path {
        "/metrics" => {
            let format = Exposition::negotiate(accept);
            Reply::new(200, format.content_type(), shared.metrics(format))
        }
        "/-/healthy" => Reply::text(200, "sidewatch is healthy\n"),
        "/-/ready" => match shared.readiness() {
            Ok(()) => Reply::text(200, "sidewatch is ready\n"),
            Err(reason) => Reply::text(503, reason),
        },
        "/" => {
            let html = page::render(&shared.charted(), page::Part::of(query));
            Reply::new(200, "text/html; charset=utf-8", html)
        }
        _ if path.starts_with("/api/") => api_page(path, query, shared),
        _ => Reply::text(404, "not found\n"),
    }
}

fn api_page(path: &str, query: Option<&str>, shared: &Shared) -> Reply {
    let (status, body) = match api::data(path, &Query::parse(query), shared) {
        Some(Ok(data)) => (200, api::success(&data)),
        Some(Err(message)) => (400, api::error("bad_data", &message)),
        None => {
            let message = "no such path; see /api/v1/rules, alerts, signals, targets, status/config, status/buildinfo";
            (404, api::error("not_found", message))
        }
    };
    Reply::new(status, "application/json", body)
}

/// `gzip` or `*`, unless its weight is 0.
fn accepts_gzip(header: &str) -> bool {
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
