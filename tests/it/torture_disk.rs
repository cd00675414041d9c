//! A disk that is full, read-only or hangs: judging continues, and the state is on the disk
//! again afterwards.
//!
//! The disks are a small tmpfs and an ext4 in a file. Where mounting is not allowed, the tests
//! skip.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::support::until;
use super::torture::{RULES, Rig, SOON, bad, good};

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!(
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// A file system of the test; it is thawed, writable again and gone at the end.
struct Disk {
    at: PathBuf,
    device: Option<String>,
}

impl Disk {
    fn tmpfs(rig: &Rig, size: &str) -> Option<Self> {
        let at = rig.path().join("disk");
        fs::create_dir(&at).unwrap();
        let options = format!("size={size}");
        let mounted = run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs", at.to_str().unwrap()],
        );
        Self::mounted(mounted, at, None)
    }

    fn ext4(rig: &Rig) -> Option<Self> {
        let at = rig.path().join("disk");
        fs::create_dir(&at).unwrap();
        let image = rig.path().join("image");
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        let made = run("mkfs.ext4", &["-q", image.to_str().unwrap()])
            .and_then(|_| run("losetup", &["--find", "--show", image.to_str().unwrap()]));
        let device = made.as_ref().ok().cloned();
        let mounted = made.and_then(|device| {
            let options = ["-o", "errors=remount-ro", &device, at.to_str().unwrap()];
            run("mount", &options)
        });
        Self::mounted(mounted, at, device)
    }

    fn mounted(
        result: Result<String, String>,
        at: PathBuf,
        device: Option<String>,
    ) -> Option<Self> {
        match result {
            Ok(_) => Some(Self { at, device }),
            Err(error) => {
                eprintln!("skipped: no disk of one's own here: {error}");
                None
            }
        }
    }

    fn path(&self) -> &str {
        self.at.to_str().unwrap()
    }

    /// Takes whatever room is left.
    fn fill(&self) -> PathBuf {
        let filler = self.at.join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        for size in [1 << 16, 1 << 12] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        filler
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The process that uses it is gone, or ends with the test.
        let unmounted = run("umount", &["--lazy", self.path()]);
        let detached = self
            .device
            .as_ref()
            .map(|device| run("losetup", &["--detach", device]));
        if let (Err(error), _) | (_, Some(Err(error))) = (unmounted, detached) {
            eprintln!("{error}");
        }
    }
}

/// Thaws a frozen file system whatever happens.
struct Frozen<'a>(&'a Path);

impl<'a> Frozen<'a> {
    fn new(disk: &'a Disk) -> Option<Self> {
        match run("fsfreeze", &["--freeze", disk.path()]) {
            Ok(_) => Some(Self(&disk.at)),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Err(error) = run("fsfreeze", &["--unfreeze", self.0.to_str().unwrap()]) {
            eprintln!("{error}");
        }
    }
}

/// Many alerts, so that the store has to grow.
fn many() -> String {
    let mut body = bad();
    for n in 0..2000 {
        writeln!(body, "broken{{worker=\"{n}\"}} 1").unwrap();
    }
    body
}

async fn rig_on(disk: impl Fn(&Rig) -> Option<Disk>) -> Option<(Rig, Disk)> {
    let mut rig = Rig::new().await;
    rig.write_rules(&format!(
        "{RULES}  - {{alert: Broken, expr: broken == 1}}\n"
    ));
    let disk = disk(&rig)?;
    rig.storage = disk.at.join("state");
    Some((rig, disk))
}

/// Alertmanager hears of the alert, and the webhook of the request.
async fn both_hear(rig: &Rig) {
    until("Alertmanager and the webhook", SOON, async || {
        let alerts = rig.told().len();
        let requests = rig.webhook.received().len();
        if alerts > 0 && requests > 0 {
            Ok(())
        } else {
            Err(format!("{alerts} alerts, {requests} requests"))
        }
    })
    .await;
}

/// The process is killed, and the next one knows since when the alert fires.
async fn is_remembered(rig: &Rig, process: super::support::Process, start: &str) {
    drop(process);
    let process = rig.start();
    assert_eq!(
        rig.alert_is("AccuracyDropped", "firing").await,
        start,
        "{}",
        process.output()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_nothing_and_is_written_again_when_it_has_room() {
    let Some((rig, disk)) = rig_on(|rig| Disk::tmpfs(rig, "4m")).await else {
        return;
    };
    let process = rig.start();
    rig.metric_is("sidewatch_storage_durable", |durable| durable > 0.5)
        .await;
    let filler = disk.fill();
    rig.serve(many());
    let start = rig.alert_is("AccuracyDropped", "firing").await;
    rig.metric_is("sidewatch_storage_durable", |durable| durable < 0.5)
        .await;
    both_hear(&rig).await;
    rig.ticks(5).await;
    fs::remove_file(filler).unwrap();
    rig.metric_is("sidewatch_storage_durable", |durable| durable > 0.5)
        .await;
    let output = process.output();
    assert!(output.contains("No space left on device"), "{output}");
    is_remembered(&rig, process, &start).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_cannot_be_written_at_the_start_is_said_at_once() {
    let Some((rig, disk)) = rig_on(|rig| Disk::tmpfs(rig, "4m")).await else {
        return;
    };
    run("mount", &["-o", "remount,ro", disk.path()]).unwrap();
    let mut process = rig.start();
    assert_eq!(process.ended(SOON).await.code(), Some(1));
    let output = process.output();
    assert!(
        output.contains("storage.path cannot be used") && output.contains("Read-only file system"),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_becomes_read_only_stops_nothing() {
    let Some((rig, disk)) = rig_on(Disk::ext4).await else {
        return;
    };
    let mut process = rig.start();
    rig.metric_is("sidewatch_storage_durable", |durable| durable > 0.5)
        .await;
    // As when the kernel finds the disk broken: the journal is aborted, and every write refused
    // from then on.
    if let Err(error) = run("mount", &["-o", "remount,abort", disk.path()]) {
        eprintln!("ext4 says: {error}");
    }
    rig.serve(bad());
    rig.alert_is("AccuracyDropped", "firing").await;
    rig.metric_is("sidewatch_storage_durable", |durable| durable < 0.5)
        .await;
    both_hear(&rig).await;
    rig.ticks(5).await;
    rig.serve(good());
    rig.alert_is_gone("AccuracyDropped").await;
    process.signal("TERM");
    assert_eq!(process.ended(SOON).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_delays_alerts_by_five_seconds_once_and_loses_nothing() {
    let Some((rig, disk)) = rig_on(Disk::ext4).await else {
        return;
    };
    let process = rig.start();
    rig.metric_is("sidewatch_storage_durable", |durable| durable > 0.5)
        .await;
    let Some(frozen) = Frozen::new(&disk) else {
        return;
    };
    let began = tokio::time::Instant::now();
    let scrapes = rig.target.attempts();
    rig.serve(bad());
    both_hear(&rig).await;
    let waited = began.elapsed();
    let scrapes = rig.target.attempts() - scrapes;
    rig.metric_is("sidewatch_storage_durable", |durable| durable < 0.5)
        .await;
    // Every interval is there while the disk still hangs.
    rig.ticks(20).await;
    let start = rig.alert_is("AccuracyDropped", "firing").await;
    let output = process.output();
    assert!(
        output.contains("the disk hangs; going on without it"),
        "{output}"
    );
    drop(frozen);
    rig.metric_is("sidewatch_storage_durable", |durable| durable > 0.5)
        .await;
    eprintln!(
        "hung disk: the first alert and request after {waited:?}, {scrapes} scrapes meanwhile"
    );
    // Scrapes do not wait for the disk, not even those of the first write that hangs.
    assert!(
        scrapes as u128 > waited.as_millis() / 100 / 2,
        "{scrapes} scrapes"
    );
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    is_remembered(&rig, process, &start).await;
}
