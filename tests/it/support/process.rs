//! Child processes: the sidewatch binary, and real Prometheus and Alertmanager.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{get_text, until};

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The path of an outside program on the PATH; if missing, prints why the test skips.
///
/// # Panics
/// If the program is missing and `SIDEWATCH_REQUIRE_TOOLS` is set, as in CI.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("SIDEWATCH_REQUIRE_TOOLS").is_none(),
            "{name} is not on the PATH; scripts/tools installs it"
        );
        eprintln!("skipped: {name} is not on the PATH; scripts/tools installs it");
    }
    found
}

/// A real Alertmanager, alone, with the `am.yml` of the folder, on a free port; its URL once it is
/// ready.
pub(crate) async fn start_alertmanager(binary: &Path, dir: &Path) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = [
        "--config.file=am.yml",
        "--storage.path=am",
        listen.as_str(),
        "--cluster.listen-address=",
    ];
    let process = Process::start(binary, &args, dir);
    let url = format!("http://{address}");
    until("Alertmanager", Duration::from_secs(30), async || {
        get_text(&format!("{url}/-/ready")).await
    })
    .await;
    (process, url)
}

/// A child whose output goes to a file and which is killed with the test.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its output lands in `dir/NAME.log`.
    pub(crate) fn start(program: &Path, args: &[&str], dir: &Path) -> Self {
        let name = program.file_name().unwrap().to_string_lossy();
        let log = dir.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = Command::new(program)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Starts the sidewatch binary.
    pub(crate) fn sidewatch(args: &[&str], dir: &Path) -> Self {
        Self::start(Path::new(env!("CARGO_BIN_EXE_sidewatch")), args, dir)
    }

    /// Its output so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The ids of the retraining requests in its log.
    pub(crate) fn decided(&self) -> BTreeSet<String> {
        let output = self.output();
        let asked = output.split("asking for retraining id=\"").skip(1);
        asked
            .filter_map(|rest| rest.split('"').next())
            .map(str::to_owned)
            .collect()
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends.
    pub(crate) async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let child = &mut self.child;
        until("the process to end", deadline, async || {
            child.try_wait().unwrap().ok_or("still running")
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let killed = self.child.kill().and_then(|()| self.child.wait());
            if let Err(error) = killed {
                eprintln!("could not end the process: {error}");
            }
        }
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.output());
        }
    }
}
