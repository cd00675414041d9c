//! `--rules=auto`: the packs that fit the target, recognised from its scrapes.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::config::exposed::Exposed;
use crate::config::packs::{self, Why};
use crate::config::settings::Settings;
use crate::scrape::Exposition;

/// The file in the storage folder that keeps the names of the packs over a restart.
const FILE: &str = "pack";

/// How many scrapes after the choice may add a pack: some series are born with the first request or
/// the first label.
const LOOKS: u32 = 40;

/// The chosen packs. Clones share them: the loader of the configuration reads them, the scrape loop
/// sets them.
#[derive(Debug, Clone, Default)]
pub(super) struct AutoPack {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the rules contain `auto`.
    enabled: bool,
    /// How many scrapes have confirmed the packs.
    looks: u32,
    packs: Vec<&'static str>,
    file: Option<PathBuf>,
    /// Why the target was last not recognised, so that each reason is logged once.
    last_reason: Option<Why>,
}

impl AutoPack {
    /// Replaces `auto` by the packs, once they are known. Until a scrape decides, those of the last
    /// run are used.
    pub(super) fn apply(&self, settings: &mut Settings) {
        let mut state = self.lock();
        state.enabled = settings.is_auto();
        if !state.enabled {
            return;
        }
        state.file = settings.storage.path.as_ref().map(|dir| dir.join(FILE));
        if state.packs.is_empty() {
            state.load();
        }
        if !state.packs.is_empty() {
            settings.recognise(&state.packs);
        }
    }

    /// Recognises the target from a scrape, and returns whether the packs have changed.
    /// Logs which packs were chosen and why, or why none fits.
    pub(super) fn observe(&self, exposition: &Exposition) -> bool {
        let mut state = self.lock();
        if !state.enabled || state.looks > LOOKS {
            return false;
        }
        let Ok(exposed) = Exposed::read(exposition) else {
            // The scrape itself fails too, and its error is logged there.
            return false;
        };
        let names: Vec<&str> = exposed.names().collect();
        if state.looks > 0 {
            state.looks += 1;
            return state.add(&names);
        }
        match packs::recognise(&names) {
            Ok(pack) => {
                info!(pack = pack.name, "recognised the target: {pack}");
                state.looks = 1;
                log_coverage(&pack.names(), &names);
                state.choose(pack.names())
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

/// Logs what the packs and the target miss of each other.
fn log_coverage(packs: &[&str], names: &[&str]) {
    let found = packs::coverage(packs, names);
    let records = found.missing.join(", ");
    if !records.is_empty() {
        info!(%records, "these records of the packs find nothing yet");
    }
    let unwatched = found.unwatched.len();
    if unwatched > 0 {
        let some = found.unwatched[..unwatched.min(10)].join(", ");
        info!(unwatched, %some, "no pack watches these metrics");
    }
}

impl State {
    /// Takes the packs of the last run from the storage folder.
    fn load(&mut self) {
        let Some(Ok(text)) = self.file.as_ref().map(std::fs::read_to_string) else {
            return;
        };
        let known = |name| packs::NAMES.into_iter().find(|pack| *pack == name);
        let packs: Option<Vec<&'static str>> = text.split_whitespace().map(known).collect();
        if let Some(packs) = packs.filter(|packs| !packs.is_empty()) {
            info!(
                packs = packs.join(" "),
                "using the packs of the last run until the first scrape"
            );
            self.packs = packs;
        }
    }

    /// Adds the packs whose series have appeared since the choice.
    fn add(&mut self, names: &[&str]) -> bool {
        let found = packs::companions(names).into_iter();
        let new: Vec<&'static str> = found.filter(|pack| !self.packs.contains(pack)).collect();
        if new.is_empty() {
            return false;
        }
        info!(
            packs = new.join(" "),
            "the target exposes series of more packs"
        );
        let mut packs = self.packs.clone();
        packs.extend(new);
        self.choose(packs)
    }

    /// Sets and saves the packs. Returns whether they have changed.
    fn choose(&mut self, packs: Vec<&'static str>) -> bool {
        if self.packs == packs {
            return false;
        }
        self.packs = packs;
        if let Some(file) = &self.file
            && let Err(error) = std::fs::write(file, format!("{}\n", self.packs.join(" ")))
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
    fn a_pack_is_added_when_its_series_appear_after_the_choice() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = auto(dir.path());
        assert!(first.observe(&scrape("tgi_queue_size 1\n")));
        let grown = scrape("tgi_queue_size 1\nfraud_accuracy 0.9\n");
        assert!(first.observe(&grown));
        assert!(!first.observe(&grown));
        let files = auto(dir.path()).1;
        assert_eq!(files, ["tgi", "accuracy", "mine.yaml"]);
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
