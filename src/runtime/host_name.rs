//! The name of the machine.

use std::{env, fs};

/// Where Linux shows the name.
const KERNEL: &str = "/proc/sys/kernel/hostname";

/// The name of the machine, or of the pod; `localhost` where it is not known.
pub(crate) fn host_name() -> String {
    let kernel = fs::read_to_string(KERNEL).ok();
    let known = kernel.or_else(|| env::var("HOSTNAME").ok());
    let name = known.unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}
