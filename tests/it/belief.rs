//! What Alertmanager believes after any sequence of edits, reloads, restarts, kills and outages is
//! what a plain model says that it should believe.

mod alertmanager;
mod model;
mod rules;
mod steps;
mod world;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sidewatch_engine::metric::Labels;

use self::model::Model;
use self::rules::Files;
use self::steps::{Moment, Step};
use self::world::World;
use crate::promql_random::Random;

/// Sequences in CI; `SIDEWATCH_SEQUENCES` asks for more, from `SIDEWATCH_FIRST_SEED` on.
const SEQUENCES: u64 = 300;
const STEPS: usize = 40;

/// How many alerts were believed at all, so that the comparison says something.
type Believed = usize;

/// Does the steps one after the other; an error tells the first wrong belief.
fn run(files: &Files, steps: &[Step]) -> Result<Believed, String> {
    let mut files = files.clone();
    let (mut world, mut model) = (World::new(&files), Model::new(&files));
    let mut believed = 0;
    for (number, step) in steps.iter().enumerate() {
        let before = model.must();
        take(step, &mut files, &mut world, &mut model);
        let ended = world.take_ended();
        if !world.receiver_is_up {
            continue;
        }
        let wrongly: Vec<String> = named(ended.intersection(&before));
        if step.changes_nothing() && !wrongly.is_empty() {
            return Err(format!(
                "after step {number}, {step:?}:\n  wrongly ended: {wrongly:?}"
            ));
        }
        let firing = world.alertmanager.firing(world.now);
        let (must, may) = (model.must(), model.may(world.now));
        let missing: Vec<String> = named(must.difference(&firing));
        let wrong: Vec<String> = named(firing.difference(&may));
        if !missing.is_empty() || !wrong.is_empty() {
            return Err(format!(
                "after step {number}, {step:?}:\n  missing: {missing:?}\n  wrongly firing: {wrong:?}"
            ));
        }
        believed += firing.len();
    }
    Ok(believed)
}

fn named<'a>(alerts: impl Iterator<Item = &'a Labels>) -> Vec<String> {
    alerts.map(Labels::to_string).collect()
}

fn take(step: &Step, files: &mut Files, world: &mut World, model: &mut Model) {
    match step {
        Step::Tick(values) => {
            world.change_values(*values);
            world.tick();
            model.tick(world.now, &world.values());
        }
        Step::Target(pod, is_up) => world.set_target(*pod, *is_up),
        Step::Receiver(is_up) => {
            world.set_receiver(*is_up);
            model.receiver(*is_up, world.now);
        }
        Step::Reload(edit) => {
            *files = files.edited(edit);
            world.reload(files);
            model.reload(files, world.now);
        }
        Step::Restart { kill, away, edit } => {
            *files = files.edited(edit);
            let values = world.values();
            if *kill == Some(Moment::BeforePosts) {
                model.tick(world.next_tick(), &values);
            }
            world.restart(*kill, *away, files);
            model.restart(files, world.now, kill.is_some());
        }
    }
}

/// A panic of the program is a failure of the sequence like any other.
fn outcome(files: &Files, steps: &[Step]) -> Result<Believed, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| run(files, steps)));
    ran.unwrap_or_else(|_| Err("it panicked".to_owned()))
}

/// Leaves out steps as long as the sequence still fails.
fn shrunk(files: &Files, mut steps: Vec<Step>) -> Vec<Step> {
    let mut size = steps.len();
    while size > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + size).min(steps.len()));
            if outcome(files, &fewer).is_err() {
                steps = fewer;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    steps
}

fn sequence(seed: u64) -> (Files, Vec<Step>) {
    let mut random = Random::new(seed);
    let files = Files::random(&mut random);
    let steps = (0..STEPS).map(|_| Step::random(&mut random)).collect();
    (files, steps)
}

/// The shortest failing part of a sequence, for people.
fn report(seed: u64, files: &Files, steps: Vec<Step>) -> String {
    let steps = shrunk(files, steps);
    let mut text = format!("seed {seed}\n");
    for (name, rules) in files.texts() {
        writeln!(text, "--- {name}\n{rules}").unwrap();
    }
    for (number, step) in steps.iter().enumerate() {
        writeln!(text, "{number}: {step:?}").unwrap();
    }
    let why = outcome(files, &steps).err().unwrap_or_default();
    text + &why
}

#[test]
fn alertmanager_believes_what_the_model_says_after_every_step() {
    let count = std::env::var("SIDEWATCH_SEQUENCES");
    let count = count.map_or(SEQUENCES, |count| count.parse().unwrap());
    let mut believed = 0;
    let first = std::env::var("SIDEWATCH_FIRST_SEED").map_or(1, |seed| seed.parse().unwrap());
    for seed in first..first + count {
        let (files, steps) = sequence(seed);
        match outcome(&files, &steps) {
            Ok(more) => believed += more,
            Err(_) => panic!("{}", report(seed, &files, steps)),
        }
    }
    let least = usize::try_from(count).unwrap() * STEPS;
    assert!(
        believed > least,
        "only {believed} alerts fired in all steps"
    );
}

#[test]
fn a_model_that_forgets_a_rule_is_noticed() {
    let failing = (1..=50).filter(|seed| {
        let (files, steps) = sequence(*seed);
        let (mut world, mut model) = (World::new(&files), Model::new(&Files::none()));
        let mut files = files;
        steps.iter().any(|step| {
            take(step, &mut files, &mut world, &mut model);
            let firing: BTreeSet<Labels> = world.alertmanager.firing(world.now);
            !firing.is_subset(&model.may(world.now))
        })
    });
    assert!(failing.count() > 25);
}
