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
use super::super::shared::Shared;
use super::super::snapshot::Snapshot;
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
    let data = |read: fn(&Snapshot) -> serde_json::Value| {
        Page::json(api::success(&read(&shared.snapshot())))
    };
    match path {
        "/metrics" => {
            let format = Exposition::negotiate(accept);
            Page::new(format.content_type(), shared.metrics(format))
        }
        "/-/healthy" => Page::text(StatusCode::OK, "sidewatch is healthy\n"),
        "/-/ready" => ready(shared),
        "/" => {
            let html = page::render(&shared.snapshot(), page::Part::of(query));
            Page::new("text/html; charset=utf-8", html)
        }
        .with(CONTENT_SECURITY_POLICY, page::POLICY.as_str()),
        "/api/v1/rules" => data(api::rules),
        "/api/v1/alerts" => data(api::alerts),
        "/api/v1/signals" => data(api::signals),
        "/api/v1/targets" | "/api/v1/status/targets" => data(api::targets),
        "/api/v1/status/buildinfo" => data(api::build_info),
        _ => Page::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let coding = coding.trim();
        coding == "gzip" || (coding.starts_with("gzip;") && !coding.ends_with("q=0"))
    })
}

fn ready(shared: &Shared) -> Page {
    if shared.is_ready() {
        return Page::text(StatusCode::OK, "sidewatch is ready\n");
    }
    let why = if shared.is_stopping() {
        "sidewatch is stopping\n"
    } else {
        "the first evaluation is not done yet\n"
    };
    Page::text(StatusCode::SERVICE_UNAVAILABLE, why)
}
