//! Recorded scrapes of real model servers; `tests/fixtures/recordings/README.md` says where they
//! come from.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The recorded servers; each has an archive, which unpacks to a folder of the same name.
pub(crate) const SERVERS: [&str; 6] = [
    "custom_multiprocess",
    "custom_prometheus_client",
    "kserve",
    "mlserver",
    "torchserve",
    "triton",
];

/// Unpacks the recordings of all [`SERVERS`] to a folder that is removed with the returned value.
pub(crate) fn recordings() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for server in SERVERS {
        unpack(server, dir.path());
    }
    dir
}

/// Unpacks the recordings of one server to `dir/SERVER` and returns that folder.
pub(crate) fn unpack(server: &str, dir: &Path) -> PathBuf {
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings");
    let output = Command::new("tar")
        .arg("-xzf")
        .arg(archives.join(format!("{server}.tar.gz")))
        .arg("-C")
        .arg(dir)
        .output()
        .expect("tar is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{server}: {error}");
    dir.join(server)
}
