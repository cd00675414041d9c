//! The web configuration in force, and its replacement when a file changes.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{info, warn};

use super::super::counters::Http;
use super::rate::Bucket;
use super::{Load, Web};

/// A configuration and what is counted against it.
#[derive(Debug)]
pub(in super::super) struct Active {
    /// What is in force.
    pub(in super::super) web: Web,
    bucket: Option<Mutex<Bucket>>,
}

impl Active {
    fn new(web: Web) -> Self {
        let bucket = web
            .rate_limit
            .map(|limit| Mutex::new(Bucket::new(limit, Instant::now())));
        Self { web, bucket }
    }

    /// Whether one more request is within the rate limit.
    pub(in super::super) fn admits(&self, now: Instant) -> bool {
        let Some(bucket) = &self.bucket else {
            return true;
        };
        bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now)
    }
}

/// What a look at the files found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Reread {
    /// The same as before, or broken.
    Kept,
    /// Something else is in force, with the same TLS.
    Replaced,
    /// Something else is in force, with other certificates or settings of TLS.
    OtherTls,
}

/// What the last look found.
#[derive(Debug, Default)]
struct Last {
    fingerprint: Option<[u8; 32]>,
    problem: Option<String>,
}

/// The configuration in force.
pub(in super::super) struct Live {
    active: RwLock<Arc<Active>>,
    load: Load,
    last: Mutex<Last>,
    counters: Http,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// Begins with what was read at the start.
    pub(in super::super) fn new(web: Web, load: Load, counters: Http) -> Self {
        counters.web_reload(true, web.not_after());
        Self {
            active: RwLock::new(Arc::new(Active::new(web))),
            load,
            last: Mutex::default(),
            counters,
        }
    }

    /// What is in force now.
    pub(in super::super) fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again when their content changed. A broken configuration keeps the last good one and is
    /// tried again at every look. Blocks on the disk.
    pub(in super::super) fn reread(&self) -> Reread {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.active();
        let fingerprint = fingerprint(&active.web.files);
        if last.fingerprint == Some(fingerprint) && last.problem.is_none() {
            return Reread::Kept;
        }
        last.fingerprint = Some(fingerprint);
        let loaded = (self.load)().and_then(|web| {
            if web.tls.is_some() == active.web.tls.is_some() {
                return Ok(web);
            }
            Err("tls_server_config: cannot be added or removed while running; restart".to_owned())
        });
        match loaded {
            Ok(web) => {
                last.problem = None;
                self.counters.web_reload(true, web.not_after());
                self.replace(web, &active)
            }
            Err(problem) => {
                self.counters.web_reload(false, active.web.not_after());
                if last.problem.as_ref() != Some(&problem) {
                    warn!(
                        "the web configuration is broken, the last good one stays in force: {problem}"
                    );
                    last.problem = Some(problem);
                }
                Reread::Kept
            }
        }
    }

    fn replace(&self, web: Web, old: &Active) -> Reread {
        if web.is_same(&old.web) {
            return Reread::Kept;
        }
        info!("the web configuration changed");
        let same_tls = web.has_same_tls(&old.web);
        let fresh = Arc::new(Active::new(web));
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        if same_tls {
            Reread::Replaced
        } else {
            Reread::OtherTls
        }
    }
}

/// A digest of the content of files; one that cannot be read counts as another content.
fn fingerprint(files: &[PathBuf]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for path in files {
        let content = fs::read(path);
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

    use super::super::super::counters::Http;
    use super::{Live, Reread};
    use crate::metric::Labels;
    use crate::publish::web::{Headers, Load, RateLimit, Users, Web};

    #[test]
    fn a_broken_file_keeps_the_last_good_one_until_it_is_mended() {
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
        let live = Live::new(load().unwrap(), Arc::clone(&load), counters.clone());
        let burst = |live: &Live| live.active().web.rate_limit.unwrap().burst;
        let good = |counters: &Http| {
            let families = counters.gather();
            let name = "sidewatch_web_config_last_reload_successful";
            let family = families.iter().find(|family| family.name() == name);
            family.unwrap().get_metric()[0].get_gauge().get_value()
        };
        live.reread();
        assert_eq!(live.reread(), Reread::Kept);
        fs::write(&file, "broken").unwrap();
        assert_eq!(live.reread(), Reread::Kept);
        assert_eq!((burst(&live), good(&counters)), (1, 0.0));
        fs::write(&file, "7").unwrap();
        assert_eq!(live.reread(), Reread::Replaced);
        assert_eq!((burst(&live), good(&counters)), (7, 1.0));
    }
}
