//! The plan of a run. It follows from the seed alone: which faults, when by count of audits, how long, and who writes what.

use crate::{
    nemesis::{Fault, faults},
    random::Random,
    writers::{self, Writer},
};

/// How many audits each fault of the short run has.
const SMOKE_OPERATIONS: u64 = 600;

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub seed: u64,
    /// Whether all faults are run, or those of the short run.
    pub all: bool,
    /// Over all faults; how many each has does not depend on which are chosen.
    pub operations: u64,
    /// Only these, where there are any.
    pub only: Vec<String>,
}

/// One fault's part of a run.
pub struct Part {
    pub fault: &'static Fault,
    /// What the ids of its audits begin with.
    pub mark: u64,
    pub operations: u64,
    pub writers: Vec<Writer>,
    pub strikes: Vec<Strike>,
}

/// One strike of a fault.
pub struct Strike {
    /// It comes when so many audits are acknowledged.
    pub after: u64,
    /// What it draws its parameters from.
    pub random: Random,
}

pub fn plan(wanted: &Wanted) -> Vec<Part> {
    let all = faults();
    let operations = if wanted.all { share(wanted.operations, &all) } else { SMOKE_OPERATIONS };
    let chosen = |fault: &&'static Fault| match wanted.only.as_slice() {
        [] => wanted.all || fault.smoke > 0,
        only => only.iter().any(|name| name == fault.name),
    };
    let chosen = all.into_iter().filter(chosen);
    chosen.map(|fault| part(fault, wanted, operations)).collect()
}

/// How many audits each fault has that has no bound of its own, so that all together come to `operations`.
fn share(operations: u64, faults: &[&Fault]) -> u64 {
    let bound: Vec<u64> = faults.iter().map(|fault| fault.most).filter(|most| *most < u64::MAX).collect();
    let free = faults.len() - bound.len();
    operations.saturating_sub(bound.iter().sum()).div_ceil(free as u64)
}

fn part(fault: &'static Fault, wanted: &Wanted, operations: u64) -> Part {
    let mut random = Random::new(wanted.seed).of(fault.name);
    let operations = operations.min(fault.most);
    let rounds = if wanted.all || fault.smoke == 0 { fault.rounds } else { fault.smoke };
    let each = operations / rounds;
    let strikes = (0..rounds).map(|round| Strike {
        // Somewhere in the middle of its round.
        after: each * round + each * random.between(20, 70) / 100,
        random: random.of(&format!("strike {round}")),
    });
    let strikes = strikes.collect();
    // No writer may have written everything before the others have begun.
    let batch_max = (each / 16).clamp(2, 256) as usize;
    let writers = writers::plan(&mut random, &fault.setup, batch_max);
    Part { fault, mark: random.next(), operations, writers, strikes }
}
