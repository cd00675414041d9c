//! What a request has to pass before it is answered, and what every answer gets on its way out.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::task::yield_now;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::answers::Answers;
use super::connections::{Busy, Connection, Connections};
use super::counters::{Http, Rejected};
use super::embedded::MAX_BODY;
use super::held::Held;
use super::routes::Answer;
use super::web::{Active, Live, Login, Passwords};

/// Answers one request.
pub(super) type Respond = dyn Fn(Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync;

/// The way in and out of one listener.
pub(super) struct Gate {
    respond: Arc<Respond>,
    live: Option<Arc<Live>>,
    passwords: Passwords,
    connections: Arc<Connections>,
    answers: Arc<Answers>,
    counters: Http,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate before these answers; without a web configuration everybody may ask.
    pub(super) fn new(
        respond: Arc<Respond>,
        live: Option<Arc<Live>>,
        connections: Arc<Connections>,
        counters: Http,
    ) -> Self {
        Self {
            respond,
            live,
            passwords: Passwords::new(),
            connections,
            answers: Arc::default(),
            counters,
        }
    }

    /// What counts for this listener.
    pub(super) fn counters(&self) -> &Http {
        &self.counters
    }

    /// TLS as it is now.
    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        let active = self.live.as_ref()?.active();
        active.web.tls.as_ref().map(super::web::Acceptor::acceptor)
    }

    /// Checks a request and has it answered.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> Response<Held> {
        let busy = connection.began();
        // Whoever sends one request after the other without waiting takes turns with everybody else.
        yield_now().await;
        let active = self.live.as_ref().map(|live| live.active());
        let checked = self
            .check(&request, active.as_deref(), connection.from())
            .await;
        let mut answer = match checked {
            Err(rejected) => {
                self.counters.reject(rejected);
                refusal(rejected)
            }
            Ok(()) => {
                let answer = (self.respond)(request).await;
                match answer.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => self.counters.reject(Rejected::BodyTooLarge),
                    StatusCode::REQUEST_TIMEOUT => self.counters.reject(Rejected::BodyTimeout),
                    _ => {}
                }
                answer
            }
        };
        if let Some(active) = &active {
            active.web.headers.add_to(answer.headers_mut());
        }
        self.held(answer, connection, busy)
    }

    /// Accounts for the memory of an answer until it has been taken.
    fn held(&self, answer: Answer, connection: &Arc<Connection>, busy: Busy) -> Response<Held> {
        let bytes = answer.body().size_hint().exact().unwrap_or(0);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let hold = self.answers.hold(&self.connections, connection, bytes);
        let answer = if hold.is_some() {
            answer
        } else {
            self.counters.reject(Rejected::Overloaded);
            refusal(Rejected::Overloaded)
        };
        answer.map(|body| Held::new(body, busy, hold))
    }

    async fn check(
        &self,
        request: &Request<Incoming>,
        active: Option<&Active>,
        from: IpAddr,
    ) -> Result<(), Rejected> {
        if let Some(active) = active
            && !active.admits(Instant::now())
        {
            return Err(Rejected::RateLimited);
        }
        let host = host(request)?;
        if let Some(active) = active
            && !active.web.users.is_empty()
        {
            let (name, password) = credentials(request).ok_or(Rejected::Unauthorized)?;
            let users = &active.web.users;
            match self
                .passwords
                .compare(users, (&name, &password), from)
                .await
            {
                Login::Right => {}
                Login::Wrong => return Err(Rejected::Unauthorized),
                Login::Busy => return Err(Rejected::AuthBusy),
            }
        }
        if is_cross_site(request, host.as_ref()) {
            return Err(Rejected::CrossSite);
        }
        let length = text(request, &CONTENT_LENGTH).parse::<u64>();
        if length.is_ok_and(|length| length > MAX_BODY as u64) {
            return Err(Rejected::BodyTooLarge);
        }
        Ok(())
    }
}

fn text<'a>(request: &'a Request<Incoming>, name: &HeaderName) -> &'a str {
    let value = request.headers().get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Whom the request is for. HTTP/1.1 needs exactly one `Host`, and it has to be a host.
fn host(request: &Request<Incoming>) -> Result<Option<Authority>, Rejected> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Rejected::Malformed);
    }
    match first {
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => match Authority::try_from(value.as_bytes()) {
            Ok(host) if !host.as_str().contains('@') => Ok(Some(host)),
            _ => Err(Rejected::Malformed),
        },
        None if request.version() == Version::HTTP_11 => Err(Rejected::Malformed),
        None => Ok(request.uri().authority().cloned()),
    }
}

/// Name and password of basic auth.
fn credentials(request: &Request<Incoming>) -> Option<(String, String)> {
    let (scheme, encoded) = text(request, &AUTHORIZATION).split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Whether a browser sends this for the page of another site. Reading is harmless: browsers keep the answer from
/// that page.
fn is_cross_site(request: &Request<Incoming>, host: Option<&Authority>) -> bool {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return false;
    }
    let Some(origin) = request.headers().get(ORIGIN) else {
        return false;
    };
    let origin = origin.to_str().unwrap_or("");
    let site = origin.split_once("://").map(|(_, site)| site);
    site.is_none() || site != host.map(Authority::as_str)
}

fn refusal(rejected: Rejected) -> Answer {
    let (status, body) = match rejected {
        Rejected::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized\n"),
        Rejected::AuthBusy => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many passwords are being compared, try again later\n",
        ),
        Rejected::RateLimited => (
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests, try again later\n",
        ),
        Rejected::Overloaded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many answers wait to be taken, try again later\n",
        ),
        Rejected::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"),
        Rejected::BodyTimeout | Rejected::StreamTimeout => {
            (StatusCode::REQUEST_TIMEOUT, "the request took too long\n")
        }
        Rejected::HeaderTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the head is too large\n",
        ),
        Rejected::Malformed => (StatusCode::BAD_REQUEST, "one valid Host is needed\n"),
        Rejected::CrossSite => (
            StatusCode::FORBIDDEN,
            "pages of other sites may not change anything here\n",
        ),
    };
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, plain);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Basic realm=\"sidewatch\", charset=\"UTF-8\"");
        headers.insert(WWW_AUTHENTICATE, scheme);
    }
    let later = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if later.contains(&status) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
