//! The web configuration in force, and its replacement when a file changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::super::counters::Http;
use super::rate::Bucket;
use super::{Acceptor, Load, Web};
use crate::runtime::read_limited;

/// Time between checks of the web configuration and its certificates for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of a file that are compared; the files that are read have lower limits.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// A configuration in force.
pub(in super::super) struct Active {
    /// What its file says.
    pub(in super::super) web: Web,
    bucket: Option<Mutex<Bucket>>,
    /// Cancelled when the connections that use its TLS should end after what they are doing.
    retired: CancellationToken,
}

impl Active {
    fn new(web: Web, retired: CancellationToken) -> Self {
        let bucket = |limit| Mutex::new(Bucket::new(limit, Instant::now()));
        Self {
            bucket: web.rate_limit.map(bucket),
            web,
            retired,
        }
    }

    /// TLS, and what is cancelled when its connections should end after what they are doing.
    pub(in super::super) fn tls(&self) -> (Option<TlsAcceptor>, CancellationToken) {
        let tls = self.web.tls.as_ref().map(Acceptor::acceptor);
        (tls, self.retired.clone())
    }

    /// Counts a request; whether it is within the rate limit.
    pub(in super::super) fn is_within_rate(&self) -> bool {
        let bucket = self.bucket.as_ref();
        bucket.is_none_or(|bucket| bucket.lock().take(Instant::now()))
    }
}

/// The outcome of the last check.
#[derive(Default)]
struct Last {
    fingerprint: Option<[u8; 32]>,
    problem: Option<String>,
}

/// Keeps the configuration in force up to date with its files.
pub(in super::super) struct Reloader {
    active: RwLock<Arc<Active>>,
    load: Option<Load>,
    last: Mutex<Last>,
    counters: Http,
    stop: CancellationToken,
}

impl Reloader {
    /// Begins with what was read at the start, or with plain HTTP without users; `stop` ends every
    /// connection.
    pub(in super::super) fn new(
        configured: Option<(Web, Load)>,
        counters: Http,
        stop: CancellationToken,
    ) -> Self {
        let (web, load) = configured.unzip();
        let web = web.unwrap_or_default();
        if load.is_some() {
            counters.web_reload(true, web.not_after());
        }
        let active = Active::new(web, stop.child_token());
        Self {
            active: RwLock::new(Arc::new(active)),
            load,
            last: Mutex::default(),
            counters,
            stop,
        }
    }

    /// The configuration in force.
    pub(in super::super) fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.read())
    }

    /// Checks the files for changes until it is dropped.
    pub(in super::super) async fn follow_files(self: Arc<Self>) {
        if self.load.is_none() {
            return;
        }
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            let this = Arc::clone(&self);
            if let Err(error) = spawn_blocking(move || this.check()).await {
                warn!(%error, "the web configuration could not be checked");
            }
        }
    }

    /// Reads the files again when their content changed. A broken configuration keeps the last good
    /// one and is read again at every check. Blocks on the disk.
    fn check(&self) {
        let Some(load) = &self.load else { return };
        let mut last = self.last.lock();
        let active = self.active();
        let fingerprint = fingerprint(&active.web.files);
        if last.fingerprint == Some(fingerprint) && last.problem.is_none() {
            return;
        }
        last.fingerprint = Some(fingerprint);
        let loaded = load().and_then(|web| {
            if web.tls.is_some() == active.web.tls.is_some() {
                return Ok(web);
            }
            Err("tls_server_config: cannot be added or removed while running; restart".to_owned())
        });
        match loaded {
            Ok(web) => {
                last.problem = None;
                self.counters.web_reload(true, web.not_after());
                if web != active.web {
                    self.replace(web, &active);
                }
            }
            Err(problem) => {
                self.counters.web_reload(false, active.web.not_after());
                if last.problem.as_ref() != Some(&problem) {
                    warn!(
                        "the web configuration is broken, the last good one stays in force: {problem}"
                    );
                    last.problem = Some(problem);
                }
            }
        }
    }

    fn replace(&self, web: Web, old: &Active) {
        info!("the web configuration changed");
        let has_new_tls = web.tls != old.web.tls;
        let retired = if has_new_tls {
            self.stop.child_token()
        } else {
            old.retired.clone()
        };
        *self.active.write() = Arc::new(Active::new(web, retired));
        if has_new_tls {
            old.retired.cancel();
        }
    }
}

/// A digest of the content of files; one that cannot be read counts as another content.
fn fingerprint(files: &[PathBuf]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for path in files {
        let content = read_limited(path, MAX_FILE_BYTES);
        hash.update([u8::from(content.is_ok())]);
        let content = content.unwrap_or_default();
        hash.update(content.len().to_le_bytes());
        hash.update(&content);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::super::super::counters::Http;
    use super::Reloader;
    use crate::metric::Labels;
    use crate::publish::web::{Headers, Load, RateLimit, Users, Web};

    #[test]
    fn a_broken_file_keeps_the_last_good_one_until_it_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("web.yml");
        fs::write(&file, "1").unwrap();
        let path = file.clone();
        let load: Load = Arc::new(move || {
            let text = fs::read_to_string(&path).unwrap();
            let burst = text
                .trim()
                .parse()
                .map_err(|_| format!("not a number: {text}"))?;
            Ok(Web {
                tls: None,
                users: Users::default(),
                headers: Headers::default(),
                rate_limit: Some(RateLimit {
                    interval: Duration::from_secs(1),
                    burst,
                }),
                files: vec![path.clone()],
            })
        });
        let counters = Http::new(&Labels::empty());
        let stop = CancellationToken::new();
        let reloader = Reloader::new(
            Some((load().unwrap(), Arc::clone(&load))),
            counters.clone(),
            stop,
        );
        let burst = |reloader: &Reloader| reloader.active().web.rate_limit.unwrap().burst;
        let good = |counters: &Http| {
            let families = counters.gather();
            let name = "sidewatch_web_config_last_reload_successful";
            let family = families.iter().find(|family| family.name() == name);
            family.unwrap().get_metric()[0].get_gauge().get_value()
        };
        let before = reloader.active();
        reloader.check();
        reloader.check();
        assert!(Arc::ptr_eq(&before, &reloader.active()), "kept");
        fs::write(&file, "broken").unwrap();
        reloader.check();
        assert!(Arc::ptr_eq(&before, &reloader.active()), "kept");
        assert_eq!((burst(&reloader), good(&counters)), (1, 0.0));
        fs::write(&file, "7").unwrap();
        reloader.check();
        assert_eq!((burst(&reloader), good(&counters)), (7, 1.0));
        assert!(!before.retired.is_cancelled(), "TLS is the same");
    }
}
