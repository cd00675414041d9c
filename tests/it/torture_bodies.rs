//! Memory and punctuality while one target answers to do harm. `docs/evidence/security.md` shows the
//! table that `scripts/deep torture` prints.
//!
//! With `SIDEWATCH_BODY_SECONDS`, the time for each body, all bodies are tried; otherwise five, for
//! two seconds each.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::support::{Fake, Process, free_port, get_text, until};
use super::torture::{SOON, memory};

/// Bytes of an answer: head and body.
type Answer = Arc<[u8]>;

/// A target that gives the answers of a shape in turn.
struct Hostile {
    address: SocketAddr,
    answered: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Hostile {
    async fn start(shape: &Shape) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        let (answers, endless) = (shape.answers.clone(), shape.endless.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let turn = count.fetch_add(1, Ordering::SeqCst);
                let answer = Arc::clone(&answers[turn % answers.len()]);
                connections.spawn(serve(stream, answer, endless.clone()));
            }
        });
        Self {
            address,
            answered,
            _tasks: tasks,
        }
    }
}

/// Answers one request; an error means that the client has had enough.
async fn serve(mut stream: TcpStream, answer: Answer, endless: Option<Answer>) {
    let mut request = vec![0; 4096];
    if stream.read(&mut request).await.is_err() || stream.write_all(&answer).await.is_err() {
        return;
    }
    if let Some(more) = endless {
        while stream.write_all(&more).await.is_ok() {}
    }
}

/// One way to do harm.
struct Shape {
    name: &'static str,
    answers: Vec<Answer>,
    /// Repeated until the client goes.
    endless: Option<Answer>,
}

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";

fn answer(headers: &str, body: &[u8]) -> Answer {
    let head = format!("{HEAD}{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat().into()
}

fn plain(name: &'static str, body: &str) -> Shape {
    Shape {
        name,
        answers: vec![answer("", body.as_bytes())],
        endless: None,
    }
}

fn gzipped(name: &'static str, bodies: &[&[u8]]) -> Shape {
    let answers = bodies.iter();
    Shape {
        name,
        answers: answers
            .map(|body| answer("Content-Encoding: gzip\r\n", body))
            .collect(),
        endless: None,
    }
}

fn endless(name: &'static str, head: &str, more: &[u8]) -> Shape {
    Shape {
        name,
        answers: vec![head.as_bytes().into()],
        endless: Some(more.into()),
    }
}

fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for part in parts {
        encoder.write_all(part).unwrap();
    }
    encoder.finish().unwrap()
}

/// Text of a line for each number.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut body, number| {
        writeln!(body, "{}", line(number)).unwrap();
        body
    })
}

/// Equal lines behind another line each time, in 4 KB of gzip, and 40 MB of one line.
fn repeated() -> [Shape; 2] {
    let equal = b"x 1\n".repeat(1_000_000);
    let bodies =
        ["y 1\n", "y{n=\"2\"} 1\n", "z 1\n"].map(|first| gzip(&[first.as_bytes(), &equal]));
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    [
        gzipped("a million equal lines, 4 KB of gzip", &bodies),
        plain("40 MB of one line", &"accuracy 0.1\n".repeat(3_000_000)),
    ]
}

/// Streams of gzip of which nothing, or too much, comes out.
fn compressed() -> [Shape; 2] {
    let members = gzip(&[]).repeat(400_000);
    let zeros = vec![0; 1 << 20];
    let bomb = gzip(&vec![zeros.as_slice(); 1024]);
    [
        gzipped("8 MB of empty gzip members", &[&members]),
        gzipped("1 GiB of zeros in gzip", &[&bomb]),
    ]
}

/// Series and labels without measure.
fn series() -> Vec<Shape> {
    let labels: String = (0..80_000).fold(String::new(), |mut labels, n| {
        write!(labels, "l{n}=\"v\",").unwrap();
        labels
    });
    let value = "v".repeat(4_000);
    let mut nested = "instance".to_owned();
    let mut twins = String::new();
    for _ in 0..100 {
        write!(twins, "{nested}=\"v\",").unwrap();
        if nested.len() < 400 {
            nested = format!("exported_{nested}");
        } else {
            nested = format!("n{}", twins.len());
        }
    }
    vec![
        plain(
            "80,000 labels on one series",
            &format!("accuracy{{{labels}}} 0.1\n"),
        ),
        plain(
            "200,000 series of the rule, healthy",
            &lines(199_999, |n| format!("accuracy{{n=\"{n}\"}} 0.99")),
        ),
        plain(
            "2,500,000 series",
            &lines(2_500_000, |n| format!("accuracy{{n=\"{n}\"}} 0.99")),
        ),
        plain(
            "10,000 failing series",
            &lines(10_000, |n| format!("accuracy{{n=\"{n}\"}} 0.1")),
        ),
        plain(
            "1,000 failing series with 4 KB of label each",
            &lines(1_000, |n| {
                format!("accuracy{{n=\"{n}\",v=\"{value}\"}} 0.1")
            }),
        ),
        plain(
            "200 failing series with 100 labels of our names",
            &lines(200, |n| format!("accuracy{{n=\"{n}\",{twins}}} 0.1")),
        ),
        plain(
            "a histogram of 100,000 buckets",
            &lines(100_000, |n| format!("accuracy_bucket{{le=\"{n}\"}} {n}")),
        ),
    ]
}

/// Text that is not samples, and answers that do not end.
fn without_samples() -> Vec<Shape> {
    let head = format!("{HEAD}\r\n");
    let stream = b"unrelated 0.1\n".repeat(4_000);
    let informational = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(500);
    vec![
        plain(
            "50 MB of HELP",
            &format!("# HELP accuracy {}\naccuracy 0.1\n", "x".repeat(50 << 20)),
        ),
        plain(
            "1,500,000 lines of TYPE",
            &lines(1_500_000, |n| format!("# TYPE m{n} gauge")),
        ),
        endless("an endless body", &head, &stream),
        endless("endless headers", HEAD, &b"X-A: b\r\n".repeat(1_000)),
        endless("endless informational answers", "", &informational),
    ]
}

/// How the process did under one body.
struct Measured {
    name: &'static str,
    peak: u64,
    slowest: Duration,
    scrapes: usize,
    missed: usize,
}

const RULES: &str = "
groups:
- name: g
  rules:
  - watch: Low
    expr: accuracy
    strategy: {type: static, bound: 0.9, direction: below}
  - watch: Slow
    expr: histogram_quantile(0.9, sum by (le) (rate(accuracy_bucket[10s])))
    strategy: {type: static, bound: 5}
";

const INTERVAL: Duration = Duration::from_secs(1);

async fn measure(shape: &Shape, time: Duration) -> Measured {
    let hostile = Hostile::start(shape).await;
    let good = Fake::start(|| "accuracy 0.99\n".to_owned()).await;
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nmodel: {{id: fraud}}\nscrape:\n  targets:\n  \
         - {{url: \"http://{}/metrics\", labels: {{pod: hostile}}}}\n  \
         - {{url: \"http://{}/metrics\", labels: {{pod: good}}}}\nrule_files: [rules.yaml]\n",
        hostile.address, good.address
    );
    fs::write(dir.path().join("sidewatch.yaml"), config).unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let (main, health) = (free_port(), free_port());
    let args = [
        "run",
        "--config.file=sidewatch.yaml",
        &format!("--web.listen-address=127.0.0.1:{main}"),
        &format!("--web.health-listen-address=127.0.0.1:{health}"),
    ];
    let mut process = Process::sidewatch(&args, dir.path());
    let health = format!("http://127.0.0.1:{health}/-/healthy");
    until("health", SOON, async || get_text(&health).await).await;
    let mut slowest = Duration::ZERO;
    let (started, before) = (Instant::now(), good.attempts());
    let mut again = tokio::time::interval(Duration::from_millis(20));
    // The time, but at least one answer of each target; the hostile one may rest afterwards.
    let is_asked = || hostile.answered.load(Ordering::SeqCst) > 0 && good.attempts() > before;
    while started.elapsed() < time || !is_asked() {
        assert!(started.elapsed() < time + SOON, "{}", shape.name);
        again.tick().await;
        let asked = Instant::now();
        get_text(&health).await.unwrap();
        slowest = slowest.max(asked.elapsed());
    }
    let due = usize::try_from(started.elapsed().as_secs() / INTERVAL.as_secs()).unwrap();
    let scrapes = good.attempts() - before;
    let peak = memory(&process, "VmHWM");
    process.signal("TERM");
    assert!(process.ended(SOON).await.success(), "{}", shape.name);
    Measured {
        name: shape.name,
        peak,
        slowest,
        scrapes,
        missed: due.saturating_sub(scrapes),
    }
}

#[tokio::test]
async fn hostile_bodies_neither_fill_the_memory_nor_delay_health_and_other_targets() {
    let seconds = std::env::var("SIDEWATCH_BODY_SECONDS").map(|text| text.parse().unwrap());
    let mut shapes = vec![plain("an honest body", "accuracy 0.99\n")];
    shapes.extend(repeated());
    shapes.extend(compressed());
    if seconds.is_ok() {
        shapes.extend(series());
        shapes.extend(without_samples());
    }
    let time = Duration::from_secs(seconds.unwrap_or(2));
    eprintln!(
        "| answer | peak memory | slowest `/-/healthy` | scrapes of the other target | missed |"
    );
    eprintln!("|---|---|---|---|---|");
    for shape in shapes {
        let measured = measure(&shape, time).await;
        let Measured {
            name,
            peak,
            slowest,
            scrapes,
            missed,
        } = measured;
        let (mib, ms) = (peak >> 20, slowest.as_millis());
        eprintln!("| {name} | {mib} MiB | {ms} ms | {scrapes} | {missed} |");
        // Limits for a busy machine and a build without optimisation; the table has the figures.
        assert!(peak < PEAK, "{name}: {mib} MiB");
        assert!(slowest < Duration::from_secs(1), "{name}: {ms} ms");
        assert!(scrapes > 0, "{name}");
    }
}

/// Far below the 1 GiB that a bomb would fill.
const PEAK: u64 = 400 << 20;
