//! The store under crashes and damage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sidewatch::internals::notify::retrain::{Entry, Outbox, Phase};
use sidewatch::internals::state::{Batch, Error, Kind, Opened, Store, StoreOutbox};
use sidewatch_engine::alert::AlertState;
use sidewatch_engine::metric::{SplitMix64, Timestamp};
use sidewatch_engine::retrain::RetrainRequest;

use crate::support::notify::alert;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn open(directory: &Path) -> (Store, Opened) {
    Store::open(directory, NOW).unwrap()
}

fn put(store: &Store, kind: Kind, name: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(kind, name, &value).unwrap();
    store.commit(batch).unwrap();
}

fn entry(id: &str) -> Entry {
    let firing = alert("Bad", AlertState::Firing, &[("pod", "a")]);
    let request = RetrainRequest::new(id.to_owned(), ("m", "1"), &firing, NOW);
    Entry::new("hook", request, NOW, Duration::from_secs(60))
}

#[test]
fn folder_and_file_are_for_the_own_user_only_and_links_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let fresh = directory.path().join("state");
    let (store, _) = open(&fresh);
    assert_eq!(mode(&fresh), 0o700);
    assert_eq!(mode(&fresh.join("sidewatch.redb")), 0o600);
    drop(store);
    let linked = directory.path().join("linked");
    fs::create_dir(&linked).unwrap();
    for (target, is_there) in [("there", true), ("none", false)] {
        let target = directory.path().join(target);
        if is_there {
            fs::write(&target, "").unwrap();
        }
        symlink(&target, linked.join("sidewatch.redb")).unwrap();
        let error = Store::open(&linked, NOW).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(target.exists(), is_there);
        assert!(!is_there || fs::read(&target).unwrap().is_empty());
        fs::remove_file(linked.join("sidewatch.redb")).unwrap();
    }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (store, opened) = open(directory.path());
    assert_eq!(opened, Opened::default());
    assert!(store.is_durable());
    put(&store, Kind::Alerts, "a", "1");
    put(&store, Kind::Alerts, "b", "2");
    put(&store, Kind::Gates, "a", "3");
    put(&store, Kind::Alerts, "a", "4");
    let mut batch = Batch::new();
    batch
        .delete(Kind::Alerts, "b")
        .delete(Kind::Alerts, "never there");
    store.commit(batch).unwrap();
    drop(store);
    let (store, opened) = open(directory.path());
    assert_eq!((opened.records, opened.notes), (2, Vec::new()));
    assert_eq!(
        store.all::<String>(Kind::Alerts),
        [("a".to_owned(), "4".to_owned())]
    );
    assert_eq!(store.get::<String>(Kind::Gates, "a").as_deref(), Some("3"));
    assert_eq!(store.get::<String>(Kind::Gates, "b"), None);
    assert_eq!(
        store.get::<u64>(Kind::Gates, "a"),
        None,
        "another shape is no value"
    );
}

#[test]
fn lazy_changes_are_on_disk_after_a_close() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let mut batch = Batch::lazy();
    batch.put(Kind::Strategy, "s", &1).unwrap();
    store.commit(batch).unwrap();
    store.close().unwrap();
    assert!(!store.is_durable());
    let mut late = Batch::new();
    late.put(Kind::Strategy, "s", &2).unwrap();
    assert!(matches!(store.commit(late), Err(Error::Closed(_))));
    let (store, _) = open(directory.path());
    assert_eq!(store.get::<i32>(Kind::Strategy, "s"), Some(1));
}

#[test]
fn a_process_without_storage_remembers_until_it_ends() {
    let store = Store::in_memory();
    put(&store, Kind::Meta, "a", "1");
    assert!(!store.is_durable());
    assert_eq!(store.get::<String>(Kind::Meta, "a").as_deref(), Some("1"));
}

#[test]
fn a_second_process_is_told_who_has_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, _) = open(directory.path());
    let error = Store::open(directory.path(), NOW).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }));
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        1,
        "nothing was set aside"
    );
}

#[test]
fn a_process_notices_that_its_file_was_replaced_under_it() {
    let directory = tempfile::tempdir().unwrap();
    let (first, _) = open(directory.path());
    put(&first, Kind::Alerts, "a", "1");
    let path = directory.path().join("sidewatch.redb");
    fs::rename(&path, directory.path().join("moved")).unwrap();
    assert!(!first.is_taken(), "nobody else has it yet");
    let (second, _) = open(directory.path());
    assert!(first.is_taken());
    assert!(second.is_locked() && !second.is_taken());
}

#[test]
fn a_place_that_cannot_be_used_is_an_error_and_not_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "x").unwrap();
    let error = Store::open(&path, NOW).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

#[test]
fn an_outbox_in_the_store_survives() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()).0);
    let mut batch = Batch::new();
    for key in ["k1", "k2", "k3"] {
        batch.put_entry(&entry(key)).unwrap();
    }
    store.commit(batch).unwrap();
    let outbox = StoreOutbox::new(store);
    assert_eq!(outbox.remove("hook/k2"), Ok(true));
    assert_eq!(outbox.remove("hook/k2"), Ok(false));
    let dead = Entry {
        phase: Phase::Dead,
        ..entry("k3")
    };
    outbox.update(&dead).unwrap();
    outbox.update(&entry("gone")).unwrap();
    drop(outbox);
    let outbox = StoreOutbox::new(Arc::new(open(directory.path()).0));
    assert_eq!(outbox.list(), Ok(vec![entry("k1"), dead]));
}

#[test]
fn rubbish_is_set_aside_and_said() {
    for (what, content) in [
        ("text", b"this is no database".repeat(1000)),
        ("zeros", vec![0; 100_000]),
        ("one byte", vec![1]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("sidewatch.redb"), &content).unwrap();
        let (store, opened) = open(directory.path());
        let aside = opened.set_aside.expect(what);
        assert_eq!(fs::read(&aside).unwrap(), content, "{what}");
        assert!(!opened.notes.is_empty(), "{what}");
        put(&store, Kind::Meta, "a", "1");
    }
}

#[test]
fn only_the_latest_damaged_files_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    for n in 0..6 {
        fs::write(
            directory.path().join("sidewatch.redb"),
            format!("rubbish {n}"),
        )
        .unwrap();
        let at = Timestamp::from_millis(NOW.as_millis() + n);
        drop(Store::open(directory.path(), at).unwrap());
    }
    let names: BTreeSet<String> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap_or_default())
        .filter(|text| text.starts_with("rubbish"))
        .collect();
    let expected = ["rubbish 3", "rubbish 4", "rubbish 5"].map(str::to_owned);
    assert_eq!(names, BTreeSet::from(expected));
}

/// Small numbers from a seed, the same in every run.
struct Random(SplitMix64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.next_u64() % limit as u64).unwrap()
    }
}

/// Everything that was ever true of a key.
type History = BTreeMap<String, BTreeSet<String>>;

/// A store with some history: overwritten, deleted and large records.
fn history(directory: &Path) -> (History, BTreeMap<String, String>) {
    let mut random = Random(SplitMix64::new(1));
    let (store, _) = open(directory);
    let (mut ever, mut last) = (History::new(), BTreeMap::new());
    for round in 0..40 {
        let mut batch = Batch::new();
        for _ in 0..5 {
            let name = format!("rule-{}", random.below(30));
            if random.below(5) == 0 {
                batch.delete(Kind::Alerts, &name);
                last.remove(&name);
                continue;
            }
            let value = format!("{round}-{}", "x".repeat(random.below(3000)));
            batch.put(Kind::Alerts, &name, &value).unwrap();
            ever.entry(name.clone()).or_default().insert(value.clone());
            last.insert(name, value);
        }
        store.commit(batch).unwrap();
    }
    (ever, last)
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    let at = random.below(bytes.len());
    match random.below(5) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            bytes[at] ^= 1 << random.below(8);
            format!("a bit flipped at {at}")
        }
        2 => {
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0);
            format!("zeros at {at}")
        }
        3 => {
            let end = (at + 512).min(bytes.len());
            bytes[at..end]
                .iter_mut()
                .for_each(|byte| *byte = random.0.next_u64().to_le_bytes()[0]);
            format!("rubbish at {at}")
        }
        _ => {
            // Damage where it hurts most: the header and the first pages.
            let at = at % 4096;
            bytes[at] = bytes[at].wrapping_add(1);
            format!("the header changed at {at}")
        }
    }
}

/// `SIDEWATCH_TRIALS=500` for the full number.
#[test]
fn no_damage_keeps_it_from_starting_or_makes_it_believe_a_wrong_record() {
    let trials = std::env::var("SIDEWATCH_TRIALS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(60);
    let made = tempfile::tempdir().unwrap();
    let (ever, last) = history(made.path());
    let original = fs::read(made.path().join("sidewatch.redb")).unwrap();
    let mut random = Random(SplitMix64::new(7));
    let (mut aside, mut harmless, mut kept) = (0, 0, 0);
    for trial in 0..trials {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = original.clone();
        let what = damage(&mut bytes, &mut random);
        fs::write(directory.path().join("sidewatch.redb"), &bytes).unwrap();
        let (store, opened) = open(directory.path());
        let found: BTreeMap<String, String> = store.all(Kind::Alerts).into_iter().collect();
        for (name, value) in &found {
            let known = ever.get(name).is_some_and(|values| values.contains(value));
            assert!(
                known,
                "trial {trial}, {what}: {name} is believed to be {value}"
            );
        }
        if found == last {
            harmless += 1;
        } else {
            assert!(
                !opened.notes.is_empty(),
                "trial {trial}, {what}: records are missing and nothing says so"
            );
        }
        aside += usize::from(opened.set_aside.is_some());
        kept += usize::from(opened.set_aside.is_some() && !found.is_empty());
        put(&store, Kind::Meta, "after", "works");
        drop(store);
        let (store, opened) = open(directory.path());
        assert_eq!(
            store.get::<String>(Kind::Meta, "after").as_deref(),
            Some("works"),
            "{what}"
        );
        assert_eq!(opened.notes, Vec::<String>::new(), "trial {trial}, {what}");
    }
    println!("{trials} trials: {aside} set aside ({kept} with records kept), {harmless} harmless");
    assert!(aside > 0 && harmless > 0);
}
