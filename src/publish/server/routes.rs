//! What each path answers.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderName,
    HeaderValue, VARY,
};
use hyper::{Method, Request, StatusCode, Uri};

use super::super::encode::Exposition;
use super::super::query::Query;
use super::super::shared::Shared;
use super::super::{api, page};
use super::reply::{self, Answer, text};

/// Bodies below this are not worth compressing.
const GZIP_FROM: usize = 1024;

/// A page before it is compressed.
struct Page {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

impl Page {
    fn new(content_type: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            body,
        }
    }

    fn text(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            ..Self::new("text/plain; charset=utf-8", text.to_owned())
        }
    }

    fn json(status: StatusCode, text: String) -> Self {
        Self {
            status,
            ..Self::new("application/json", text)
        }
    }

    /// The answer, compressed when the client takes that and it is worth it.
    fn into_answer(self, gzip: bool) -> Answer {
        let compressed = gzip && self.body.len() >= GZIP_FROM;
        let compressed = compressed
            .then(|| compress(self.body.as_bytes()))
            .and_then(Result::ok);
        let is_compressed = compressed.is_some();
        let body = compressed.unwrap_or_else(|| self.body.into_bytes());
        let mut answer = reply::answer(self.status, self.content_type, body);
        let headers = answer.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if is_compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }
}

fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Answers a request from what is shared.
pub(super) fn answer(request: &Request<Incoming>, shared: &Shared) -> Answer {
    let is_head = request.method() == Method::HEAD;
    if request.method() != Method::GET && !is_head {
        let mut refused = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are served here\n",
        );
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let header = |name: HeaderName| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    };
    let page = page_of(request.uri(), header(ACCEPT), shared);
    let mut answer = page.into_answer(accepts_gzip(header(ACCEPT_ENCODING)));
    if request.uri().path() == "/" {
        let policy = HeaderValue::from_static(page::POLICY.as_str());
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    if is_head {
        return answer.map(|_| Full::default());
    }
    answer
}

fn page_of(uri: &Uri, accept: &str, shared: &Shared) -> Page {
    let (path, query) = (uri.path(), uri.query());
    match path {
        "/metrics" => {
            let format = Exposition::negotiate(accept);
            Page::new(format.content_type(), shared.metrics(format))
        }
        "/-/healthy" => Page::text(StatusCode::OK, "sidewatch is healthy\n"),
        "/-/ready" => match shared.readiness() {
            Ok(()) => Page::text(StatusCode::OK, "sidewatch is ready\n"),
            Err(why) => Page::text(StatusCode::SERVICE_UNAVAILABLE, why),
        },
        "/" => {
            let html = page::render(&shared.charted(), page::Part::of(query));
            Page::new("text/html; charset=utf-8", html)
        }
        _ if path.starts_with("/api/") => api_page(path, query, shared),
        _ => Page::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn api_page(path: &str, query: Option<&str>, shared: &Shared) -> Page {
    match api::data(path, &Query::parse(query), shared) {
        Some(Ok(data)) => Page::json(StatusCode::OK, api::success(&data)),
        Some(Err(message)) => Page::json(StatusCode::BAD_REQUEST, api::error("bad_data", &message)),
        None => {
            let message = "no such path; see /api/v1/rules, alerts, signals, targets, status/config, status/buildinfo";
            Page::json(StatusCode::NOT_FOUND, api::error("not_found", message))
        }
    }
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
