//! `http_config`: credentials and headers, and the hosts to which they are sent.

use std::path::Path;
use std::time::Duration;

use sidewatch::internals::runtime::http::{
    Auth, Client, Header, Kind, OAuth2, Proxy, Response, Secret, Settings, Tls,
};
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const TIMEOUT: Duration = Duration::from_secs(20);

fn with_auth(auth: Auth) -> Client {
    Client::new(Settings {
        auth,
        ..Settings::default()
    })
}

async fn get(client: &Client, url: &str) -> Response {
    client.get(url, &[], TIMEOUT, 0).await.expect("an answer")
}

/// A server that answers 200 to everything.
async fn server() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    server
}

/// A header of each request received, "-" where it was absent.
async fn received(server: &MockServer, name: &str) -> Vec<String> {
    let requests = server.received_requests().await.expect("recording");
    requests
        .iter()
        .map(|request| {
            let value = request
                .headers
                .get(name)
                .map(|value| value.to_str().expect("text"));
            value.unwrap_or("-").to_owned()
        })
        .collect()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a writable directory");
}

#[tokio::test]
async fn a_password_file_is_read_for_every_request() {
    let (server, dir) = (server().await, tempfile::tempdir().unwrap());
    let file = dir.path().join("password");
    let client = with_auth(Auth::Basic {
        username: "user".into(),
        password: Secret::File(file.clone()),
    });
    write(&file, "one\n");
    get(&client, &server.uri()).await;
    write(&file, "  two ");
    get(&client, &server.uri()).await;
    // `user:one` and `user:two` in base64, by RFC 7617.
    let expected = ["Basic dXNlcjpvbmU=", "Basic dXNlcjp0d28="];
    assert_eq!(received(&server, "authorization").await, expected);
}

#[tokio::test]
async fn a_missing_secret_fails_that_request_only_and_names_the_file() {
    let (server, dir) = (server().await, tempfile::tempdir().unwrap());
    let file = dir.path().join("token");
    let client = with_auth(Auth::Authorization {
        scheme: "Bearer".to_owned(),
        credentials: Secret::File(file.clone()),
    });
    let error = client
        .get(&server.uri(), &[], TIMEOUT, 0)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.is_retryable()),
        (Kind::Credentials, true)
    );
    assert!(
        error.to_string().contains(&file.display().to_string()),
        "{error}"
    );
    write(&file, "abc\n");
    get(&client, &server.uri()).await;
    assert_eq!(received(&server, "authorization").await, ["Bearer abc"]);
}

#[tokio::test]
async fn a_token_with_a_newline_inside_is_refused_and_not_shown() {
    let client = with_auth(Auth::Authorization {
        scheme: "Bearer".to_owned(),
        credentials: "hunter\nx-evil: 1".into(),
    });
    let error = client
        .get("http://127.0.0.1:1/", &[], TIMEOUT, 0)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(
        !format!("{error} {error:?} {client:?}").contains("hunter"),
        "{error:?}"
    );
}

#[tokio::test]
async fn configured_headers_are_sent_with_every_value() {
    let server = server().await;
    let client = Client::new(Settings {
        headers: vec![Header {
            name: "X-Scope-OrgID".to_owned(),
            values: vec!["a".into(), "b".into()],
        }],
        ..Settings::default()
    });
    get(&client, &server.uri()).await;
    let request = &server.received_requests().await.unwrap()[0];
    let values: Vec<&str> = request
        .headers
        .get_all("x-scope-orgid")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(values, ["a", "b"]);
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host_even_back() {
    let (first, second) = (server().await, server().await);
    first.reset().await;
    let to_second = ResponseTemplate::new(302).insert_header("location", second.uri());
    Mock::given(path("/go"))
        .respond_with(to_second)
        .mount(&first)
        .await;
    Mock::given(path("/back"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&first)
        .await;
    second.reset().await;
    let back = format!("{}/back", first.uri());
    let to_first = ResponseTemplate::new(302).insert_header("location", back);
    Mock::given(method("GET"))
        .respond_with(to_first)
        .mount(&second)
        .await;
    let client = Client::new(Settings {
        auth: Auth::Authorization {
            scheme: "Bearer".to_owned(),
            credentials: "abc".into(),
        },
        headers: vec![Header {
            name: "x-key".to_owned(),
            values: vec!["k".into()],
        }],
        ..Settings::default()
    });
    let own = [
        ("x-signature", "s".to_owned()),
        ("accept", "text/plain".to_owned()),
    ];
    let go = format!("{}/go", first.uri());
    let response = client.get(&go, &own, TIMEOUT, 0).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(received(&first, "authorization").await, ["Bearer abc", "-"]);
    assert_eq!(received(&first, "x-key").await, ["k", "-"]);
    for name in ["authorization", "x-key", "x-signature"] {
        assert_eq!(received(&second, name).await, ["-"], "{name}");
    }
    assert_eq!(received(&second, "accept").await, ["text/plain"]);
}

#[tokio::test]
async fn a_long_answer_to_a_post_is_cut() {
    let server = MockServer::start().await;
    let long = ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 1 << 20]);
    Mock::given(method("POST"))
        .respond_with(long)
        .mount(&server)
        .await;
    let client = Client::new(Settings::default());
    let response = client
        .post_json(&server.uri(), &[], "{}", TIMEOUT)
        .await
        .unwrap();
    assert_eq!((response.status, response.body.len()), (200, 64 << 10));
}

fn oauth2(token_server: &MockServer, secret: Secret) -> Client {
    with_auth(Auth::OAuth2(Box::new(OAuth2 {
        client_id: "id:1".to_owned(),
        client_secret: secret,
        token_url: format!("{}/token", token_server.uri()),
        scopes: vec!["read".to_owned(), "write".to_owned()],
        endpoint_params: vec![("audience".to_owned(), "a b".to_owned())],
        tls: Tls::default(),
        proxy: Proxy::None,
    })))
}

fn token(word: &str) -> ResponseTemplate {
    let body =
        format!("{{\"access_token\":\"{word}\",\"token_type\":\"bearer\",\"expires_in\":3600}}");
    ResponseTemplate::new(200).set_body_raw(body, "application/json")
}

#[tokio::test]
async fn a_token_is_bought_once_and_again_when_the_secret_changes() {
    let (server, dir) = (server().await, tempfile::tempdir().unwrap());
    let file = dir.path().join("secret");
    let tokens = MockServer::start().await;
    Mock::given(path("/token"))
        .and(body_string_contains(
            "grant_type=client_credentials&scope=read+write&audience=a+b",
        ))
        // `id%3A1:one` in base64: RFC 6749, 2.3.1 form-encodes both parts first.
        .and(header("authorization", "Basic aWQlM0ExOm9uZQ=="))
        .respond_with(token("first"))
        .expect(1)
        .mount(&tokens)
        .await;
    Mock::given(header("authorization", "Basic aWQlM0ExOnR3bw=="))
        .respond_with(token("second"))
        .expect(1)
        .mount(&tokens)
        .await;
    let client = oauth2(&tokens, Secret::File(file.clone()));
    write(&file, "one");
    get(&client, &server.uri()).await;
    get(&client, &server.uri()).await;
    write(&file, "two");
    get(&client, &server.uri()).await;
    let expected = ["Bearer first", "Bearer first", "Bearer second"];
    assert_eq!(received(&server, "authorization").await, expected);
}

#[tokio::test]
async fn a_token_server_that_wants_the_secret_in_the_form_gets_it_there() {
    let (server, tokens) = (server().await, MockServer::start().await);
    Mock::given(body_string_contains("client_id=id%3A1&client_secret=one"))
        .respond_with(token("formed"))
        .with_priority(1)
        .mount(&tokens)
        .await;
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(401))
        .mount(&tokens)
        .await;
    get(&oauth2(&tokens, "one".into()), &server.uri()).await;
    assert_eq!(received(&server, "authorization").await, ["Bearer formed"]);
}

#[tokio::test]
async fn a_token_whose_lifetime_no_clock_can_hold_is_used() {
    for lifetime in ["1e19", "9.2e18", "1e300", "-1", "null"] {
        let (server, tokens) = (server().await, MockServer::start().await);
        let body = format!("{{\"access_token\":\"long\",\"expires_in\":{lifetime}}}");
        Mock::given(path("/token"))
            .respond_with(ResponseTemplate::new(200).set_body_raw(body, "application/json"))
            .expect(1)
            .mount(&tokens)
            .await;
        let client = oauth2(&tokens, "one".into());
        get(&client, &server.uri()).await;
        get(&client, &server.uri()).await;
        let expected = ["Bearer long", "Bearer long"];
        assert_eq!(
            received(&server, "authorization").await,
            expected,
            "{lifetime}"
        );
    }
}

#[tokio::test]
async fn a_secret_file_without_end_is_read_up_to_the_limit() {
    let server = server().await;
    let client = with_auth(Auth::Authorization {
        scheme: "Bearer".to_owned(),
        credentials: Secret::File("/dev/zero".into()),
    });
    let failed = client.get(&server.uri(), &[], TIMEOUT, 0).await;
    let message = failed.unwrap_err().to_string();
    assert!(
        message.contains("more than the limit of 1048576 bytes"),
        "{message}"
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_a_credentials_error() {
    let (server, tokens) = (server().await, MockServer::start().await);
    let client = oauth2(&tokens, "hunter2".into());
    let error = client
        .get(&server.uri(), &[], TIMEOUT, 0)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    let message = error.to_string();
    assert!(
        message.contains("/token") && message.contains("answered 404"),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
    assert_eq!(
        received(&server, "authorization").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_proxy_is_asked_for_everything_but_its_exceptions() {
    let (proxy, direct) = (server().await, server().await);
    let port = direct.address().port();
    let settings = |no_proxy: &str| Settings {
        proxy: Proxy::Url {
            url: proxy.uri().as_str().into(),
            no_proxy: no_proxy.to_owned(),
            connect_headers: Vec::new(),
        },
        ..Settings::default()
    };
    get(&Client::new(settings("")), "http://model.test/metrics").await;
    let url = format!("http://127.0.0.1:{port}/metrics");
    get(&Client::new(settings("127.0.0.0/8")), &url).await;
    assert_eq!(received(&proxy, "host").await, ["model.test"]);
    assert_eq!(received(&direct, "host").await.len(), 1);
}

#[tokio::test]
async fn an_impossible_address_is_an_error_of_the_request() {
    let client = Client::new(Settings::default());
    for url in ["", "metrics", "ftp://host/", "http://", "unix:/socket"] {
        let error = client.get(url, &[], TIMEOUT, 0).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (Kind::Request, false),
            "{url}"
        );
    }
}
