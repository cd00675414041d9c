//! The metric names of a target: to recognise its server, and to find rules without data.

use std::collections::BTreeMap;

use crate::scrape::Exposition;
use crate::scrape::parse::{FamilyType, Parser, Series, SyntaxError};

/// The sample names of one scrape and their types.
#[derive(Debug, Clone, Default)]
pub struct Exposed {
    types: BTreeMap<String, FamilyType>,
}

impl Exposed {
    /// The names of a body.
    ///
    /// # Errors
    /// The first line that is not in exposition format.
    pub fn read(exposition: &Exposition) -> Result<Self, SyntaxError> {
        let mut exposed = Self::default();
        exposed.add(exposition)?;
        Ok(exposed)
    }

    /// Adds the names of another body.
    ///
    /// # Errors
    /// The first line that is not in exposition format.
    pub fn add(&mut self, exposition: &Exposition) -> Result<(), SyntaxError> {
        let body: &[u8] = &exposition.body;
        let mut parser = Parser::new(body, exposition.format);
        let mut series = Series::default();
        while parser.next_sample(&mut series)?.is_some() {
            let name = series.name.text(body);
            if !self.types.contains_key(&*name) {
                let found = parser.family().type_of(&name);
                self.types.insert(name.into_owned(), found);
            }
        }
        Ok(())
    }

    /// Whether there is a sample of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.types.contains_key(name)
    }

    /// The type of the family that a sample belongs to.
    #[must_use]
    pub fn type_of(&self, name: &str) -> Option<FamilyType> {
        self.types.get(name).copied()
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }
}
