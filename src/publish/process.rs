//! `process_*`, read from the kernel.

use std::fs;

use super::families::{Family, Kind};
use crate::metric::Labels;

/// The kernel's clock ticks per second: 100 on every Linux that Rust supports.
const TICKS: f64 = 100.0;
/// Bytes in a page on the platforms that Rust's Linux targets default to.
const PAGE: f64 = 4096.0;

/// The families of this process; what the kernel does not tell is left out.
pub(super) fn families() -> Vec<Family> {
    let known = Known::read();
    let gauge = Kind::Gauge;
    [
        (
            Kind::Counter,
            "process_cpu_seconds_total",
            "User and system time spent.",
            known.cpu,
        ),
        (
            gauge,
            "process_open_fds",
            "Open file descriptors.",
            known.files,
        ),
        (
            gauge,
            "process_max_fds",
            "Most file descriptors that may be open.",
            max_files(),
        ),
        (
            gauge,
            "process_virtual_memory_bytes",
            "Size of the address space.",
            known.virtual_memory,
        ),
        (
            gauge,
            "process_resident_memory_bytes",
            "Memory in use.",
            known.resident_memory,
        ),
        (
            gauge,
            "process_start_time_seconds",
            "Start of the process since the epoch.",
            known.started,
        ),
        (
            gauge,
            "process_threads",
            "Threads of the process.",
            known.threads,
        ),
    ]
    .into_iter()
    .filter_map(|(kind, name, help, value)| {
        Some(Family::new(kind, name, help).with(Labels::empty(), value?))
    })
    .collect()
}

/// What `/proc/self/stat` and its neighbours tell.
struct Known {
    cpu: Option<f64>,
    files: Option<f64>,
    virtual_memory: Option<f64>,
    resident_memory: Option<f64>,
    started: Option<f64>,
    threads: Option<f64>,
}

impl Known {
    fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The command's name may hold anything, parentheses included.
        let rest = stat.rsplit_once(") ").map(|(_, rest)| rest);
        let fields: Vec<&str> = rest
            .map(|rest| rest.split(' ').collect())
            .unwrap_or_default();
        let number = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
        #[expect(clippy::cast_precision_loss, reason = "a count of files")]
        let files = fs::read_dir("/proc/self/fd")
            .ok()
            .map(|entries| entries.count() as f64);
        Self {
            cpu: number(11)
                .zip(number(12))
                .map(|(user, system)| (user + system) / TICKS),
            files,
            virtual_memory: number(20),
            resident_memory: number(21).map(|pages| pages * PAGE),
            started: number(19)
                .zip(boot_time())
                .map(|(ticks, boot)| boot + ticks / TICKS),
            threads: number(17),
        }
    }
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn max_files() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
