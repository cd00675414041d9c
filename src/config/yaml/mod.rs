//! YAML text → a tree and the line of every place in it. The only folder that imports the YAML
//! libraries.
//!
//! `serde_yaml` decides what the text means; it keeps no positions, so the events of
//! `saphyr-parser` give the line of each path.

mod document;
mod places;
mod tree;

pub(crate) use document::Document;
pub(super) use places::{Scalar, Scalars, scalars};
pub(super) use tree::to_yaml;
