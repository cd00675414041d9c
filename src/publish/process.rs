//! What the process uses, read from the kernel (`process_*`), and what it could not log.

use std::fs;

use super::catalogue;
use super::family::Family;
use crate::metric::Labels;
use crate::runtime::dropped_lines;

/// The kernel's clock ticks per second: 100 on every Linux that Rust supports.
const TICKS: f64 = 100.0;
/// Bytes in a page on the platforms that Rust's Linux targets default to.
const PAGE: f64 = 4096.0;

/// The families of this process, without those that the kernel gives no value for.
pub(super) fn families() -> Vec<Family> {
    let usage = Usage::read();
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let dropped = dropped_lines() as f64;
    [
        (&catalogue::LOG_LINES_DROPPED, Some(dropped)),
        (&catalogue::PROCESS_CPU, usage.cpu),
        (&catalogue::PROCESS_OPEN_FDS, usage.files),
        (&catalogue::PROCESS_MAX_FDS, max_files()),
        (&catalogue::PROCESS_VIRTUAL_MEMORY, usage.virtual_memory),
        (&catalogue::PROCESS_RESIDENT_MEMORY, usage.resident_memory),
        (&catalogue::PROCESS_START_TIME, usage.started),
        (&catalogue::PROCESS_THREADS, usage.threads),
    ]
    .into_iter()
    .filter_map(|(family, value)| Some(Family::new(family).with(Labels::empty(), value?)))
    .collect()
}

/// When the process started, in Unix seconds.
pub(super) fn started() -> Option<f64> {
    Usage::read().started
}

/// The values of `/proc/self/stat`, `/proc/self/fd` and `/proc/stat`; `None` where one is missing.
struct Usage {
    cpu: Option<f64>,
    files: Option<f64>,
    virtual_memory: Option<f64>,
    resident_memory: Option<f64>,
    started: Option<f64>,
    threads: Option<f64>,
}

impl Usage {
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
