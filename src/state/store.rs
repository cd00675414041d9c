//! The store: a mirror in memory over a file that may be missing, damaged or gone.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};
use serde::de::DeserializeOwned;

use crate::metric::Timestamp;

use super::batch::Change;
use super::file::{self, File, Loaded, Records, Trouble};
use super::record::Manifest;
use super::{Batch, Error, Kind};

/// Name of the file under `storage.path`.
const FILE: &str = "sidewatch.redb";

/// What the store found when it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// Where the damaged file was moved.
    pub set_aside: Option<PathBuf>,
    /// What is worth a line in the log: damage, missing records, a recovery after a crash.
    pub notes: Vec<String>,
    /// Records read.
    pub records: usize,
}

/// State that survives the process. Reads come from memory and never wait for the disk; a commit reaches it before it
/// returns.
pub struct Store {
    path: Option<PathBuf>,
    /// Locked for as long as the disk takes; always before `mirror`.
    disk: Mutex<Disk>,
    /// Never locked while the disk is waited for.
    mirror: Mutex<Mirror>,
}

/// How it stands with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// There is none.
    InMemory,
    Sound,
    /// The last commit did not reach it; the next one tries again.
    Failing(String),
    /// Its owner closed it.
    Closed,
    /// Another process opened the file while this one made it anew: what that one wrote must not be undone.
    Taken(String),
}

struct Disk {
    /// `None` in memory, after a failure that could not be mended, and when closed.
    file: Option<File>,
}

struct Mirror {
    condition: Condition,
    records: Records,
    manifest: Manifest,
    recreated: u64,
    /// Which file was opened; another one at its path is another process'.
    identity: Option<(u64, u64)>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mirror = self.mirror();
        f.debug_struct("Store")
            .field("path", &self.path)
            .field("condition", &mirror.condition)
            .field("records", &mirror.records.len())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A store that forgets everything with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::with(None, None, Records::new())
    }

    fn with(path: Option<PathBuf>, file: Option<File>, records: Records) -> Self {
        let mut manifest = Manifest::default();
        for (key, payload) in &records {
            manifest.add(key, payload);
        }
        let condition = if file.is_some() {
            Condition::Sound
        } else {
            Condition::InMemory
        };
        Self {
            path,
            disk: Mutex::new(Disk { file }),
            mirror: Mutex::new(Mirror {
                condition,
                records,
                manifest,
                recreated: 0,
                identity: None,
            }),
        }
    }

    /// Whether there is a store in this directory.
    #[must_use]
    pub fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Opens the store in a directory, which is made when it is missing.
    ///
    /// A file that is damaged or of another version is set aside and what can be believed of it is kept. `at` names
    /// the file set aside.
    ///
    /// # Errors
    /// Only when the place cannot be used: another process has it, or the system refuses.
    pub fn open(directory: &Path, at: Timestamp) -> Result<(Self, Opened), Error> {
        let io = |error: std::io::Error| Error::Io {
            path: directory.to_owned(),
            reason: error.to_string(),
        };
        fs::create_dir_all(directory).map_err(io)?;
        let path = directory.join(FILE);
        let mut opened = Opened::default();
        let (file, records) = open_or_replace(&path, at, &mut opened)?;
        file::sync_directory(directory).map_err(io)?;
        opened.records = records.len();
        let identity = file::identity(&path);
        let store = Self::with(Some(path), Some(file), records);
        store.mirror().identity = identity;
        Ok((store, opened))
    }

    fn mirror(&self) -> MutexGuard<'_, Mirror> {
        self.mirror.lock()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock()
    }

    /// Lets every write hang for as long as the answer is held.
    #[cfg(test)]
    pub(crate) fn hang(&self) -> impl Sized + '_ {
        self.disk()
    }

    /// Whether the last commit reached a disk.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.mirror().condition == Condition::Sound
    }

    /// Whether commits are meant for a disk: it may be full or broken just now, and then work again.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(
            self.mirror().condition,
            Condition::Sound | Condition::Failing(_)
        )
    }

    /// How often the file had to be made anew since it was opened.
    #[must_use]
    pub fn recreated(&self) -> u64 {
        self.mirror().recreated
    }

    /// Whether another process has the file now, so that this one must stop.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let looked = || {
            let mirror = self.mirror();
            (mirror.condition.clone(), mirror.identity)
        };
        let before = looked();
        match before.0 {
            Condition::Taken(_) => true,
            Condition::Sound => {
                let found = self.path.as_deref().and_then(file::identity);
                // It was not this process that made it anew meanwhile.
                found.is_some() && found != before.1 && looked() == before
            }
            Condition::InMemory | Condition::Failing(_) | Condition::Closed => false,
        }
    }

    /// Whether the file system keeps other processes out; `true` in memory.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        match &self.path {
            Some(path) if self.is_durable() => file::is_locked(path),
            _ => true,
        }
    }

    /// A record, `None` when there is none or it is not what is asked for.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Option<T> {
        let mirror = self.mirror();
        let key = kind.key(name);
        decode(&key, mirror.records.get(&key)?)
    }

    /// Whether there is a record of this name.
    #[must_use]
    pub fn contains(&self, kind: Kind, name: &str) -> bool {
        self.mirror().records.contains_key(&kind.key(name))
    }

    /// How many records of a kind there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        let mirror = self.mirror();
        let prefix = kind.prefix();
        let from = mirror.records.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).count()
    }

    /// Every record of a kind by name. One that cannot be decoded is left out and logged.
    #[must_use]
    pub fn all<T: DeserializeOwned>(&self, kind: Kind) -> Vec<(String, T)> {
        let mirror = self.mirror();
        let prefix = kind.prefix();
        let of_kind = mirror
            .records
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix));
        of_kind
            .filter_map(|(key, bytes)| {
                let name = key.strip_prefix(prefix)?.to_owned();
                Some((name, decode(key, bytes)?))
            })
            .collect()
    }

    /// The names of a kind's records.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let mirror = self.mirror();
        let prefix = kind.prefix();
        let from = mirror.records.range(prefix.to_owned()..);
        from.map_while(|(key, _)| key.strip_prefix(prefix))
            .map(str::to_owned)
            .collect()
    }

    /// Commits a batch, all of it or nothing. Blocks until it is on the disk, unless the batch is lazy.
    ///
    /// A file that breaks while running is replaced by a new one with everything in it; when that fails too, the
    /// store goes on in memory. Every later commit, an empty one too, tries again and says when it is in vain.
    ///
    /// # Errors
    /// When the batch is not on the disk. It is in memory all the same.
    pub fn commit(&self, batch: Batch) -> Result<(), Error> {
        let mut disk = self.disk();
        let lazy = batch.lazy;
        let (changes, manifest, condition) = {
            let mut mirror = self.mirror();
            let changes = mirror.apply(batch.changes);
            (changes, mirror.manifest, mirror.condition.clone())
        };
        let (trouble, is_new) = match (condition, &mut disk.file) {
            (Condition::InMemory, _) => return Ok(()),
            (Condition::Taken(reason), _) => return Err(Error::Closed(reason)),
            (Condition::Closed, _) => return Err(Error::Closed("it was closed".to_owned())),
            // A full disk may have room again.
            (Condition::Failing(reason), _) => (Trouble::Io(reason), false),
            (Condition::Sound, _) if changes.is_empty() => return Ok(()),
            (Condition::Sound, None) => (Trouble::Io("the file is closed".to_owned()), true),
            (Condition::Sound, Some(file)) => match file.write(&changes, manifest, lazy) {
                Ok(()) => return Ok(()),
                Err(trouble) => (trouble, true),
            },
        };
        self.replace(&mut disk, &trouble, is_new)
    }

    /// Writes what lazy commits left behind and closes the file. Later commits stay in memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(&self) -> Result<(), Error> {
        let mut disk = self.disk();
        let manifest = {
            let mut mirror = self.mirror();
            if !matches!(mirror.condition, Condition::InMemory | Condition::Taken(_)) {
                mirror.condition = Condition::Closed;
            }
            mirror.manifest
        };
        let Some(mut file) = disk.file.take() else {
            return Ok(());
        };
        let written = file.write(&[], manifest, false);
        file.close();
        let path = self.path.clone().unwrap_or_default();
        written.map_err(|trouble| error(&path, &trouble))
    }

    /// The file broke: put a new one in its place.
    fn replace(&self, disk: &mut Disk, trouble: &Trouble, is_new: bool) -> Result<(), Error> {
        let path = self.path.clone().unwrap_or_default();
        if is_new {
            tracing::error!(path = %path.display(), %trouble, "the store broke; writing a new one");
        }
        self.mirror().condition = Condition::Failing(trouble.to_string());
        if let Some(mut file) = disk.file.take() {
            file.close();
        }
        if matches!(trouble, Trouble::Damaged(_))
            && let Err(error) = file::set_aside(&path, 0)
        {
            tracing::warn!(%error, "the broken store cannot be set aside");
        }
        let (records, manifest) = {
            let mirror = self.mirror();
            (mirror.records.clone(), mirror.manifest)
        };
        let written = File::open(&path).and_then(|loaded| {
            let mut file = loaded.file;
            write_all(&mut file, &loaded.records, &records, manifest).map(|()| file)
        });
        let identity = file::identity(&path);
        let mut mirror = self.mirror();
        match written {
            Ok(file) => {
                mirror.identity = identity;
                disk.file = Some(file);
                mirror.condition = Condition::Sound;
                mirror.recreated += 1;
                tracing::info!(path = %path.display(), "the store is written again");
                Ok(())
            }
            Err(trouble) => {
                mirror.condition = match trouble {
                    Trouble::InUse => Condition::Taken(trouble.to_string()),
                    Trouble::Io(_) | Trouble::Damaged(_) => Condition::Failing(trouble.to_string()),
                };
                if is_new {
                    tracing::error!(path = %path.display(), %trouble, "the store cannot be written; going on in memory");
                }
                Err(error(&path, &trouble))
            }
        }
    }
}

impl Mirror {
    /// Changes the mirror; of several changes to a key the last one counts.
    fn apply(&mut self, changes: Vec<Change>) -> Vec<Change> {
        for (key, payload) in &changes {
            if let Some(old) = self.records.remove(key) {
                self.manifest.remove(key, &old);
            }
            if let Some(payload) = payload {
                self.manifest.add(key, payload);
                self.records.insert(key.clone(), payload.clone());
            }
        }
        changes
    }
}

/// Makes the file hold exactly `wanted`.
fn write_all(
    file: &mut File,
    held: &Records,
    wanted: &Records,
    manifest: Manifest,
) -> Result<(), Trouble> {
    let gone = held.keys().filter(|key| !wanted.contains_key(*key));
    let mut changes: Vec<Change> = gone.map(|key| (key.clone(), None)).collect();
    changes.extend(
        wanted
            .iter()
            .map(|(key, payload)| (key.clone(), Some(payload.clone()))),
    );
    file.write(&changes, manifest, false)
}

/// Opens the file; one that cannot be believed is set aside and what can be is written into a new one.
fn open_or_replace(
    path: &Path,
    at: Timestamp,
    opened: &mut Opened,
) -> Result<(File, Records), Error> {
    let mut believed = Records::new();
    match File::open(path) {
        Ok(Loaded {
            file,
            records,
            flaws,
        }) => {
            if flaws.is_empty() {
                return Ok((file, records));
            }
            opened.notes.extend(flaws);
            believed = records;
        }
        Err(Trouble::Damaged(reason)) => opened.notes.push(reason),
        Err(trouble) => return Err(error(path, &trouble)),
    }
    let aside = file::set_aside(path, at.as_millis()).map_err(|error| Error::Io {
        path: path.to_owned(),
        reason: format!("is damaged and cannot be set aside: {error}"),
    })?;
    opened.notes.push(format!(
        "{} records of the damaged file are kept",
        believed.len()
    ));
    opened.set_aside = Some(aside);
    let mut manifest = Manifest::default();
    for (key, payload) in &believed {
        manifest.add(key, payload);
    }
    let fresh = File::open(path).and_then(|loaded| {
        let mut file = loaded.file;
        write_all(&mut file, &loaded.records, &believed, manifest).map(|()| file)
    });
    let file = fresh.map_err(|trouble| error(path, &trouble))?;
    Ok((file, believed))
}

fn error(path: &Path, trouble: &Trouble) -> Error {
    match trouble {
        Trouble::InUse => Error::InUse {
            path: path.to_owned(),
        },
        Trouble::Io(reason) | Trouble::Damaged(reason) => Error::Io {
            path: path.to_owned(),
            reason: reason.clone(),
        },
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(reason) | Self::Io(reason) => f.write_str(reason),
            Self::InUse => f.write_str("in use by another process"),
        }
    }
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Option<T> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(key, %error, "a stored record is of another shape and is not used");
            None
        }
    }
}
