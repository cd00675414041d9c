//! Reads small files under a limit: as text of a person who may be writing it, or as a secret on a
//! mount that may hang.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

/// Size limit of a secret, certificate or template file in bytes.
pub(crate) const MAX_SMALL_FILE_BYTES: u64 = 1 << 20;
/// Secret files that are read at once; a hung mount keeps a thread for each.
const MAX_READS: usize = 64;
/// How often a file that changes while it is read is read again.
const MAX_LOOKS: usize = 10;
/// Time between two looks at a file that changes.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Reads a file. Stops at the limit whatever size the file claims to have, as devices and pipes
/// claim none.
///
/// # Errors
/// When it cannot be read or has more than `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_open(&File::open(path)?, limit)
}

fn read_open(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let text = format!("it has more than the limit of {limit} bytes");
        return Err(io::Error::other(text));
    }
    Ok(bytes)
}

/// Reads a file that may be written at this moment: again until nothing about it changes meanwhile.
///
/// # Errors
/// When it cannot be read, has more than `limit` bytes or does not stop changing.
pub(crate) fn read_settled(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    settled(path, |file| read_open(file, limit))
}

fn settled(path: &Path, mut read: impl FnMut(&File) -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    for look in 0..MAX_LOOKS {
        if look > 0 {
            pause();
        }
        let file = File::open(path)?;
        let before = file.metadata()?;
        let bytes = read(&file)?;
        // A pipe can be read once only.
        if !before.is_file() {
            return Ok(bytes);
        }
        // By its name, since the file may have been replaced too.
        let after = path.metadata()?;
        if before.len() == bytes.len() as u64 && signs(&before) == signs(&after) {
            return Ok(bytes);
        }
    }
    Err(io::Error::other("it changes while it is read"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "files are read on threads that may block"
)]
fn pause() {
    thread::sleep(LOOK_INTERVAL);
}

/// What changes when a file is written or replaced.
fn signs(metadata: &Metadata) -> [i64; 4] {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    [
        number(metadata.ino()),
        number(metadata.size()),
        metadata.mtime(),
        metadata.mtime_nsec(),
    ]
}

/// The content of a file, or why there is none.
type Content = Result<Arc<[u8]>, String>;
/// A read that every caller that wants the file meanwhile waits for.
type Reading = Shared<BoxFuture<'static, Content>>;

/// Reads that have not ended.
static UNDER_WAY: LazyLock<Mutex<HashMap<PathBuf, Reading>>> = LazyLock::new(Mutex::default);

/// Reads a file of at most 1 MiB, one reader at a time for each file: a mount that hangs keeps one
/// thread and not one for each request.
///
/// # Errors
/// Why it cannot be read.
pub(crate) async fn read_small(path: &Path) -> Content {
    let reading = {
        let mut under_way = UNDER_WAY.lock();
        match under_way.get(path) {
            Some(reading) => reading.clone(),
            None if under_way.len() >= MAX_READS => {
                return Err(format!("{MAX_READS} other files do not answer"));
            }
            None => {
                let reading = start(path.to_owned());
                under_way.insert(path.to_owned(), reading.clone());
                reading
            }
        }
    };
    reading.await
}

fn start(path: PathBuf) -> Reading {
    let wanted = path.clone();
    let work = spawn_blocking(move || {
        let content = read_limited(&wanted, MAX_SMALL_FILE_BYTES);
        UNDER_WAY.lock().remove(&wanted);
        content.map(Arc::from).map_err(|error| error.to_string())
    });
    let reading = async move {
        work.await.unwrap_or_else(|error| {
            UNDER_WAY.lock().remove(&path);
            Err(error.to_string())
        })
    };
    reading.boxed().shared()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::{MAX_LOOKS, UNDER_WAY, read_limited, read_open, read_settled, read_small, settled};

    #[test]
    fn a_device_without_end_is_read_up_to_the_limit() {
        let error = read_limited(Path::new("/dev/zero"), 1000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has more than the limit of 1000 bytes"
        );
        let error = read_settled(Path::new("/dev/zero"), 1000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has more than the limit of 1000 bytes"
        );
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.yaml");
        fs::write(&path, "groups: []\n").unwrap();
        assert_eq!(read_settled(&path, 100).unwrap(), b"groups: []\n");
        let appends = |times: usize| {
            let (path, mut reads) = (path.clone(), 0);
            move |file: &File| {
                let bytes = read_open(file, 100)?;
                reads += 1;
                if reads <= times {
                    let mut writer = File::options().append(true).open(&path)?;
                    writer.write_all(b"#")?;
                }
                Ok(bytes)
            }
        };
        assert_eq!(settled(&path, appends(2)).unwrap(), b"groups: []\n##");
        let error = settled(&path, appends(MAX_LOOKS)).unwrap_err();
        assert_eq!(error.to_string(), "it changes while it is read");
    }

    #[tokio::test]
    async fn a_mount_that_hangs_keeps_one_thread_for_each_file() {
        let dir = tempfile::tempdir().unwrap();
        // Opening a pipe waits for a writer.
        let pipe = dir.path().join("secret");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        for _ in 0..100 {
            let read = timeout(Duration::from_millis(1), read_small(&pipe)).await;
            assert!(read.is_err(), "still hanging");
        }
        assert!(UNDER_WAY.lock().contains_key(&pipe));
        let writer = pipe.clone();
        let write = std::thread::spawn(move || fs::write(writer, "sesame").unwrap());
        assert_eq!(&*read_small(&pipe).await.unwrap(), b"sesame");
        write.join().unwrap();
        assert!(!UNDER_WAY.lock().contains_key(&pipe));
        let gone = read_small(&dir.path().join("none")).await.unwrap_err();
        assert!(gone.contains("No such file"), "{gone}");
    }
}
