//! Any history of appends, settling, crashes and faults: what was acknowledged is delivered, once and in order.

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use super::{
    model::{Step, play},
    simulated::Careless,
};
use crate::client::spool::disk::READ_TRIES;

const HISTORY_MAX: usize = 40;

/// One less than an opening tries: what never comes in is damage, and goes to quarantine.
const READ_FAILURES_MAX: u32 = READ_TRIES - 1;

fn steps(flips: bool) -> impl Strategy<Value = Vec<Step>> {
    let append = prop::collection::vec(prop::collection::vec(12..700usize, 1..4), 1..6);
    let fault = prop_oneof![
        2 => (0..8u32, 1..5u32).prop_map(|(after, times)| Step::FailSync { after, times }),
        2 => (0..3u32, 1..=READ_FAILURES_MAX).prop_map(|(after, times)| Step::FailReads { after, times }),
        1 => (0..12_000usize).prop_map(Step::FillDisk),
        2 => Just(Step::Heal),
    ];
    let step = prop_oneof![
        12 => append.prop_map(Step::Append),
        5 => (1..12usize, 0..4usize).prop_map(|(records, dead)| Step::Settle { records, dead }),
        2 => Just(Step::Read),
        2 => Just(Step::MakeSpare),
        2 => Just(Step::Kill),
        4 => Just(Step::Crash),
        if flips { 2 } else { 0 } => any::<usize>().prop_map(Step::Flip),
        7 => fault,
    ];
    prop::collection::vec(step, 1..HISTORY_MAX)
}

/// Plays `cases` histories; the first that does not hold, made short.
fn first_failure(cases: u32, flips: bool, careless: Careless) -> Option<String> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, random)
        .run(&(any::<u64>(), steps(flips)), |(seed, steps)| play(seed, &steps, careless).map_err(TestCaseError::fail));
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, history)) => Some(format!("{reason}\n{history:#?}")),
        Err(TestError::Abort(reason)) => panic!("no histories were made: {reason}"),
    }
}

fn cases() -> u32 {
    std::env::var("SPOOL_HISTORIES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(250)
}

#[test]
fn what_was_acknowledged_is_delivered_once_and_in_order_after_any_history() {
    if let Some(failure) = first_failure(cases(), false, Careless::Nowhere) {
        panic!("{failure}");
    }
}

#[test]
fn a_changed_bit_harms_one_append_and_is_reported() {
    if let Some(failure) = first_failure(cases(), true, Careless::Nowhere) {
        panic!("{failure}");
    }
}

#[test]
fn a_sync_that_is_left_out_is_noticed() {
    for careless in [Careless::Segments, Careless::Cursor, Careless::DeadLetters, Careless::Folders] {
        let failure = first_failure(400, false, careless);
        let failure = failure.unwrap_or_else(|| panic!("nothing notices that {careless:?} are not synced"));
        println!("{careless:?}: {failure}");
    }
}
