//! Comparing passwords: costly on purpose, so bounded, off the async threads, and remembered.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_rustls::rustls::crypto::ring::default_provider;

use super::Users;

/// Comparisons at once: the rest of the process needs the other core.
const AT_ONCE: usize = 1;
/// Comparisons that one address may have under way or waiting.
const WAITING_EACH: usize = 4;
/// Comparisons under way or waiting, over all addresses.
const WAITING_ALL: usize = 64;
/// Right passwords remembered.
const REMEMBERED: usize = 100;

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Login {
    /// The user with that password.
    Right,
    /// Nobody with that password.
    Wrong,
    /// Not compared: too many others wait.
    Busy,
}

/// Compares passwords with hashes.
pub(in super::super) struct Passwords {
    /// Random, so that what is remembered says nothing about passwords.
    key: [u8; 32],
    remembered: Mutex<VecDeque<[u8; 32]>>,
    running: Semaphore,
    waiting: Mutex<HashMap<IpAddr, usize>>,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}

impl Passwords {
    /// Nothing remembered.
    pub(in super::super) fn new() -> Self {
        let mut key = [0; 32];
        let random = default_provider().secure_random.fill(&mut key);
        debug_assert!(random.is_ok(), "the system has randomness");
        Self {
            key,
            remembered: Mutex::default(),
            running: Semaphore::new(AT_ONCE),
            waiting: Mutex::default(),
        }
    }

    /// Compares a password with the hash of a user. An unknown name takes as long as a known one.
    pub(in super::super) async fn compare(
        &self,
        users: &Users,
        (name, password): (&str, &str),
        from: IpAddr,
    ) -> Login {
        let known = users.hash(name);
        let digest = self.digest([name, password, known.unwrap_or("")]);
        if known.is_some() && self.remembers(&digest) {
            return Login::Right;
        }
        let Some(_place) = Place::take(&self.waiting, from) else {
            return Login::Busy;
        };
        let Ok(_running) = self.running.acquire().await else {
            return Login::Busy;
        };
        if known.is_some() && self.remembers(&digest) {
            return Login::Right;
        }
        let hash = known.map_or_else(|| users.nobody(), str::to_owned);
        let password = password.to_owned();
        let compared = spawn_blocking(move || bcrypt::verify(password, &hash)).await;
        if known.is_some() && matches!(compared, Ok(Ok(true))) {
            self.remember(digest);
            return Login::Right;
        }
        Login::Wrong
    }

    /// A keyed digest; lengths keep `a` + `bc` apart from `ab` + `c`.
    fn digest(&self, parts: [&str; 3]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length is one");
        for part in parts {
            mac.update(&part.len().to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    fn remembers(&self, digest: &[u8; 32]) -> bool {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        remembered.contains(digest)
    }

    fn remember(&self, digest: [u8; 32]) {
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(digest);
    }
}

/// A place in the queue of an address.
struct Place<'a> {
    waiting: &'a Mutex<HashMap<IpAddr, usize>>,
    from: IpAddr,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a Mutex<HashMap<IpAddr, usize>>, from: IpAddr) -> Option<Self> {
        let mut counts = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= WAITING_ALL {
            return None;
        }
        let count = counts.entry(from).or_default();
        if *count >= WAITING_EACH {
            return None;
        }
        *count += 1;
        Some(Self { waiting, from })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut counts = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{Login, Passwords, Place, WAITING_EACH};
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
        assert_eq!(passwords.remembered.lock().unwrap().len(), 1);
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
    async fn an_address_that_guesses_keeps_nobody_else_waiting() {
        let (passwords, users) = (Passwords::new(), users("secret"));
        let held: Vec<_> = (0..WAITING_EACH)
            .map(|_| Place::take(&passwords.waiting, HERE).unwrap())
            .collect();
        let ask = async |from: IpAddr| passwords.compare(&users, ("alice", "secret"), from).await;
        assert_eq!(ask(HERE).await, Login::Busy);
        let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(ask(other).await, Login::Right);
        drop(held);
        assert!(passwords.waiting.lock().unwrap().is_empty());
    }
}
