//! The sidewatch binary with a web configuration file.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::Authority;
use super::{Process, free_port, get_text, until};

const RULES: &str =
    "groups: [{name: g, rules: [{alert: Down, expr: up == 0, annotations: {summary: s}}]}]\n";

/// A running sidewatch whose target does not answer.
pub(crate) struct Guarded {
    pub(crate) process: Process,
    pub(crate) dir: TempDir,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// The address that serves health without TLS and password.
    pub(crate) health: String,
    /// The authority that signed `tls.crt`.
    pub(crate) authority: Authority,
    /// How long each scrape of the test took.
    pub(crate) scrapes: Mutex<Vec<Duration>>,
}

impl Guarded {
    /// Starts it with a web configuration, in a folder with `tls.crt` and `tls.key`; an empty text
    /// means no web configuration.
    pub(crate) async fn start(web: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        authority.write(dir.path(), "tls", &authority.sign("127.0.0.1"));
        Self::start_in(dir, authority, web).await
    }

    /// Starts it in a folder with the files that the web configuration names.
    pub(crate) async fn start_in(dir: TempDir, authority: Authority, web: &str) -> Self {
        fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let health = format!("127.0.0.1:{}", free_port());
        let listen = format!("--web.listen-address={address}");
        let kubelet = format!("--web.health-listen-address={health}");
        let mut args = vec![
            "run",
            "--target=http://127.0.0.1:1/metrics",
            "--rules=rules.yaml",
            "--scrape.interval=1s",
            "--web.enable-lifecycle",
            &listen,
            &kubelet,
        ];
        if !web.is_empty() {
            fs::write(dir.path().join("web.yml"), web).unwrap();
            args.push("--web.config.file=web.yml");
        }
        let process = Process::sidewatch(&args, dir.path());
        let ready = format!("http://{health}/-/ready");
        until("readiness", Duration::from_secs(30), async || {
            get_text(&ready).await
        })
        .await;
        Self {
            process,
            dir,
            address,
            health,
            authority,
            scrapes: Mutex::default(),
        }
    }

    /// The folder of its files.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A client that trusts the authority, with other settings still to be made.
    pub(crate) fn trusting(&self) -> reqwest::ClientBuilder {
        let authority = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        reqwest::Client::builder()
            .use_rustls_tls()
            .tls_built_in_root_certs(false)
            .add_root_certificate(authority)
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(20))
    }

    /// Its memory in use, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Its peak memory above this many bytes.
    pub(crate) fn grown_from(&self, before: u64) -> u64 {
        self.memory("VmHWM:").saturating_sub(before)
    }

    fn memory(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(field));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }
}

/// The value of a series on a page of `/metrics`, by a part of its name and labels.
pub(crate) fn value_of(page: &str, series: &[&str]) -> Option<f64> {
    let found = page
        .lines()
        .find(|line| !line.starts_with('#') && series.iter().all(|part| line.contains(part)))?;
    found.rsplit(' ').next()?.parse().ok()
}
