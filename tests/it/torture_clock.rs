//! Wall clocks that jump, and summer time.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use sidewatch::internals::runtime::clock;

use super::support::{Process, tool, until};
use super::torture::{Rig, SOON, bad, good, said_to_end};

const HOUR: Duration = Duration::from_secs(3600);

/// Starts the binary with a wall clock that follows the file `clock`; timers keep their own.
fn start_with_clock(rig: &Rig) -> Option<Process> {
    let library = tool("libfaketimeMT.so.1")?;
    set_clock(rig, "+0");
    let preload = format!("LD_PRELOAD={}", library.display());
    let file = format!(
        "FAKETIME_TIMESTAMP_FILE={}",
        rig.path().join("clock").display()
    );
    let wrapper = [
        "/usr/bin/env",
        &preload,
        &file,
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ];
    Some(rig.start_under(&wrapper, &[]))
}

fn set_clock(rig: &Rig, offset: &str) {
    let path = rig.path().join("clock.new");
    fs::write(&path, offset).unwrap();
    fs::rename(path, rig.path().join("clock")).unwrap();
}

/// Whether a time in RFC 3339 is past for a clock that is off by an hour.
fn is_over(time: &str, offset: &str) -> bool {
    let now = clock::now();
    let now = if offset == "+1h" {
        now + HOUR
    } else {
        now - HOUR
    };
    time <= now.to_string().as_str()
}

/// Leases are renewed by the new clock, and a request is not held back by the old one.
async fn goes_on(rig: &Rig) {
    let (told, asked) = (rig.told().len(), rig.webhook.received().len());
    let turn = AtomicBool::new(false);
    until("more alerts and requests", SOON, async || {
        // A value that stays the same is no new evidence.
        rig.serve(bad().replace(
            "0.5",
            if turn.fetch_xor(true, SeqCst) {
                "0.4"
            } else {
                "0.3"
            },
        ));
        let (now, requests) = (rig.told().len(), rig.webhook.received().len());
        if now > told && requests > asked {
            Ok(())
        } else {
            Err(format!("{told} → {now}, {asked} → {requests}"))
        }
    })
    .await;
}

/// An alert fires and another waits, the clock jumps, and both are what they were.
async fn jump(offset: &str) {
    let rig = Rig::new().await;
    let Some(process) = start_with_clock(&rig) else {
        return;
    };
    rig.serve("model_accuracy 0.5\nmodel_load 0.5\n".to_owned());
    rig.alert_is("AccuracyDropped", "firing").await;
    rig.serve(bad());
    rig.alert_is("LoadHigh", "pending").await;
    let jumped = tokio::time::Instant::now();
    set_clock(&rig, offset);
    rig.ticks(5).await;
    let output = process.output();
    assert!(
        output.contains("the clock went back") || output.contains("the clock was set"),
        "{output}"
    );
    assert_eq!(
        rig.alert("AccuracyDropped").await.unwrap().unwrap().0,
        "firing"
    );
    assert_eq!(rig.alert("LoadHigh").await.unwrap().unwrap().0, "pending");
    rig.alert_is("LoadHigh", "firing").await;
    let waited = jumped.elapsed();
    assert!(
        waited > Duration::from_secs(2) && waited < Duration::from_secs(20),
        "{waited:?}"
    );
    goes_on(&rig).await;
    // And the end is told.
    rig.serve(good());
    rig.alert_is_gone("AccuracyDropped").await;
    until("the end", SOON, async || {
        let mut told = rig.told().into_iter();
        let last = told.rfind(|alert| alert["labels"]["alertname"] == "AccuracyDropped");
        // A lease ends two seconds after it was sent, an end does not.
        let ends = last.unwrap()["endsAt"].as_str().unwrap().to_owned();
        if is_over(&ends, offset) {
            Ok(())
        } else {
            Err(ends)
        }
    })
    .await;
    assert!(said_to_end(&process, "AccuracyDropped"));
    eprintln!("clock {offset}: for: 4s was over {waited:?} after the jump");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_an_hour_ahead_fires_and_ends_nothing() {
    jump("+1h").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_an_hour_back_fires_and_ends_nothing_and_blinds_nobody() {
    jump("-1h").await;
}

#[test]
fn summer_time_changes_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    fs::create_dir(&input).unwrap();
    // Four weeks of hours around the night of 25 October 2026, 01:00 UTC, in which the hour of
    // Berlin comes twice.
    let mut rows = "timestamp,value\n".to_owned();
    for hour in 0..24 * 28_i64 {
        let at = 1_761_091_200 + 365 * 86_400 + hour * 3600;
        let noise = (hour * 7919 % 13) - 6;
        let value = 100 + (hour % 24 - 12).abs() * 10 + noise;
        writeln!(rows, "{at},{value}").unwrap();
    }
    fs::write(input.join("load.csv"), rows).unwrap();
    let scores = ["UTC", "Europe/Berlin", "America/Sao_Paulo"].map(|zone| {
        let output = folder.path().join(zone.replace('/', "-"));
        let ran = Command::new(env!("CARGO_BIN_EXE_sidewatch"))
            .env("TZ", zone)
            .args(["score", "--strategy", r#"{"type":"seasonal"}"#])
            .args([&input, &output])
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        fs::read_to_string(output.join("load.csv")).unwrap()
    });
    assert!(scores[0].lines().count() > 600);
    assert_eq!(scores[0], scores[1]);
    assert_eq!(scores[0], scores[2]);
}
