//! Names for labels that may not keep their own.

/// Prefix of a renamed label, as in Prometheus.
const EXPORTED: &str = "exported_";

/// The name with the prefix `exported_`, repeated until the name is not taken.
#[must_use]
pub fn exported_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut free = format!("{EXPORTED}{name}");
    while is_taken(&free) {
        free.insert_str(0, EXPORTED);
    }
    free
}
