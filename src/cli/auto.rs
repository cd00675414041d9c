//! `--rules=auto`: the pack for whatever the target turns out to be.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::config::exposed::Exposed;
use crate::config::packs::{self, Why};
use crate::config::settings::Settings;
use crate::scrape::Exposition;

/// The file beside the state that remembers the pack, so that a restart goes on where the last run stood.
const FILE: &str = "pack";
/// Which pack was chosen, shared by whoever reads the configuration and whoever sees the scrapes.
#[derive(Debug, Clone, Default)]
pub(super) struct Auto {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the configuration says auto.
    wanted: bool,
    /// Whether a scrape has confirmed the pack.
    settled: bool,
    pack: Option<&'static str>,
    file: Option<PathBuf>,
    /// What was said last of a target that is not known, so that it is said once.
    said: Option<Why>,
}

impl Auto {
    /// Puts the pack in the place of `auto`, once it is known; that of the last run until then.
    pub(super) fn apply(&self, settings: &mut Settings) {
        let mut state = self.lock();
        state.wanted = settings.is_auto();
        if !state.wanted {
            return;
        }
        state.file = settings.storage.path.as_ref().map(|dir| dir.join(FILE));
        if state.pack.is_none() {
            state.resume();
        }
        if let Some(pack) = state.pack {
            settings.recognise(pack);
        }
    }

    /// Whether a scrape tells of another pack than before; says which one and why, or why none fits.
    pub(super) fn sees(&self, exposition: &Exposition) -> bool {
        let mut state = self.lock();
        if !state.wanted || state.settled {
            return false;
        }
        let Ok(exposed) = Exposed::read(exposition) else {
            // The scrape itself has failed, and says so.
            return false;
        };
        let names: Vec<&str> = exposed.names().collect();
        match packs::recognise(&names) {
            Ok(pack) => {
                info!(pack = pack.name, "the target was recognised: {pack}");
                state.settled = true;
                state.choose(pack.name)
            }
            Err(why) => {
                if state.said.as_ref() != Some(&why) {
                    warn!("{why}");
                    state.said = Some(why);
                }
                false
            }
        }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    fn resume(&mut self) {
        let text = self.file.as_ref().map(std::fs::read_to_string);
        let name = text.and_then(Result::ok).unwrap_or_default();
        let known = packs::NAMES.iter().find(|pack| **pack == name.trim());
        if let Some(pack) = known.copied() {
            info!(pack, "the target was recognised in the last run");
            self.pack = Some(pack);
        }
    }

    /// Whether this is another pack than before.
    fn choose(&mut self, pack: &'static str) -> bool {
        if self.pack.replace(pack) == Some(pack) {
            return false;
        }
        if let Some(file) = &self.file
            && let Err(error) = std::fs::write(file, format!("{pack}\n"))
        {
            let file = file.display();
            warn!("{file}: cannot be written, so the next start begins without a pack: {error}");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Auto;
    use crate::config::settings::Settings;
    use crate::metric::Timestamp;
    use crate::scrape::Exposition;

    fn scrape(body: &str) -> Exposition {
        Exposition::text(body.as_bytes().to_vec(), Timestamp::default())
    }

    fn auto(dir: &Path) -> (Auto, Vec<String>) {
        let mut settings = Settings {
            rule_files: vec!["auto".to_owned(), "mine.yaml".to_owned()],
            ..Settings::default()
        };
        settings.storage.path = Some(dir.to_owned());
        let auto = Auto::default();
        auto.apply(&mut settings);
        (auto, settings.rule_files)
    }

    #[test]
    fn the_pack_of_the_last_run_is_there_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (first, files) = auto(dir.path());
        assert_eq!(files, ["auto", "mine.yaml"]);
        assert!(!first.sees(&scrape("a 1\n")));
        assert!(!first.sees(&scrape("not an exposition")));
        assert!(first.sees(&scrape("vllm:num_requests_running 1\n")));
        assert!(!first.sees(&scrape("nv_inference_count 1\n")), "settled");
        let (second, files) = auto(dir.path());
        assert_eq!(files, ["vllm", "mine.yaml"]);
        assert!(!second.sees(&scrape("vllm:num_requests_running 1\n")));
        let (third, _) = auto(dir.path());
        assert!(
            third.sees(&scrape("nv_inference_count 1\n")),
            "another server"
        );
        assert_eq!(auto(dir.path()).1, ["triton", "mine.yaml"]);
        std::fs::write(dir.path().join("pack"), "no such pack").unwrap();
        assert_eq!(auto(dir.path()).1, ["auto", "mine.yaml"]);
    }

    #[test]
    fn nothing_is_looked_for_when_nobody_asked() {
        let mut settings = Settings {
            rule_files: vec!["triton".to_owned()],
            ..Settings::default()
        };
        let auto = Auto::default();
        auto.apply(&mut settings);
        assert_eq!(settings.rule_files, ["triton"]);
        assert!(!auto.sees(&scrape("vllm:num_requests_running 1\n")));
    }
}
