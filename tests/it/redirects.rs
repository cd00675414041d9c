//! Redirects of requests with a body: what arrives where, and what fails instead.

use std::sync::Arc;
use std::time::Duration;

use sidewatch::internals::notify::retrain::{Format, Webhook};
use sidewatch::internals::notify::{Error, RetrainingNotifier};
use sidewatch::internals::runtime::http::{
    self, Auth, Client, Header, Kind, OAuth2, Proxy, Settings, Tls,
};
use sidewatch_engine::alert::AlertState;
use sidewatch_engine::metric::Timestamp;
use sidewatch_engine::retrain::RetrainRequest;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::notify::{alert, http_client};

const TIMEOUT: Duration = Duration::from_secs(20);
const BODY: &str = r#"{"a":1}"#;

fn to(status: u16, location: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).insert_header("location", location)
}

/// A server that answers every request with this response.
async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    serve(&server, response).await;
    server
}

async fn serve(server: &MockServer, response: ResponseTemplate) {
    Mock::given(path("/go"))
        .respond_with(response)
        .mount(server)
        .await;
    Mock::given(path("/end"))
        .respond_with(ResponseTemplate::new(200))
        .mount(server)
        .await;
}

/// Method, path and length of the body of each request received.
async fn received(server: &MockServer) -> Vec<(String, String, usize)> {
    let requests = server.received_requests().await.unwrap();
    let seen = requests.iter().map(|request| {
        let (method, path) = (request.method.to_string(), request.url.path().to_owned());
        (method, path, request.body.len())
    });
    seen.collect()
}

fn post(path: &str) -> (String, String, usize) {
    ("POST".to_owned(), path.to_owned(), BODY.len())
}

async fn send(settings: Settings, server: &MockServer) -> Result<http::Response, http::Error> {
    let url = format!("{}/go", server.uri());
    let client = Client::new(settings);
    client.post_json(&url, &[], BODY, TIMEOUT).await
}

#[tokio::test]
async fn a_redirect_that_drops_the_body_of_a_post_is_a_failure_with_a_remedy() {
    let other = MockServer::start().await;
    for status in [301, 302, 303] {
        for target in [
            "/end?state=hidden".to_owned(),
            format!("{}/end", other.uri()),
        ] {
            let server = answering(to(status, &target)).await;
            let error = send(Settings::default(), &server).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Redirect);
            let target = match target.strip_prefix('/') {
                Some(_) => format!("{}/end", server.uri()),
                None => target,
            };
            let expected = format!(
                "{}/go: the redirect cannot be followed: status {status} redirects to {target}, which would turn the POST into a GET without its body; set the URL to {target} if the receiver is there",
                server.uri()
            );
            assert_eq!(error.to_string(), expected);
            assert!(Error::from(error).is_retryable());
            assert_eq!(received(&server).await, [post("/go")]);
        }
    }
    assert!(received(&other).await.is_empty());
}

#[tokio::test]
async fn a_post_goes_on_with_its_body_after_307_and_308() {
    for status in [307, 308] {
        let (server, other) = (MockServer::start().await, MockServer::start().await);
        serve(&server, to(status, "/end")).await;
        let response = send(Settings::default(), &server).await.unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(received(&server).await, [post("/go"), post("/end")]);
        let requests = server.received_requests().await.unwrap();
        assert_eq!(requests[1].headers["content-type"], "application/json");

        let first = answering(to(status, &format!("{}/end", other.uri()))).await;
        serve(&other, ResponseTemplate::new(500)).await;
        let response = send(Settings::default(), &first).await.unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(received(&other).await, [post("/end")]);
    }
}

#[tokio::test]
async fn the_answer_behind_a_redirect_is_the_answer_to_the_post() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(503)
        .insert_header("retry-after", "7")
        .set_body_string("busy\nnow");
    Mock::given(path("/go"))
        .respond_with(to(307, "/busy"))
        .mount(&server)
        .await;
    Mock::given(path("/busy"))
        .respond_with(busy)
        .mount(&server)
        .await;
    let response = send(Settings::default(), &server).await.unwrap();
    assert_eq!(response.retry_after, Some(Duration::from_secs(7)));
    assert!(response.is_retryable() && !response.is_success());
    assert_eq!(response.excerpt(), "busy now");
}

#[tokio::test]
async fn a_get_follows_every_redirect() {
    for status in [301, 302, 303, 307, 308] {
        let server = answering(to(status, "/end")).await;
        let url = format!("{}/go", server.uri());
        let response = http_client().get(&url, &[], TIMEOUT, 0).await.unwrap();
        assert_eq!(response.status, 200, "{status}");
    }
}

/// Every way to authenticate a request.
async fn credentials(token_server: &MockServer) -> Vec<(&'static str, Settings)> {
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"access_token": "abc"}"#))
        .mount(token_server)
        .await;
    let oauth2 = OAuth2 {
        client_id: "me".to_owned(),
        client_secret: "hush".into(),
        token_url: token_server.uri(),
        scopes: Vec::new(),
        endpoint_params: Vec::new(),
        tls: Tls::default(),
        proxy: Proxy::None,
    };
    let basic = Auth::Basic {
        username: "me".into(),
        password: "hush".into(),
    };
    let bearer = Auth::Authorization {
        scheme: "Bearer".to_owned(),
        credentials: "abc".into(),
    };
    let with_auth = |auth| Settings {
        auth,
        ..Settings::default()
    };
    let with_header = |name: &str| Settings {
        headers: vec![Header {
            name: name.to_owned(),
            values: vec!["hush".into()],
        }],
        ..Settings::default()
    };
    vec![
        ("basic", with_auth(basic)),
        ("bearer", with_auth(bearer)),
        ("oauth2", with_auth(Auth::OAuth2(Box::new(oauth2)))),
        ("own header", with_header("x-api-key")),
        ("cookie", with_header("cookie")),
    ]
}

#[tokio::test]
async fn an_authenticated_post_fails_instead_of_going_to_another_host() {
    let (tokens, other) = (MockServer::start().await, MockServer::start().await);
    serve(&other, ResponseTemplate::new(500)).await;
    for (name, settings) in credentials(&tokens).await {
        for status in [307, 308] {
            let away = answering(to(status, &format!("{}/end", other.uri()))).await;
            let error = send(settings.clone(), &away).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Redirect, "{name}");
            let text = error.to_string();
            let remedy = format!("set the URL to {}/end", other.uri());
            assert!(
                text.contains("to another host") && text.contains(&remedy),
                "{text}"
            );

            let stays = answering(to(status, "/end")).await;
            let response = send(settings.clone(), &stays).await.unwrap();
            assert_eq!(response.status, 200, "{name}");
            let requests = stays.received_requests().await.unwrap();
            for header in ["authorization", "x-api-key", "cookie"] {
                let sent = |at: usize| requests[at].headers.get(header);
                assert_eq!(sent(0), sent(1), "{name}");
            }
        }
    }
    assert!(received(&other).await.is_empty());
}

#[tokio::test]
async fn a_user_in_the_url_keeps_a_post_on_its_host() {
    let other = MockServer::start().await;
    let server = answering(to(307, &format!("{}/end", other.uri()))).await;
    let url = format!("{}/go", server.uri()).replace("http://", "http://me:hush@");
    let result = http_client().post_json(&url, &[], BODY, TIMEOUT).await;
    assert_eq!(result.unwrap_err().kind(), Kind::Redirect);
    assert!(received(&other).await.is_empty());
}

#[tokio::test]
async fn the_client_secret_of_a_token_request_stays_on_its_host() {
    let (tokens, other) = (MockServer::start().await, MockServer::start().await);
    let server = answering(ResponseTemplate::new(200)).await;
    let (_, settings) = credentials(&tokens).await.swap_remove(2);
    tokens.reset().await;
    // The first request has the secret in a header, the second in its body.
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(401))
        .up_to_n_times(1)
        .mount(&tokens)
        .await;
    Mock::given(method("POST"))
        .respond_with(to(307, &other.uri()))
        .mount(&tokens)
        .await;
    let error = send(settings, &server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Redirect);
    assert_eq!(received(&tokens).await.len(), 2);
    assert!(received(&other).await.is_empty());
}

fn request() -> RetrainRequest {
    let alert = alert("AccuracyDropped", AlertState::Firing, &[("team", "risk")]);
    let at = Timestamp::from_millis(1_700_000_090_000);
    RetrainRequest::new("k1".to_owned(), ("fraud", "7"), &alert, at)
}

fn webhook(server: &MockServer, format: Format) -> Webhook {
    Webhook {
        url: format!("{}/go", server.uri()).into(),
        format,
        secret: None,
        headers: Vec::new(),
        timeout: TIMEOUT,
        client: Arc::new(Client::new(Settings::default())),
    }
}

#[tokio::test]
async fn a_signed_request_fails_instead_of_arriving_unsigned_on_another_host() {
    let other = MockServer::start().await;
    serve(&other, ResponseTemplate::new(500)).await;
    let away = answering(to(307, &format!("{}/end", other.uri()))).await;
    let signed = Webhook {
        secret: Some("hush".into()),
        ..webhook(&away, Format::CloudEvents)
    };
    let error = signed.request(&request()).await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("a signature"),
        "{error}"
    );
    assert!(received(&other).await.is_empty());

    let stays = answering(to(307, "/end")).await;
    let signed = Webhook {
        secret: Some("hush".into()),
        ..webhook(&stays, Format::CloudEvents)
    };
    signed.request(&request()).await.unwrap();
    let requests = stays.received_requests().await.unwrap();
    let signature = |at: usize| requests[at].headers.get("x-hub-signature-256").unwrap();
    assert_eq!(signature(0), signature(1));
}

#[tokio::test]
async fn the_key_and_the_attributes_of_an_event_follow_it_to_another_host() {
    let other = MockServer::start().await;
    serve(&other, ResponseTemplate::new(500)).await;
    let away = answering(to(308, &format!("{}/end", other.uri()))).await;
    let hook = webhook(&away, Format::CloudEventsBinary);
    hook.request(&request()).await.unwrap();
    let arrived = &other.received_requests().await.unwrap()[0];
    for (name, value) in [
        ("idempotency-key", "k1"),
        ("ce-id", "k1"),
        ("ce-specversion", "1.0"),
    ] {
        assert_eq!(arrived.headers[name], value);
    }
}

#[tokio::test]
async fn a_login_page_behind_a_redirect_is_no_delivery() {
    let login = answering(ResponseTemplate::new(200)).await;
    let server = answering(to(302, &format!("{}/end", login.uri()))).await;
    let hook = webhook(&server, Format::CloudEvents);
    let error = hook.request(&request()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(received(&login).await.is_empty());
}
