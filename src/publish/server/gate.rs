//! What a request has to pass before it is answered, and the configured headers of every answer.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Version};
use tokio::task::yield_now;

use super::body::{MAX_BODY, MAX_IN_PIECES, NOTIFICATIONS};
use super::counters::{Http, Rejected};
use super::hosts::Hosts;
use super::reply::{Answer, Reply};
use super::web::{Active, Login, Passwords, Reloader};

/// The path of the configuration, which only requests for a host of ours may read.
const CONFIGURATION: &str = "/api/v1/status/config";
/// Paths at which POST reads, with the parameters in its body, as Prometheus' clients do.
pub(super) const READ_BY_POST: [&str; 4] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/labels",
    "/api/v1/series",
];
/// How the page that makes a browser send a request is related to this server.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Marks a request whose host is none of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct ForeignHost;

/// Answers one request.
pub(super) type Service =
    Box<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Answer> + Send + Sync>;

/// Checks the requests of one listener.
pub(super) struct Gate {
    /// Answers what passes.
    pub(super) service: Service,
    /// TLS, users, headers and rate limit.
    pub(super) web: Arc<Reloader>,
    /// The names of this server.
    pub(super) hosts: Hosts,
    /// Compares passwords.
    pub(super) passwords: Passwords,
    /// Counts what does not pass.
    pub(super) counters: Http,
}

impl Gate {
    /// Checks a request and answers it.
    pub(super) async fn answer(&self, mut request: Request<Incoming>, from: IpAddr) -> Answer {
        // A client that sends requests without waiting for answers takes turns with the others.
        yield_now().await;
        let active = self.web.active();
        let mut answer = match self.check(&request, &active, from).await {
            Ok(is_foreign) => {
                if is_foreign {
                    request.extensions_mut().insert(ForeignHost);
                }
                (self.service)(request).await
            }
            Err(rejected) => {
                self.counters.reject(rejected);
                refusal(rejected)
            }
        };
        active.web.headers.add_to(answer.headers_mut());
        answer
    }

    /// Whether the host of an admitted request is foreign.
    async fn check(
        &self,
        request: &Request<Incoming>,
        active: &Active,
        from: IpAddr,
    ) -> Result<bool, Rejected> {
        if !active.is_within_rate() {
            return Err(Rejected::RateLimited);
        }
        let host = host(request)?;
        let users = &active.web.users;
        if !users.is_empty() {
            let (name, password) = credentials(request).ok_or(Rejected::Unauthorized)?;
            let login = self.passwords.compare(users, (&name, &password), from);
            match login.await {
                Login::Right => {}
                Login::Wrong => return Err(Rejected::Unauthorized),
                Login::Busy => return Err(Rejected::AuthBusy),
            }
        }
        let is_foreign = self.is_foreign(active, host.as_ref());
        let changes = !reads(request);
        if is_foreign && (changes || request.uri().path() == CONFIGURATION) {
            return Err(Rejected::ForeignHost);
        }
        if changes && self.is_cross_site(request, host.as_ref(), active.web.tls.is_some()) {
            return Err(Rejected::CrossSite);
        }
        let length = header(request, &CONTENT_LENGTH).parse::<u64>();
        let most = match request.uri().path() {
            NOTIFICATIONS => MAX_IN_PIECES,
            _ => MAX_BODY,
        };
        if length.is_ok_and(|length| length > most as u64) {
            return Err(Rejected::BodyTooLarge);
        }
        Ok(is_foreign)
    }

    /// Whether the host is none of ours. A page whose name was made to lead here has no password,
    /// and no certificate of ours fits its name.
    fn is_foreign(&self, active: &Active, host: Option<&Authority>) -> bool {
        let is_protected = active.web.tls.is_some() || !active.web.users.is_empty();
        !is_protected && !self.hosts.admit(host)
    }

    /// Whether a browser sends this for the page of another site. Reading is harmless: browsers
    /// keep the answer from that page.
    fn is_cross_site(
        &self,
        request: &Request<Incoming>,
        host: Option<&Authority>,
        tls: bool,
    ) -> bool {
        let own = |origin: &HeaderValue| {
            let origin = origin.to_str().unwrap_or("");
            self.hosts.is_own_origin(origin, host, tls)
        };
        let headers = request.headers();
        header(request, &SEC_FETCH_SITE) == "cross-site" || !headers.get_all(ORIGIN).iter().all(own)
    }
}

/// Whether a request changes nothing.
fn reads(request: &Request<Incoming>) -> bool {
    let method = request.method();
    method == Method::GET
        || method == Method::HEAD
        || (method == Method::POST && READ_BY_POST.contains(&request.uri().path()))
}

/// The text of a header; empty when it is missing or not ASCII.
pub(super) fn header<'a>(request: &'a Request<Incoming>, name: &HeaderName) -> &'a str {
    let value = request.headers().get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// The host that the request is for. HTTP/1.1 needs exactly one `Host`, and it has to be a host.
fn host(request: &Request<Incoming>) -> Result<Option<Authority>, Rejected> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => Err(Rejected::Malformed),
        (None, _) => Ok(request.uri().authority().cloned()),
        (Some(value), None) if value.is_empty() => Ok(None),
        (Some(value), None) => match Authority::try_from(value.as_bytes()) {
            Ok(host) if !host.as_str().contains('@') => Ok(Some(host)),
            _ => Err(Rejected::Malformed),
        },
        (Some(_), Some(_)) => Err(Rejected::Malformed),
    }
}

/// Name and password of basic authentication.
fn credentials(request: &Request<Incoming>) -> Option<(String, String)> {
    let (scheme, encoded) = header(request, &AUTHORIZATION).split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// The status and the text that a client gets.
pub(super) fn explained(rejected: Rejected) -> (u16, &'static str) {
    match rejected {
        Rejected::Unauthorized => (401, "unauthorized\n"),
        Rejected::AuthBusy => (
            429,
            "too many passwords are being compared, try again later\n",
        ),
        Rejected::RateLimited => (429, "too many requests, try again later\n"),
        Rejected::BodyTooLarge => (413, "the body is too large\n"),
        Rejected::BodyTimeout => (408, "the body took too long\n"),
        Rejected::BodyBudget => (
            503,
            "too many bodies of other requests are being read, try again later\n",
        ),
        Rejected::HeaderTooLarge => (431, "the head is too large\n"),
        Rejected::Malformed => (400, "one valid Host is needed\n"),
        Rejected::CrossSite => (403, "pages of other sites may not change anything here\n"),
        Rejected::ForeignHost => (
            403,
            "the Host of the request is none of this server's names; add it with --web.allowed-hosts\n",
        ),
    }
}

fn refusal(rejected: Rejected) -> Answer {
    let (status, text) = explained(rejected);
    let mut answer = Answer::from(Reply::text(status, text));
    if status == 401 {
        let scheme = HeaderValue::from_static("Basic realm=\"sidewatch\", charset=\"UTF-8\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    } else if status == 429 {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
