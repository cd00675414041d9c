//! `--rules=auto`: the pack that fits the target, recognised from its scrapes.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::config::exposed::Exposed;
use crate::config::packs::{self, Why};
use crate::config::settings::Settings;
use crate::scrape::Exposition;

/// The file in the storage folder that keeps the name of the pack over a restart.
const FILE: &str = "pack";

/// The chosen pack. Clones share it: the loader of the configuration reads it, the scrape loop sets
/// it.
#[derive(Debug, Clone, Default)]
pub(super) struct AutoPack {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the rules contain `auto`.
    enabled: bool,
    /// Whether a scrape has confirmed the pack.
    confirmed: bool,
    pack: Option<&'static str>,
    file: Option<PathBuf>,
    /// Why the target was last not recognised, so that each reason is logged once.
    last_reason: Option<Why>,
}

impl AutoPack {
    /// Replaces `auto` by the pack, once it is known. Until a scrape decides, the pack of the last
    /// run is used.
    pub(super) fn apply(&self, settings: &mut Settings) {
        let mut state = self.lock();
        state.enabled = settings.is_auto();
        if !state.enabled {
            return;
        }
        state.file = settings.storage.path.as_ref().map(|dir| dir.join(FILE));
        if state.pack.is_none() {
            state.load();
        }
        if let Some(pack) = state.pack {
            settings.recognise(pack);
        }
    }

    /// Recognises the target from a scrape, and returns whether the pack has changed.
    /// Logs which pack was chosen and why, or why none fits.
    pub(super) fn observe(&self, exposition: &Exposition) -> bool {
        let mut state = self.lock();
        if !state.enabled || state.confirmed {
            return false;
        }
        let Ok(exposed) = Exposed::read(exposition) else {
            // The scrape itself fails too, and its error is logged there.
            return false;
        };
        let names: Vec<&str> = exposed.names().collect();
        match packs::recognise(&names) {
            Ok(pack) => {
                info!(pack = pack.name, "recognised the target: {pack}");
                state.confirmed = true;
                state.choose(pack.name)
            }
            Err(reason) => {
                if state.last_reason.as_ref() != Some(&reason) {
                    warn!("{reason}");
                    state.last_reason = Some(reason);
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
    /// Takes the pack of the last run from the storage folder.
    fn load(&mut self) {
        let Some(Ok(text)) = self.file.as_ref().map(std::fs::read_to_string) else {
            return;
        };
        if let Some(pack) = packs::NAMES.into_iter().find(|pack| *pack == text.trim()) {
            info!(
                pack,
                "using the pack of the last run until the first scrape"
            );
            self.pack = Some(pack);
        }
    }

    /// Sets and saves the pack. Returns whether it has changed.
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

    use super::AutoPack;
    use crate::config::settings::Settings;
    use crate::metric::Timestamp;
    use crate::scrape::Exposition;

    fn scrape(body: &str) -> Exposition {
        Exposition::text(body.as_bytes().to_vec(), Timestamp::default())
    }

    fn auto(dir: &Path) -> (AutoPack, Vec<String>) {
        let mut settings = Settings {
            rule_files: vec!["auto".to_owned(), "mine.yaml".to_owned()],
            ..Settings::default()
        };
        settings.storage.path = Some(dir.to_owned());
        let auto = AutoPack::default();
        auto.apply(&mut settings);
        (auto, settings.rule_files)
    }

    #[test]
    fn the_pack_of_the_last_run_is_used_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let (first, files) = auto(dir.path());
        assert_eq!(files, ["auto", "mine.yaml"]);
        assert!(!first.observe(&scrape("a 1\n")));
        assert!(!first.observe(&scrape("not an exposition")));
        assert!(first.observe(&scrape("vllm:num_requests_running 1\n")));
        assert!(
            !first.observe(&scrape("nv_inference_count 1\n")),
            "confirmed"
        );
        let (second, files) = auto(dir.path());
        assert_eq!(files, ["vllm", "mine.yaml"]);
        assert!(!second.observe(&scrape("vllm:num_requests_running 1\n")));
        let (third, _) = auto(dir.path());
        assert!(
            third.observe(&scrape("nv_inference_count 1\n")),
            "another server"
        );
        assert_eq!(auto(dir.path()).1, ["triton", "mine.yaml"]);
        std::fs::write(dir.path().join("pack"), "no such pack").unwrap();
        assert_eq!(auto(dir.path()).1, ["auto", "mine.yaml"]);
    }

    #[test]
    fn without_auto_the_target_is_not_recognised() {
        let mut settings = Settings {
            rule_files: vec!["triton".to_owned()],
            ..Settings::default()
        };
        let auto = AutoPack::default();
        auto.apply(&mut settings);
        assert_eq!(settings.rule_files, ["triton"]);
        assert!(!auto.observe(&scrape("vllm:num_requests_running 1\n")));
    }
}
