//! The store: a mirror in memory over a file that may be missing, damaged or gone.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// State that survives the process. Reads come from memory; a commit reaches the disk before it returns.
pub struct Store {
    inner: Mutex<Inner>,
}

/// Why nothing is written any more.
#[derive(Debug, Clone)]
enum Closed {
    ByOwner,
    Failed(String),
}

struct Inner {
    path: Option<PathBuf>,
    /// `None` in memory, or after a failure that could not be mended.
    file: Option<File>,
    closed: Option<Closed>,
    records: Records,
    manifest: Manifest,
    recreated: u64,
    /// Another process opened the file while this one made it anew.
    taken: bool,
    /// Which file was opened; another one at its path is another process'.
    identity: Option<(u64, u64)>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        f.debug_struct("Store")
            .field("path", &inner.path)
            .field("records", &inner.records.len())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A store that forgets everything with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            inner: Mutex::new(Inner {
                path: None,
                file: None,
                closed: None,
                records: Records::new(),
                manifest: Manifest::default(),
                recreated: 0,
                taken: false,
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
        let mut manifest = Manifest::default();
        for (key, payload) in &records {
            manifest.add(key, payload);
        }
        let inner = Inner {
            identity: file::identity(&path),
            path: Some(path),
            file: Some(file),
            closed: None,
            records,
            manifest,
            recreated: 0,
            taken: false,
        };
        let store = Self {
            inner: Mutex::new(inner),
        };
        Ok((store, opened))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether commits reach a disk.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.inner().file.is_some()
    }

    /// How often the file had to be made anew since it was opened.
    #[must_use]
    pub fn recreated(&self) -> u64 {
        self.inner().recreated
    }

    /// Whether another process has the file now, so that this one must stop.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let inner = self.inner();
        let replaced = || {
            let found = inner.path.as_deref().and_then(file::identity);
            inner.file.is_some() && found.is_some() && found != inner.identity
        };
        inner.taken || replaced()
    }

    /// Whether the file system keeps other processes out; `true` in memory.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        let inner = self.inner();
        match (&inner.path, &inner.file) {
            (Some(path), Some(_)) => file::is_locked(path),
            _ => true,
        }
    }

    /// A record, `None` when there is none or it is not what is asked for.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Option<T> {
        let inner = self.inner();
        let key = kind.key(name);
        decode(&key, inner.records.get(&key)?)
    }

    /// Whether there is a record of this name.
    #[must_use]
    pub fn contains(&self, kind: Kind, name: &str) -> bool {
        self.inner().records.contains_key(&kind.key(name))
    }

    /// How many records of a kind there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        let inner = self.inner();
        let prefix = kind.prefix();
        let from = inner.records.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).count()
    }

    /// Every record of a kind by name. One that cannot be decoded is left out and logged.
    #[must_use]
    pub fn all<T: DeserializeOwned>(&self, kind: Kind) -> Vec<(String, T)> {
        let inner = self.inner();
        let prefix = kind.prefix();
        let of_kind = inner
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
        let inner = self.inner();
        let prefix = kind.prefix();
        let from = inner.records.range(prefix.to_owned()..);
        from.map_while(|(key, _)| key.strip_prefix(prefix))
            .map(str::to_owned)
            .collect()
    }

    /// Commits a batch, all of it or nothing. Blocks until it is on the disk, unless the batch is lazy.
    ///
    /// A file that breaks while running is replaced by a new one with everything in it; when that fails too, the
    /// store goes on in memory and every later commit says so.
    ///
    /// # Errors
    /// When the batch is not on the disk. It is in memory all the same.
    pub fn commit(&self, batch: Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut inner = self.inner();
        let lazy = batch.lazy;
        let changes = inner.apply(batch.changes);
        match inner.closed.clone() {
            None => {}
            Some(Closed::ByOwner) => return Err(Error::Closed("it was closed".to_owned())),
            // What the other process wrote since must not be undone.
            Some(Closed::Failed(reason)) if inner.taken => return Err(Error::Closed(reason)),
            // A full disk may have room again.
            Some(Closed::Failed(reason)) => return inner.replace(&Trouble::Io(reason)),
        }
        let manifest = inner.manifest;
        let Some(file) = &mut inner.file else {
            return Ok(());
        };
        match file.write(&changes, manifest, lazy) {
            Ok(()) => Ok(()),
            Err(trouble) => inner.replace(&trouble),
        }
    }

    /// Writes what lazy commits left behind and closes the file. Later commits stay in memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(&self) -> Result<(), Error> {
        let mut inner = self.inner();
        let manifest = inner.manifest;
        let Some(mut file) = inner.file.take() else {
            return Ok(());
        };
        let written = file.write(&[], manifest, false);
        file.close();
        inner.closed = Some(Closed::ByOwner);
        let path = inner.path.clone().unwrap_or_default();
        written.map_err(|trouble| error(&path, &trouble))
    }
}

impl Inner {
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

    /// The file broke: put a new one in its place.
    fn replace(&mut self, trouble: &Trouble) -> Result<(), Error> {
        let path = self.path.clone().unwrap_or_default();
        tracing::error!(path = %path.display(), %trouble, "the store broke; writing a new one");
        if let Some(mut file) = self.file.take() {
            file.close();
        }
        if matches!(trouble, Trouble::Damaged(_))
            && let Err(error) = file::set_aside(&path, 0)
        {
            tracing::warn!(%error, "the broken store cannot be set aside");
        }
        let written = File::open(&path).and_then(|loaded| {
            let mut file = loaded.file;
            write_all(&mut file, &loaded.records, &self.records, self.manifest).map(|()| file)
        });
        match written {
            Ok(file) => {
                self.identity = file::identity(&path);
                self.file = Some(file);
                self.closed = None;
                self.recreated += 1;
                Ok(())
            }
            Err(trouble) => {
                self.taken |= matches!(trouble, Trouble::InUse);
                self.closed = Some(Closed::Failed(trouble.to_string()));
                tracing::error!(path = %path.display(), %trouble, "the store cannot be written; going on in memory");
                Err(error(&path, &trouble))
            }
        }
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
