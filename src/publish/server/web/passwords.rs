//! Comparing passwords. bcrypt is slow on purpose, so comparisons are limited, run off the async
//! threads, and right passwords are remembered.

use std::collections::VecDeque;
use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::sync;
use tokio::task::spawn_blocking;
use tokio_rustls::rustls::crypto::ring::default_provider;

use super::Users;

/// Comparisons running or waiting for one address.
const MAX_WAITING_PER_ADDRESS: usize = 4;
/// Comparisons running or waiting for all addresses.
const MAX_WAITING: usize = 64;
/// Right passwords that are remembered.
const MAX_REMEMBERED: usize = 100;

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Login {
    /// The user exists and this is the password.
    Right,
    /// There is no such user, or it is another password.
    Wrong,
    /// Not compared: too many others wait.
    Busy,
}

/// Compares passwords with hashes.
pub(in super::super) struct Passwords {
    /// Random, so that remembered digests reveal nothing about passwords.
    key: [u8; 32],
    remembered: Mutex<VecDeque<[u8; 32]>>,
    /// Held while a comparison runs: one at a time, since the rest of the process needs a core too.
    running: sync::Mutex<()>,
    waiting: Mutex<Vec<IpAddr>>,
}

impl Passwords {
    /// No password is remembered yet.
    pub(in super::super) fn new() -> Self {
        let mut key = [0; 32];
        let random = default_provider().secure_random.fill(&mut key);
        debug_assert!(random.is_ok(), "the system has randomness");
        Self {
            key,
            remembered: Mutex::default(),
            running: sync::Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Compares a password with the hash of a user. A wrong password takes as long for every name,
    /// known or not.
    pub(in super::super) async fn compare(
        &self,
        users: &Users,
        (name, password): (&str, &str),
        from: IpAddr,
    ) -> Login {
        let known = users.hash(name);
        let digest = self.digest([name, password, known.unwrap_or("")]);
        let is_remembered = || known.is_some() && self.remembered.lock().contains(&digest);
        if is_remembered() {
            return Login::Right;
        }
        let Some(_place) = Place::take(&self.waiting, from) else {
            return Login::Busy;
        };
        let _running = self.running.lock().await;
        if is_remembered() {
            return Login::Right;
        }
        let (hash, decoys) = (known.map(str::to_owned), users.decoys(name));
        let password = password.to_owned();
        let compare = move || {
            let is = |hash: &str| matches!(bcrypt::verify(&password, hash), Ok(true));
            let is_right = hash.is_some_and(|hash| is(&hash));
            // No password matches a decoy.
            is_right || decoys.iter().any(|decoy| is(decoy))
        };
        let compared = spawn_blocking(compare).await;
        if known.is_some() && matches!(compared, Ok(true)) {
            self.remember(digest);
            return Login::Right;
        }
        Login::Wrong
    }

    /// A keyed digest; the lengths distinguish `a`, `bc` from `ab`, `c`.
    fn digest(&self, parts: [&str; 3]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length is one");
        for part in parts {
            mac.update(&part.len().to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    fn remember(&self, digest: [u8; 32]) {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(digest);
    }
}

/// A place in the queue, given up when dropped.
struct Place<'a> {
    waiting: &'a Mutex<Vec<IpAddr>>,
    from: IpAddr,
}

impl<'a> Place<'a> {
    /// A place for a client at this address; none when too many are taken.
    fn take(waiting: &'a Mutex<Vec<IpAddr>>, from: IpAddr) -> Option<Self> {
        let mut addresses = waiting.lock();
        let same = addresses.iter().filter(|address| **address == from);
        if same.count() >= MAX_WAITING_PER_ADDRESS || addresses.len() >= MAX_WAITING {
            return None;
        }
        addresses.push(from);
        Some(Self { waiting, from })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut addresses = self.waiting.lock();
        if let Some(index) = addresses.iter().position(|address| *address == self.from) {
            addresses.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{Login, MAX_WAITING_PER_ADDRESS, Passwords, Place};
    use crate::publish::web::Users;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn users(password: &str) -> Users {
        let mut users = Users::default();
        let hash = bcrypt::hash(password, 4).unwrap();
        users.insert("alice", &hash).unwrap();
        users
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_right_and_it_is_remembered() {
        let (passwords, users) = (Passwords::new(), users("secret"));
        for (name, password, login) in [
            ("alice", "secret", Login::Right),
            ("alice", "wrong", Login::Wrong),
            ("mallory", "secret", Login::Wrong),
            ("alice", "secret", Login::Right),
        ] {
            let found = passwords.compare(&users, (name, password), HERE).await;
            assert_eq!(found, login, "{name} {password}");
        }
        assert_eq!(passwords.remembered.lock().len(), 1);
    }

    #[tokio::test]
    async fn a_changed_password_is_no_longer_right_although_it_was_remembered() {
        let passwords = Passwords::new();
        let (old, new) = (users("secret"), users("changed"));
        let ask = async |users: &Users| passwords.compare(users, ("alice", "secret"), HERE).await;
        assert_eq!(ask(&old).await, Login::Right);
        assert_eq!(ask(&new).await, Login::Wrong);
    }

    #[tokio::test]
    async fn an_address_that_guesses_does_not_keep_others_waiting() {
        let (passwords, users) = (Passwords::new(), users("secret"));
        let held: Vec<_> = (0..MAX_WAITING_PER_ADDRESS)
            .map(|_| Place::take(&passwords.waiting, HERE).unwrap())
            .collect();
        let ask = async |from: IpAddr| passwords.compare(&users, ("alice", "secret"), from).await;
        assert_eq!(ask(HERE).await, Login::Busy);
        let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(ask(other).await, Login::Right);
        drop(held);
        assert!(passwords.waiting.lock().is_empty());
    }
}
