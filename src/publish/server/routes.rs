//! What each path answers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode, Uri};

use super::super::encode::Exposition;
use super::super::query::Query;
use super::super::shared::Shared;
use super::super::{api, page};

/// Bodies below this are not worth compressing.
const GZIP_FROM: usize = 1024;

/// An answer in one piece.
pub(super) type Answer = Response<Full<Bytes>>;

/// An answer before it is compressed.
struct Page {
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    headers: Vec<(HeaderName, &'static str)>,
}

impl Page {
    fn new(content_type: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            body: body.into_bytes(),
            headers: Vec::new(),
        }
    }

    fn text(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            ..Self::new("text/plain; charset=utf-8", text.to_owned())
        }
    }

    fn json(text: String) -> Self {
        Self::new("application/json", text)
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn compressed(self) -> Self {
        if self.body.len() < GZIP_FROM {
            return self;
        }
        let mut encoder =
            GzEncoder::new(Vec::with_capacity(self.body.len() / 8), Compression::fast());
        match encoder
            .write_all(&self.body)
            .and_then(|()| encoder.finish())
        {
            Ok(body) => Self { body, ..self }.with(CONTENT_ENCODING, "gzip"),
            Err(_) => self,
        }
    }

    fn into_answer(self) -> Answer {
        let mut answer = Response::new(Full::new(Bytes::from(self.body)));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in self.headers {
            headers.insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

/// Answers a request from what is shared.
pub(super) fn answer(request: &Request<Incoming>, shared: &Shared) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let refused = Page::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are served here\n",
        );
        return refused.with(ALLOW, "GET, HEAD").into_answer();
    }
    let header = |name: HeaderName| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    };
    let page = page_of(request.uri(), header(ACCEPT), shared);
    let page = if accepts_gzip(header(ACCEPT_ENCODING)) {
        page.compressed()
    } else {
        page
    };
    let answer = page.into_answer();
    if request.method() == Method::HEAD {
        let (parts, _) = answer.into_parts();
        return Response::from_parts(parts, Full::default());
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
        "/-/ready" => ready(shared),
        "/" => {
            let html = page::render(&shared.charted(), page::Part::of(query));
            Page::new("text/html; charset=utf-8", html)
        }
        .with(CONTENT_SECURITY_POLICY, page::POLICY.as_str()),
        _ if path.starts_with("/api/") => api_page(path, query, shared),
        _ => Page::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn api_page(path: &str, query: Option<&str>, shared: &Shared) -> Page {
    let refused = |status, kind, message: &str| Page {
        status,
        ..Page::json(api::error(kind, message))
    };
    match api::data(path, &Query::parse(query), shared) {
        Some(Ok(data)) => Page::json(api::success(&data)),
        Some(Err(message)) => refused(StatusCode::BAD_REQUEST, "bad_data", &message),
        None => {
            let message = "no such path; see /api/v1/rules, alerts, signals, targets, status/config, status/buildinfo";
            refused(StatusCode::NOT_FOUND, "not_found", message)
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

fn ready(shared: &Shared) -> Page {
    match shared.readiness() {
        Ok(()) => Page::text(StatusCode::OK, "sidewatch is ready\n"),
        Err(why) => Page::text(StatusCode::SERVICE_UNAVAILABLE, why),
    }
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
