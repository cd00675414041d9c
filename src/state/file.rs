//! The redb file. The only place that calls redb, and that expects it to panic.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition,
};

use super::batch::Change;
use super::record::{self, Flaw, Manifest, VERSION};

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// One record under this key says which records there should be.
const MANIFEST_TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("manifest");
const MANIFEST: &str = "manifest";
/// redb's page cache; what is stored is mirrored in memory anyway.
const CACHE: usize = 2 * 1024 * 1024;
/// Set-aside files kept per directory.
const KEPT: usize = 3;

/// Records by key.
pub(super) type Records = BTreeMap<String, Vec<u8>>;

/// Why the file cannot be used.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What is in it cannot be believed.
    Damaged(String),
    /// Another process has it.
    InUse,
    /// The system refuses.
    Io(String),
}

/// An open file.
pub(super) struct File {
    database: Option<Database>,
}

/// What an open file held.
pub(super) struct Loaded {
    pub(super) file: File,
    /// The records that can be believed.
    pub(super) records: Records,
    /// What cannot, in words; empty when all is well.
    pub(super) flaws: Vec<String>,
}

/// Runs code that may panic on a damaged file.
fn guarded<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Trouble::Damaged(format!(
            "redb panicked: {}",
            text.unwrap_or_default()
        )))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn storage(error: StorageError) -> Trouble {
    if let StorageError::Io(error) = &error {
        return from_io(error);
    }
    let system = matches!(
        error,
        StorageError::PreviousIo | StorageError::DatabaseClosed | StorageError::Backend(_)
    );
    let text = error.to_string();
    if system {
        Trouble::Io(text)
    } else {
        Trouble::Damaged(text)
    }
}

fn from_io(error: &io::Error) -> Trouble {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let damaged = matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
    let text = error.to_string();
    if damaged {
        Trouble::Damaged(text)
    } else {
        Trouble::Io(text)
    }
}

fn other(error: impl Into<redb::Error>) -> Trouble {
    let error = error.into();
    if let redb::Error::Io(error) = &error {
        return from_io(error);
    }
    let system = matches!(error, redb::Error::PreviousIo | redb::Error::DatabaseClosed);
    let text = error.to_string();
    if system {
        Trouble::Io(text)
    } else {
        Trouble::Damaged(text)
    }
}

fn opening(error: DatabaseError) -> Trouble {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
        return Trouble::InUse;
    }
    other(error)
}

impl File {
    /// Opens or creates the file and reads everything in it.
    pub(super) fn open(path: &Path) -> Result<Loaded, Trouble> {
        let existed = fs::metadata(path).is_ok();
        let empty = fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0);
        let mut file = guarded(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE);
            builder.set_check_integrity_on_open(existed && !empty);
            let database = builder.create(path).map_err(opening)?;
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
            Err(trouble) => {
                file.close();
                Err(trouble)
            }
        }
    }

    fn read(&self) -> Result<(Records, Vec<String>), Trouble> {
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
                        "record {key:?} is of version {version}, this program writes version {VERSION}"
                    );
                    flaws.push(text);
                }
                Err(Flaw::Checksum) => {
                    flaws.push(format!("record {key:?} does not fit its checksum"));
                }
            }
        }
        let table = transaction.open_table(MANIFEST_TABLE).map_err(other)?;
        let stored = table.get(MANIFEST).map_err(storage)?;
        let expected = record::seal(MANIFEST, &manifest.to_bytes());
        if flaws.is_empty() && stored.is_none_or(|stored| stored.value() != expected) {
            flaws.push("the records are not those that were written last".to_owned());
        }
        Ok((records, flaws))
    }

    /// Commits changes and the manifest that results from them.
    pub(super) fn write(
        &mut self,
        changes: &[Change],
        manifest: Manifest,
        lazy: bool,
    ) -> Result<(), Trouble> {
        let Some(database) = &self.database else {
            return Err(Trouble::Io("the file is closed".to_owned()));
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

    /// Closes the file, whatever state it is in.
    pub(super) fn close(&mut self) {
        let database = self.database.take();
        let closed = guarded(|| {
            drop(database);
            Ok(())
        });
        if let Err(trouble) = closed {
            tracing::debug!(?trouble, "the damaged store did not close cleanly");
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.close();
    }
}

/// Moves a file that cannot be believed out of the way; the oldest of those moved before are deleted.
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
    let mut kept: Vec<PathBuf> = fs::read_dir(directory)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    kept.sort_unstable();
    for old in kept.iter().rev().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(target)
}

/// Which file there is at a path, `None` when there is none.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether a lock on an open file keeps others out, as far as a second look from this process can tell.
pub(super) fn is_locked(path: &Path) -> bool {
    // Shared, since NFS gives no exclusive lock to who only reads.
    let look = fs::File::open(path).map(|file| file.try_lock_shared());
    !matches!(look, Ok(Ok(())))
}

/// Makes the directory's entry for a new file survive a crash of the machine.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}
