//! The redb file. The only file that calls redb, and that guards against its panics.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition,
};

use super::batch::Change;
use super::record::{self, Flaw, Manifest, VERSION};

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// Holds one record, the manifest: which records must exist.
const MANIFEST_TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("manifest");
const MANIFEST: &str = "manifest";
/// Size of redb's page cache in bytes; small, since all records are mirrored in memory.
const CACHE_BYTES: usize = 2 * 1024 * 1024;
/// Number of damaged files that are kept per directory.
const MAX_SET_ASIDE: usize = 3;

/// Records by key.
pub(super) type Records = BTreeMap<String, Vec<u8>>;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// The content is damaged.
    #[error("{0}")]
    Damaged(String),
    /// Another process has the file open.
    #[error("in use by another process")]
    InUse,
    /// The system refuses.
    #[error("{0}")]
    Io(String),
}

/// An open file.
pub(super) struct File {
    database: Option<Database>,
}

/// An open file and its content.
pub(super) struct Loaded {
    pub(super) file: File,
    /// The valid records.
    pub(super) records: Records,
    /// Descriptions of everything that is damaged.
    pub(super) flaws: Vec<String>,
}

/// Runs code that may panic on a damaged file.
fn guarded<T>(work: impl FnOnce() -> Result<T, FileError>) -> Result<T, FileError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(FileError::Damaged(format!("redb panicked: {message}")))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn storage(error: StorageError) -> FileError {
    if let StorageError::Io(error) = &error {
        return from_io(error);
    }
    let system = matches!(
        error,
        StorageError::PreviousIo | StorageError::DatabaseClosed | StorageError::Backend(_)
    );
    let text = error.to_string();
    if system {
        FileError::Io(text)
    } else {
        FileError::Damaged(text)
    }
}

fn from_io(error: &io::Error) -> FileError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let damaged = matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
    let text = error.to_string();
    if damaged {
        FileError::Damaged(text)
    } else {
        FileError::Io(text)
    }
}

fn other(error: impl Into<redb::Error>) -> FileError {
    let error = error.into();
    if let redb::Error::Io(error) = &error {
        return from_io(error);
    }
    let system = matches!(error, redb::Error::PreviousIo | redb::Error::DatabaseClosed);
    let text = error.to_string();
    if system {
        FileError::Io(text)
    } else {
        FileError::Damaged(text)
    }
}

fn opening(error: DatabaseError) -> FileError {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
        return FileError::InUse;
    }
    other(error)
}

/// Creates a folder and those above it, for the user of this process only; one that exists stays as
/// it is.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory)
}

/// Opens the file, or creates it for the user of this process only. A link is not followed: it
/// could lead to a file of someone else's.
fn open_own(path: &Path) -> io::Result<fs::File> {
    let is_link = |metadata: &fs::Metadata| metadata.file_type().is_symlink();
    let refused =
        || io::Error::other("it is a symbolic link, which is not followed; replace it by the file");
    if fs::symlink_metadata(path).is_ok_and(|found| is_link(&found)) {
        return Err(refused());
    }
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.mode(0o600).open(path)?;
    let (opened, found) = (file.metadata()?, fs::symlink_metadata(path)?);
    if (opened.dev(), opened.ino()) != (found.dev(), found.ino()) {
        return Err(refused());
    }
    Ok(file)
}

impl File {
    /// Opens or creates the file and reads everything in it.
    pub(super) fn open(path: &Path) -> Result<Loaded, FileError> {
        let existed = fs::metadata(path).is_ok();
        let empty = fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
        let mut file = guarded(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            builder.set_check_integrity_on_open(existed && !empty);
            let file = open_own(path).map_err(|error| from_io(&error))?;
            let backend = FileBackend::new(file).map_err(opening)?;
            let database = builder.create_with_backend(backend).map_err(opening)?;
            Ok(Self {
                database: Some(database),
            })
        })?;
        let read = guarded(|| file.read());
        match read {
            Ok((records, mut flaws)) => {
                if empty {
                    flaws.push("the file is empty".to_owned());
                }
                Ok(Loaded {
                    file,
                    records,
                    flaws,
                })
            }
            Err(error) => {
                file.close();
                Err(error)
            }
        }
    }

    fn read(&self) -> Result<(Records, Vec<String>), FileError> {
        let mut records = Records::new();
        let mut flaws = Vec::new();
        let Some(database) = &self.database else {
            return Ok((records, flaws));
        };
        let transaction = database.begin_read().map_err(other)?;
        let table = match transaction.open_table(RECORDS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok((records, flaws)),
            Err(error) => return Err(other(error)),
        };
        let mut manifest = Manifest::default();
        for entry in table.iter().map_err(storage)? {
            let (key, value) = entry.map_err(storage)?;
            let key = key.value();
            match record::unseal(key, value.value()) {
                Ok(payload) => {
                    manifest.add(key, payload);
                    records.insert(key.to_owned(), payload.to_vec());
                }
                Err(Flaw::Version(version)) => {
                    let text = format!(
                        "record {key:?} is of version {version}, this program uses version {VERSION}"
                    );
                    flaws.push(text);
                }
                Err(Flaw::Checksum) => {
                    flaws.push(format!("record {key:?} does not match its checksum"));
                }
            }
        }
        let table = transaction.open_table(MANIFEST_TABLE).map_err(other)?;
        let stored = table.get(MANIFEST).map_err(storage)?;
        let expected = record::seal(MANIFEST, &manifest.to_bytes());
        if flaws.is_empty() && stored.is_none_or(|stored| stored.value() != expected) {
            flaws.push("the records do not match the manifest".to_owned());
        }
        Ok((records, flaws))
    }

    /// Commits changes and the manifest that results from them.
    pub(super) fn write(
        &mut self,
        changes: &[Change],
        manifest: Manifest,
        lazy: bool,
    ) -> Result<(), FileError> {
        let Some(database) = &self.database else {
            return Err(FileError::Io("the file is closed".to_owned()));
        };
        guarded(|| {
            let mut transaction = database.begin_write().map_err(other)?;
            let durability = if lazy {
                Durability::None
            } else {
                Durability::Immediate
            };
            transaction.set_durability(durability).map_err(other)?;
            {
                let mut table = transaction.open_table(RECORDS).map_err(other)?;
                for (key, payload) in changes {
                    match payload {
                        Some(payload) => {
                            let sealed = record::seal(key, payload);
                            table
                                .insert(key.as_str(), sealed.as_slice())
                                .map_err(storage)?;
                        }
                        None => {
                            table.remove(key.as_str()).map_err(storage)?;
                        }
                    }
                }
                let mut table = transaction.open_table(MANIFEST_TABLE).map_err(other)?;
                let sealed = record::seal(MANIFEST, &manifest.to_bytes());
                table.insert(MANIFEST, sealed.as_slice()).map_err(storage)?;
            }
            transaction.commit().map_err(other)
        })
    }

    /// Closes the file, also after a panic.
    pub(super) fn close(&mut self) {
        let database = self.database.take();
        let closed = guarded(|| {
            drop(database);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::debug!(?error, "the damaged store did not close cleanly");
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.close();
    }
}

/// Renames a damaged file and deletes the oldest files that were renamed before. `stamp` is part of
/// the new name.
pub(super) fn set_aside(path: &Path, stamp: i64) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let prefix = format!("{name}.damaged-");
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut n = 0;
    let target = loop {
        let candidate = directory.join(format!("{prefix}{stamp:013}-{n}"));
        if fs::symlink_metadata(&candidate).is_err() {
            break candidate;
        }
        n += 1;
    };
    fs::rename(path, &target)?;
    let mut set_aside: Vec<PathBuf> = fs::read_dir(directory)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    set_aside.sort_unstable();
    for old in set_aside.iter().rev().skip(MAX_SET_ASIDE) {
        fs::remove_file(old)?;
    }
    Ok(target)
}

/// Device and inode of the file at a path; `None` without a file.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether the lock on an open file works, judged by a second attempt to lock it from this process.
pub(super) fn is_locked(path: &Path) -> bool {
    // NFS gives no exclusive lock on a file that is open for reading only.
    let second = fs::File::open(path).map(|file| file.try_lock_shared());
    !matches!(second, Ok(Ok(())))
}

/// Syncs the directory, so that a new file survives a crash of the machine.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}
