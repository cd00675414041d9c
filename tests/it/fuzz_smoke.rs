//! A short run of the fuzz targets without a fuzzer: mutated seeds from a fixed random sequence.
//!
//! `SIDEWATCH_FUZZ_ITERATIONS` mutants a target, or as many as `SIDEWATCH_FUZZ_SECONDS` allow, from
//! the sequence of `SIDEWATCH_SEED`. `scripts/deep fuzz` is the real thing.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sidewatch_engine::metric::SplitMix64;
use tokio::time::Instant;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Random choices from a seed.
struct Random(SplitMix64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    /// A part of the bytes, at most sixteen long.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let from = self.below(bytes.len());
        let length = self.below(16).min(bytes.len() - from);
        &bytes[from..from + length]
    }
}

/// What a target is fed with, and the words that are put in between.
struct Material {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Material {
    fn read(name: &str) -> Self {
        const ODD: [&str; 8] = [
            "-1",
            "1e309",
            "\u{0}",
            "é",
            "99999999999999999999",
            "\n  ",
            "null",
            "\"",
        ];
        let folder = folder().join("seeds").join(name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let seeds: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(!seeds.is_empty(), "{name}");
        let mut words = words(&fs::read_to_string(dictionary(name)).unwrap());
        words.extend(ODD.map(|word| word.as_bytes().to_vec()));
        Self { seeds, words }
    }

    /// A few changes: bytes flipped, parts removed, doubled, or taken from another seed or the
    /// words.
    fn mutant(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.seeds[random.below(self.seeds.len())].clone();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len() + 1);
            match random.below(6) {
                0 if at < bytes.len() => bytes[at] = random.0.next_u64().to_le_bytes()[0],
                1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
                2 => drop(bytes.drain(at..(at + random.below(16)).min(bytes.len()))),
                3 if !bytes.is_empty() => {
                    let part = random.part(&bytes).repeat(random.below(4));
                    bytes.splice(at..at, part);
                }
                4 => {
                    let other = &self.seeds[random.below(self.seeds.len())];
                    if !other.is_empty() {
                        bytes.splice(at..at, random.part(other).to_vec());
                    }
                }
                _ => {
                    let word = &self.words[random.below(self.words.len())];
                    bytes.splice(at..at, word.iter().copied());
                }
            }
        }
        bytes
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Targets of one format share a dictionary.
fn dictionary(name: &str) -> PathBuf {
    let format = name.split('_').next().unwrap();
    folder()
        .join("dictionaries")
        .join(format)
        .with_extension("dict")
}

/// The words of a dictionary as libFuzzer reads it: a quoted one a line, with `\\`, `\"` and
/// `\xAB`.
fn words(text: &str) -> Vec<Vec<u8>> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let word = |line: &str| {
        let mut rest = line
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or_else(|| panic!("no quotes around {line}"))
            .bytes();
        let mut word = Vec::new();
        while let Some(byte) = rest.next() {
            word.push(match (byte, byte == b'\\') {
                (byte, false) => byte,
                (_, true) => match rest.next().unwrap() {
                    b'x' => {
                        let digits = [rest.next().unwrap(), rest.next().unwrap()];
                        u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
                    }
                    other => other,
                },
            });
        }
        word
    };
    lines.map(word).collect()
}

/// How much is done.
#[derive(Clone, Copy)]
struct Budget {
    mutants: u64,
    /// Instead of the number, when it is not zero.
    time: Duration,
    seed: u64,
}

impl Budget {
    fn from_environment() -> Self {
        let number = |name: &str, default: u64| {
            std::env::var(name).map_or(default, |text| text.parse().unwrap())
        };
        Self {
            mutants: number("SIDEWATCH_FUZZ_ITERATIONS", 1000),
            time: Duration::from_secs(number("SIDEWATCH_FUZZ_SECONDS", 0)),
            seed: number("SIDEWATCH_SEED", 1),
        }
    }
}

/// Feeds one target with its seeds, then with mutants of them.
fn fuzz((name, target): targets::Target, budget: Budget) {
    let material = Material::read(name);
    let mut random = Random(SplitMix64::new(budget.seed));
    let (started, mut slowest, mut mutants) = (Instant::now(), Duration::ZERO, 0);
    let mut feed = |input: &[u8]| {
        let before = Instant::now();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
            // Byte for byte, so that it can be fed again.
            let (seed, input) = (budget.seed, input.escape_ascii());
            eprintln!("{name}, SIDEWATCH_SEED={seed}, failed on b\"{input}\"");
            resume_unwind(panic);
        }
        let took = before.elapsed();
        // Far from what any input takes, however busy the machine: a hang.
        assert!(took < HANG, "{name} took {took:?} for {input:?}");
        slowest = slowest.max(took);
    };
    for seed in &material.seeds {
        feed(seed);
    }
    while if budget.time.is_zero() {
        mutants < budget.mutants
    } else {
        started.elapsed() < budget.time
    } {
        feed(&material.mutant(&mut random));
        mutants += 1;
    }
    eprintln!(
        "{name}: {} seeds, {mutants} mutants in {:?}, the slowest {slowest:?}",
        material.seeds.len(),
        started.elapsed()
    );
}

const HANG: Duration = Duration::from_secs(60);

#[test]
fn every_fuzz_target_survives_its_seeds_and_mutants_of_them() {
    let budget = Budget::from_environment();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(target) = targets::TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
            fuzz(*target, budget);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}

#[test]
fn every_fuzz_target_is_built() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
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

#[test]
fn dictionaries_are_read_as_libfuzzer_does() {
    let text = "# nothing\n\"a b\"\n\n\"\\\"\\\\\\x0a\"\n";
    assert_eq!(words(text), [b"a b".to_vec(), b"\"\\\n".to_vec()]);
}
