//! One description per key: what a section of a file may hold, and everything that follows from it.
//!
//! [`section!`] declares a struct and describes its keys in one place. Reading (every problem at
//! once), JSON Schema and reference pages are derived from the same declaration. The module does
//! no I/O and knows nothing of YAML: files and strategies' parameters arrive as a tree of
//! [`Value`]s.

mod fields;
mod key;
mod markdown;
mod matcher;
mod read;
mod schema;
mod secrecy;
mod section;
mod shape;
mod url;
mod value;
mod words;

pub use crate::{section, worded, written};
pub use fields::Fields;
#[doc(hidden)]
pub use key::one_text;
pub use key::{Alternative, Choice, Description, Key, Kind, Limits, Reload, Scalar, Word};
pub use markdown::Markdown;
pub use matcher::EnvMatcher;
pub use read::{Environment, Fault, Node, ReadContext, Reader};
pub use schema::json_schema;
pub use section::Keys;
pub use shape::{EnvLabels, EnvText, FilePath, Folder, Shape, Size, TEXT, TextMap, read_word};
pub use url::{HttpUrl, ServerUrl, bare_url, host, is_http_url, without_user, wrong_url};
pub use value::{Lines, Value};
