//! placeholder until the client lands
/// Settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {}
