//! Standard error that stalls, is full or is closed costs lines of the log and nothing else, and a
//! limit of the size of files costs no process.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::{free_port, get_text, until, value_of};

const SOON: Duration = Duration::from_secs(30);

/// A child that is killed with the test.
struct Judge(Child);

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A judge that logs much, because its target is never there and has a long name.
fn start(dir: &Path, address: &str, log: Stdio) -> Judge {
    let target = format!("--target=http://127.0.0.1:1/{}", "long/".repeat(1000));
    std::fs::write(
        dir.join("rules.yaml"),
        "groups: [{name: g, rules: [{watch: Low, expr: accuracy, strategy: {type: static, bound: 0.9, direction: below}}]}]\n",
    )
    .unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args([
            "run",
            &target,
            "--rules=rules.yaml",
            "--scrape.interval=100ms",
            "--log.level=trace",
            &format!("--web.listen-address={address}"),
        ])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Judge(child)
}

/// Waits until lines were dropped, and then ends the process with SIGTERM.
async fn lives_on(mut judge: Judge, address: &str, what: &str) {
    let metrics = format!("http://{address}/metrics");
    until(what, SOON, async || {
        let page = get_text(&metrics).await?;
        match value_of(&page, &["sidewatch_log_lines_dropped_total"]) {
            Some(lines) if lines >= 10.0 => Ok(()),
            lines => Err(format!("{lines:?} lines dropped")),
        }
    })
    .await;
    get_text(&format!("http://{address}/-/healthy"))
        .await
        .unwrap();
    let pid = judge.0.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(sent.unwrap().success());
    let status = until(what, SOON, async || {
        judge.0.try_wait().unwrap().ok_or("still running")
    })
    .await;
    assert!(status.success(), "{what}: {status}");
}

#[tokio::test]
async fn a_pipe_that_is_never_read_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut judge = start(dir.path(), &address, Stdio::piped());
    let _unread = judge.0.stderr.take();
    lives_on(judge, &address, "with a pipe that is never read").await;
}

#[tokio::test]
async fn a_full_disk_under_the_log_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let full = File::options().write(true).open("/dev/full").unwrap();
    let judge = start(dir.path(), &address, full.into());
    lives_on(judge, &address, "with a full disk").await;
}

#[tokio::test]
async fn a_pipe_whose_reader_is_gone_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut judge = start(dir.path(), &address, Stdio::piped());
    drop(judge.0.stderr.take());
    lives_on(judge, &address, "with a pipe whose reader is gone").await;
}

#[test]
fn a_failed_command_ends_with_its_status_although_it_cannot_say_why() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(["run", "--config.file=/nonexistent/sidewatch.yaml"])
        .stderr(full)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_file_beyond_the_limit_of_its_size_is_an_error_and_no_signal() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yaml"), "groups: []\n").unwrap();
    let program = env!("CARGO_BIN_EXE_sidewatch");
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 8; exec \"$0\" \"$@\"", program, "run"])
        .args(["--target=http://127.0.0.1:1/metrics", "--rules=rules.yaml"])
        .args(["--storage.path=state", "--web.listen-address=127.0.0.1:0"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("File too large"), "{said}");
}
