//! The fuzz targets for a moment, without a fuzzer: mutated seeds from a fixed random sequence.
//!
//! `SIDEWATCH_FUZZ_ITERATIONS` and `SIDEWATCH_SEED` do more; `scripts/deep fuzz` is the real thing.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    /// A part of the bytes, at most sixteen long.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let from = self.below(bytes.len());
        let length = self.below(16).min(bytes.len() - from);
        &bytes[from..from + length]
    }
}

/// A few changes: bytes flipped, parts removed, doubled, or taken from another seed.
fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] = random.next().to_le_bytes()[0],
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..(at + random.below(16)).min(bytes.len()))),
            3 if !bytes.is_empty() => {
                let part = random.part(&bytes).repeat(random.below(4));
                bytes.splice(at..at, part);
            }
            4 => {
                let other = &seeds[random.below(seeds.len())];
                if !other.is_empty() {
                    bytes.splice(at..at, random.part(other).to_vec());
                }
            }
            _ => {
                const ODD: [&str; 12] = [
                    "\"",
                    "{",
                    "}",
                    "[",
                    "]",
                    "-1",
                    "1e309",
                    "\u{0}",
                    "é",
                    "99999999999999999999",
                    "\n  ",
                    "null",
                ];
                bytes.splice(at..at, ODD[random.below(ODD.len())].bytes());
            }
        }
    }
    bytes
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Feeds one target; on a failure the input is shown first.
fn feed(target: fn(&[u8]), input: &[u8], name: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        eprintln!("{name} failed on {:?}", String::from_utf8_lossy(input));
        resume_unwind(panic);
    }
}

#[test]
fn every_fuzz_target_survives_its_seeds_and_some_thousand_mutants_of_them() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let iterations = number("SIDEWATCH_FUZZ_ITERATIONS", 1000);
    for (name, target) in targets::TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        let mut random = Random(number("SIDEWATCH_SEED", 1));
        let started = Instant::now();
        for seed in &seeds {
            feed(target, seed, name);
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..iterations {
            let input = mutate(&mut random, &seeds);
            let before = Instant::now();
            feed(target, &input, name);
            slowest = slowest.max(before.elapsed());
        }
        eprintln!(
            "{name}: {} seeds, {iterations} mutants in {:?}, the slowest {slowest:?}",
            seeds.len(),
            started.elapsed()
        );
        assert!(slowest < Duration::from_secs(10), "{name} took {slowest:?}");
    }
}

#[test]
fn every_fuzz_target_is_built_and_has_seeds() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    let built: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .collect();
    for (name, _) in targets::TARGETS {
        assert!(built.contains(&name), "{name}");
    }
    // The package, and a binary a target.
    assert_eq!(built.len(), targets::TARGETS.len() + 1, "{built:?}");
}
