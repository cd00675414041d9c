//! The rule packs that are part of the program.

/// Name and text of each pack.
const PACKS: [(&str, &str); 0] = [];

/// The names, for messages.
pub(super) const NAMES: [&str; PACKS.len()] = names();

const fn names() -> [&'static str; PACKS.len()] {
    []
}

/// The text of a pack.
pub(super) fn find(name: &str) -> Option<&'static str> {
    PACKS
        .iter()
        .find(|(pack, _)| *pack == name)
        .map(|(_, text)| *text)
}
