use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Discovery, DiscoveryStatus, Handle, Lookup};
use crate::runtime::dns::{Error, Question, Resolve, Resolved, refresh_delay};

/// Returns prepared answers in order, then repeats the last one; records the time of each call.
#[derive(Debug)]
struct Script {
    answers: Mutex<VecDeque<Result<Resolved, Error>>>,
    calls: Mutex<Vec<Instant>>,
}

impl Resolve for Script {
    fn resolve<'a>(&'a self, _: &'a Question) -> BoxFuture<'a, Result<Resolved, Error>> {
        self.calls.lock().unwrap().push(Instant::now());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front().unwrap()
        } else {
            answers[0].clone()
        };
        Box::pin(async move { answer })
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an alternative to failure() in a script"
)]
fn answer(hosts: &[u8], ttl: u64) -> Result<Resolved, Error> {
    let addresses = hosts
        .iter()
        .map(|host| SocketAddr::from(([10, 0, 0, *host], 8000)));
    Ok(Resolved {
        addresses: addresses.collect(),
        ttl: (!hosts.is_empty()).then_some(Duration::from_secs(ttl)),
    })
}

fn failure() -> Result<Resolved, Error> {
    Err(Error {
        name: "fraud:8000".to_owned(),
        reason: "no answer".to_owned(),
    })
}

fn question(host: &str) -> Question {
    Question {
        host: host.to_owned(),
        port: 8000,
        ..Question::default()
    }
}

fn lookup(host: &str) -> Lookup {
    Lookup {
        question: question(host),
        refresh: Duration::from_secs(30),
    }
}

/// Runs a script for `count` look-ups and returns the status after each and the delays in seconds.
async fn run(
    answers: Vec<Result<Resolved, Error>>,
    count: usize,
) -> (Vec<DiscoveryStatus>, Vec<u64>) {
    let script = Arc::new(Script {
        answers: Mutex::new(answers.into()),
        calls: Mutex::default(),
    });
    let resolver: Arc<dyn Resolve> = Arc::clone(&script) as _;
    let (mut handle, discovery) = Discovery::new(Some(lookup("fraud")), resolver);
    let stop = CancellationToken::new();
    let mut found = Vec::new();
    let listen = async {
        for _ in 0..count {
            assert!(handle.changed().await);
            found.push(handle.status());
        }
        stop.cancel();
    };
    tokio::join!(discovery.run(stop.clone()), listen);
    let calls = script.calls.lock().unwrap();
    let waits = calls.windows(2).map(|two| (two[1] - two[0]).as_secs());
    (found, waits.collect())
}

fn hosts(found: &DiscoveryStatus) -> Option<Vec<String>> {
    let addresses = found.addresses.as_ref()?;
    Some(addresses.iter().map(ToString::to_string).collect())
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_up_keeps_the_last_answer_and_is_counted() {
    let (found, waits) = run(
        vec![failure(), answer(&[1, 2], 60), failure(), answer(&[2], 60)],
        4,
    )
    .await;
    assert_eq!(hosts(&found[0]), None);
    assert_eq!((found[0].lookups, found[0].failures), (1, 1));
    let both = ["10.0.0.1:8000", "10.0.0.2:8000"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(hosts(&found[1]), Some(both.clone()));
    assert_eq!(hosts(&found[2]), Some(both));
    let error = "cannot resolve fraud:8000: no answer";
    assert_eq!(found[2].error.as_deref(), Some(error));
    assert_eq!(hosts(&found[3]), Some(vec!["10.0.0.2:8000".to_owned()]));
    assert_eq!((found[3].lookups, found[3].failures), (4, 2));
    assert_eq!(found[3].error, None);
    // The next look-up is 5 s after a failure, and after the refresh of 30 s for a TTL of 60 s.
    assert_eq!(waits, [5, 30, 5]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_an_answer() {
    let (found, _) = run(vec![answer(&[1], 60), answer(&[], 0)], 2).await;
    assert_eq!(hosts(&found[1]), Some(Vec::new()));
    assert_eq!(found[1].failures, 0);
}

#[tokio::test(start_paused = true)]
async fn records_are_looked_up_again_when_they_expire_but_not_too_often() {
    let (_, waits) = run(vec![answer(&[1], 12), answer(&[1], 0), answer(&[], 0)], 4).await;
    assert_eq!(waits, [12, 5, 30]);
    let hasty = Duration::from_secs(1);
    assert_eq!(refresh_delay(Some(Duration::ZERO), hasty), hasty);
}

#[tokio::test(start_paused = true)]
async fn a_new_name_is_looked_up_at_once_and_drops_the_old_addresses() {
    let script = Script {
        answers: Mutex::new(vec![answer(&[1], 60), failure()].into()),
        calls: Mutex::default(),
    };
    let (mut handle, discovery) = Discovery::new(Some(lookup("fraud")), Arc::new(script));
    let stop = CancellationToken::new();
    let started = Instant::now();
    let listen = async {
        let next = async |handle: &mut Handle| {
            assert!(handle.changed().await);
            handle.status()
        };
        let first = next(&mut handle).await;
        assert_eq!(first.question, Some(question("fraud")));
        handle.reconfigure(Some(lookup("fraud")));
        handle.reconfigure(Some(lookup("credit")));
        let second = next(&mut handle).await;
        assert_eq!(second.question, Some(question("credit")));
        assert_eq!(second.addresses, None);
        assert!(started.elapsed() < Duration::from_secs(1));
        stop.cancel();
    };
    tokio::join!(discovery.run(stop.clone()), listen);
}
