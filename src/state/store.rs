//! The store: a mirror in memory over a file that may be missing, damaged or deleted.

use std::fmt;
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};
use serde::de::DeserializeOwned;

use crate::metric::Timestamp;

use super::batch::Change;
use super::file::{self, File, FileError, Loaded, Records};
use super::record::Manifest;
use super::{Batch, Error, Kind, payload};

/// Name of the file under `storage.path`.
const FILE: &str = "sidewatch.redb";

/// What opening the store found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// Where the damaged file was moved.
    pub set_aside: Option<PathBuf>,
    /// Lines for the log: damage, missing records, a recovery after a crash.
    pub notes: Vec<String>,
    /// Number of records.
    pub records: usize,
}

/// State that survives the process. Reads come from memory and never wait for the disk; a commit
/// returns when it has reached the disk.
pub struct Store {
    path: Option<PathBuf>,
    /// Locked while the disk works. Lock it before `mirror`.
    disk: Mutex<Disk>,
    /// Never locked while the disk works.
    mirror: Mutex<Mirror>,
}

/// The condition of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// There is no file.
    InMemory,
    Sound,
    /// The last commit failed; the next one tries again.
    Failing(String),
    /// The owner has closed the file.
    Closed,
    /// Another process opened the file while this one was recreating it. The changes of the other
    /// process must not be overwritten.
    Taken(String),
}

struct Disk {
    /// `None` in memory, after a failed recreation, and when closed.
    file: Option<File>,
}

struct Mirror {
    condition: Condition,
    records: Records,
    manifest: Manifest,
    /// Device and inode of the opened file. A different file at the path belongs to another
    /// process.
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
    /// A store without a file.
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
                identity: None,
            }),
        }
    }

    /// Whether this directory contains a store.
    #[must_use]
    pub fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Opens the store in a directory; creates both if they are missing.
    ///
    /// A file that is damaged or of another version is set aside, and its valid records are kept.
    /// `at` is part of the name of the file that is set aside.
    ///
    /// # Errors
    /// When another process has the store open, or the system refuses.
    pub fn open(directory: &Path, at: Timestamp) -> Result<(Self, Opened), Error> {
        let io = |error: std::io::Error| Error::Io {
            path: directory.to_owned(),
            reason: error.to_string(),
        };
        file::create_directory(directory).map_err(io)?;
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

    /// Blocks every write while the returned guard is held.
    #[cfg(test)]
    pub(crate) fn hang(&self) -> impl Sized + '_ {
        self.disk()
    }

    /// Whether the last commit reached the disk.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.mirror().condition == Condition::Sound
    }

    /// Whether the store has a file that it writes or, after a failure, tries to write.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(
            self.mirror().condition,
            Condition::Sound | Condition::Failing(_)
        )
    }

    /// Whether another process has replaced or taken the file, so that this one must stop.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let look = || {
            let mirror = self.mirror();
            (mirror.condition.clone(), mirror.identity)
        };
        let before = look();
        match before.0 {
            Condition::Taken(_) => true,
            Condition::Sound => {
                let found = self.path.as_deref().and_then(file::identity);
                // Not if this process has recreated the file in the meantime.
                found.is_some() && found != before.1 && look() == before
            }
            Condition::InMemory | Condition::Failing(_) | Condition::Closed => false,
        }
    }

    /// Whether the file lock keeps other processes out; `true` without a file.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        match &self.path {
            Some(path) if self.is_durable() => file::is_locked(path),
            _ => true,
        }
    }

    /// Reads a record; `None` if it does not exist or cannot be decoded.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Option<T> {
        let mirror = self.mirror();
        let key = kind.key(name);
        decode(&key, mirror.records.get(&key)?)
    }

    /// Whether a record exists.
    #[must_use]
    pub fn contains(&self, kind: Kind, name: &str) -> bool {
        self.mirror().records.contains_key(&kind.key(name))
    }

    /// The number of records of a kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        let mirror = self.mirror();
        let prefix = kind.prefix();
        let from = mirror.records.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).count()
    }

    /// All records of a kind by name. Records that cannot be decoded are logged and left out.
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

    /// The names of the records of a kind.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let mirror = self.mirror();
        let prefix = kind.prefix();
        let from = mirror.records.range(prefix.to_owned()..);
        from.map_while(|(key, _)| key.strip_prefix(prefix))
            .map(str::to_owned)
            .collect()
    }

    /// Commits a batch atomically. Blocks until it is on the disk, unless the batch is lazy.
    ///
    /// After a write error, a new file with all records replaces the old one. If that fails too,
    /// the store continues in memory; every later commit, even an empty one, tries again.
    ///
    /// # Errors
    /// When the batch is not on the disk. It is in memory nevertheless.
    pub fn commit(&self, batch: Batch) -> Result<(), Error> {
        let mut disk = self.disk();
        let lazy = batch.lazy;
        let (changes, manifest, condition) = {
            let mut mirror = self.mirror();
            let changes = mirror.apply(batch.changes);
            (changes, mirror.manifest, mirror.condition.clone())
        };
        let (failure, is_new) = match (condition, &mut disk.file) {
            (Condition::InMemory, _) => return Ok(()),
            (Condition::Taken(reason), _) => return Err(Error::Closed(reason)),
            (Condition::Closed, _) => return Err(Error::Closed("it was closed".to_owned())),
            // A full disk may have space again.
            (Condition::Failing(reason), _) => (FileError::Io(reason), false),
            (Condition::Sound, _) if changes.is_empty() => return Ok(()),
            (Condition::Sound, None) => (FileError::Io("the file is closed".to_owned()), true),
            (Condition::Sound, Some(file)) => match file.write(&changes, manifest, lazy) {
                Ok(()) => return Ok(()),
                Err(error) => (error, true),
            },
        };
        self.recreate(&mut disk, &failure, is_new)
    }

    /// Writes pending lazy commits and closes the file. Later commits stay in memory.
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
        written.map_err(|failure| error(&path, &failure))
    }

    /// Replaces the file by a new one after a failure. `is_new` is false for a known failure, which
    /// is not logged again.
    fn recreate(&self, disk: &mut Disk, failure: &FileError, is_new: bool) -> Result<(), Error> {
        let path = self.path.clone().unwrap_or_default();
        if is_new {
            tracing::error!(path = %path.display(), %failure, "the store failed; recreating the file");
        }
        self.mirror().condition = Condition::Failing(failure.to_string());
        if let Some(mut file) = disk.file.take() {
            file.close();
        }
        if matches!(failure, FileError::Damaged(_))
            && let Err(error) = file::set_aside(&path, 0)
        {
            tracing::warn!(%error, "cannot set the damaged store aside");
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
                tracing::info!(path = %path.display(), "the store was recreated");
                Ok(())
            }
            Err(failure) => {
                mirror.condition = match failure {
                    FileError::InUse => Condition::Taken(failure.to_string()),
                    FileError::Io(_) | FileError::Damaged(_) => {
                        Condition::Failing(failure.to_string())
                    }
                };
                if is_new {
                    tracing::error!(path = %path.display(), %failure, "cannot write the store; continuing in memory");
                }
                Err(error(&path, &failure))
            }
        }
    }
}

impl Mirror {
    /// Applies changes to the mirror in order and returns them.
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

/// Makes `wanted` the content of the file, which contains `held`.
fn write_all(
    file: &mut File,
    held: &Records,
    wanted: &Records,
    manifest: Manifest,
) -> Result<(), FileError> {
    let mut changes: Vec<Change> = held
        .keys()
        .filter(|key| !wanted.contains_key(*key))
        .map(|key| (key.clone(), None))
        .collect();
    changes.extend(
        wanted
            .iter()
            .map(|(key, payload)| (key.clone(), Some(payload.clone()))),
    );
    file.write(&changes, manifest, false)
}

/// Opens the file. A damaged one is set aside, and its valid records are written into a new file.
fn open_or_replace(
    path: &Path,
    at: Timestamp,
    opened: &mut Opened,
) -> Result<(File, Records), Error> {
    let mut valid = Records::new();
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
            valid = records;
        }
        Err(FileError::Damaged(reason)) => opened.notes.push(reason),
        Err(failure) => return Err(error(path, &failure)),
    }
    let aside = file::set_aside(path, at.as_millis()).map_err(|error| Error::Io {
        path: path.to_owned(),
        reason: format!("the file is damaged and cannot be set aside: {error}"),
    })?;
    opened.notes.push(format!(
        "{} valid records of the damaged file were kept",
        valid.len()
    ));
    opened.set_aside = Some(aside);
    let mut manifest = Manifest::default();
    for (key, payload) in &valid {
        manifest.add(key, payload);
    }
    let fresh = File::open(path).and_then(|loaded| {
        let mut file = loaded.file;
        write_all(&mut file, &loaded.records, &valid, manifest).map(|()| file)
    });
    let file = fresh.map_err(|failure| error(path, &failure))?;
    Ok((file, valid))
}

fn error(path: &Path, failure: &FileError) -> Error {
    match failure {
        FileError::InUse => Error::InUse {
            path: path.to_owned(),
        },
        FileError::Io(reason) | FileError::Damaged(reason) => Error::Io {
            path: path.to_owned(),
            reason: reason.clone(),
        },
    }
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Option<T> {
    match payload::decode(bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(key, %error, "cannot decode a stored record; ignoring it");
            None
        }
    }
}
