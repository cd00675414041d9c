//! Users of basic authentication: names and bcrypt hashes.

use std::collections::BTreeMap;
use std::fmt;

use bcrypt::HashParts;

/// The highest bcrypt cost that is accepted. At 16, each wrong password takes several seconds of a
/// core.
const MAX_COST: u32 = 16;

/// The cost for an unknown name when there is no user.
const DEFAULT_COST: u32 = 10;

/// Users by name. Neither names nor hashes show in `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<String, String>);

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.0.len())
    }
}

impl Users {
    /// Adds a user.
    ///
    /// # Errors
    /// When the name or the hash is invalid; the text never shows the hash.
    pub fn insert(&mut self, name: &str, hash: &str) -> Result<(), String> {
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            return Err("a user's name must not be empty nor hold a colon or control characters, which basic auth cannot send".to_owned());
        }
        let parts: HashParts = hash.parse().map_err(|_| {
            "must be a bcrypt hash such as $2y$10$…; make one with htpasswd -nBC 10 NAME".to_owned()
        })?;
        let cost = parts.get_cost();
        if !(4..=MAX_COST).contains(&cost) {
            return Err(format!(
                "the cost of the bcrypt hash must be between 4 and {MAX_COST}, got {cost}; make one with htpasswd -nBC 10 NAME"
            ));
        }
        self.0.insert(name.to_owned(), hash.to_owned());
        Ok(())
    }

    /// Whether there is no user, so that no password is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of a user.
    pub(super) fn hash(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A hash that no password matches, with the highest cost of all users.
    fn decoy_hash(&self) -> String {
        decoy(self.max_cost())
    }

    /// Hashes that no password matches. Comparing a password with the hash of the user, if there is
    /// one, and then with these takes as long for every name as the highest cost of all users: each
    /// step of the cost doubles the time, so that the costs k, k, k+1, … m-1 add up to cost m.
    pub(super) fn decoys(&self, name: &str) -> Vec<String> {
        match self.hash(name).and_then(cost) {
            Some(cost) => (cost..self.max_cost()).map(decoy).collect(),
            None => vec![self.decoy_hash()],
        }
    }

    fn max_cost(&self) -> u32 {
        let costs = self.0.values().filter_map(|hash| cost(hash));
        costs.max().unwrap_or(DEFAULT_COST)
    }
}

fn cost(hash: &str) -> Option<u32> {
    Some(hash.parse::<HashParts>().ok()?.get_cost())
}

fn decoy(cost: u32) -> String {
    format!("$2b${cost:02}${}", ".".repeat(53))
}

#[cfg(test)]
mod tests {
    use super::{Users, cost};

    /// Of exporter-toolkit's own tests: the password is "fakepassword".
    const HASH: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

    #[test]
    fn what_bcrypt_cannot_compare_is_refused_without_being_shown() {
        let mut users = Users::default();
        assert_eq!(users.insert("alice", HASH), Ok(()));
        for (name, hash) in [
            ("bob", "hunter2"),
            (
                "bob",
                "$2y$31$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi",
            ),
            ("a:b", HASH),
            ("", HASH),
        ] {
            let message = users.insert(name, hash).unwrap_err();
            assert!(
                !message.contains("hunter2") && !message.contains("QOau"),
                "{message}"
            );
        }
        let shown = format!("{users:?}");
        assert_eq!(shown, "Users(1)");
    }

    #[test]
    fn an_unknown_name_costs_as_much_as_the_costliest() {
        let mut users = Users::default();
        users.insert("a", &bcrypt::hash("x", 4).unwrap()).unwrap();
        users.insert("b", &bcrypt::hash("x", 5).unwrap()).unwrap();
        let decoy = users.decoy_hash();
        assert!(decoy.starts_with("$2b$05$"), "{decoy}");
        assert!(!bcrypt::verify("x", &decoy).unwrap());
    }

    #[test]
    fn a_wrong_password_costs_the_same_for_every_name() {
        let mut users = Users::default();
        users.insert("a", &bcrypt::hash("x", 4).unwrap()).unwrap();
        users.insert("b", &bcrypt::hash("x", 7).unwrap()).unwrap();
        let time = |hash: &str| 1u64 << cost(hash).unwrap();
        for name in ["a", "b", "nobody"] {
            let own = users.hash(name).map_or(0, time);
            let decoys: u64 = users.decoys(name).iter().map(|hash| time(hash)).sum();
            assert_eq!(own + decoys, 1 << 7, "{name}");
        }
    }
}
