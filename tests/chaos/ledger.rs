//! The ledger: every audit that was sent and what came of it, in memory, and line by line in a file to look into afterwards.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::audits::Audits;

/// What its writer knows of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet, or nothing certain: it may be recorded or not.
    Unknown,
    /// A relay has it on its disk.
    Kept,
    /// Recorded, at this position and with the digest that begins so.
    Acknowledged { position: i64, digest: u64 },
    /// Refused for good.
    Refused,
}

/// What the server has to make of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Good,
    /// It does not pass the checks.
    Bad,
}

#[derive(Clone, Copy, Debug)]
pub struct Operation {
    pub fit: Fit,
    pub outcome: Outcome,
    /// Whose it is: what one writer has had kept is recorded in its order. 0 is nobody's.
    pub lane: u16,
}

pub struct Ledger {
    /// What the audits of each number say.
    pub audits: Audits,
    begun: Instant,
    /// By number, from 1.
    operations: Mutex<Vec<Operation>>,
    file: Mutex<BufWriter<File>>,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    breaches: Mutex<Vec<String>>,
}

impl Ledger {
    pub fn new(audits: Audits, path: &Path) -> std::io::Result<Ledger> {
        Ok(Ledger {
            audits,
            begun: Instant::now(),
            operations: Mutex::default(),
            file: Mutex::new(BufWriter::new(File::create(path)?)),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            breaches: Mutex::default(),
        })
    }

    /// Numbers of audits that nobody else sends. They count as sent from now on.
    pub fn take(&self, count: usize, fit: Fit) -> Vec<u64> {
        self.take_for(0, count, fit)
    }

    pub fn take_for(&self, lane: u16, count: usize, fit: Fit) -> Vec<u64> {
        let mut operations = lock(&self.operations);
        let first = operations.len() as u64 + 1;
        operations.extend((0..count).map(|_| Operation { fit, outcome: Outcome::Unknown, lane }));
        (first..first + count as u64).collect()
    }

    pub fn acknowledge(&self, number: u64, position: i64, digest: u64) {
        let told = Outcome::Acknowledged { position, digest };
        let (fit, before) = self.replace(number, told);
        match before {
            _ if fit == Fit::Bad => self.breach(format!("audit {number} has to be refused, and was acknowledged")),
            Outcome::Refused => self.breach(format!("audit {number} was refused for good, and was then acknowledged")),
            Outcome::Unknown => _ = self.acknowledged.fetch_add(1, Ordering::Relaxed),
            Outcome::Kept => {}
            before if before != told => {
                self.breach(format!("audit {number} was acknowledged twice: {before:?}, then {told:?}"));
            }
            Outcome::Acknowledged { .. } => return, // the same again
        }
        self.write(number, format_args!("acknowledged {position} {digest:016x}"));
    }

    /// A relay says that it has it on its disk.
    pub fn keep(&self, number: u64) {
        let mut operations = lock(&self.operations);
        let operation = &mut operations[number as usize - 1];
        if operation.outcome == Outcome::Unknown {
            operation.outcome = Outcome::Kept;
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            self.write(number, format_args!("kept"));
        }
    }

    /// A relay has told that what it kept is damaged: its writer has to send it again.
    pub fn damage(&self, number: u64) {
        self.replace(number, Outcome::Unknown);
        self.write(number, format_args!("damaged"));
    }

    pub fn refuse(&self, number: u64, why: &str) {
        let (fit, before) = self.replace(number, Outcome::Refused);
        if fit == Fit::Good {
            self.breach(format!("audit {number} is good, and was refused: {why}"));
        }
        if before == Outcome::Unknown {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.write(number, format_args!("refused {why}"));
    }

    /// Nothing certain came of sending these.
    pub fn unknown(&self, numbers: &[u64], why: &str) {
        for number in numbers {
            self.write(*number, format_args!("unknown {why}"));
        }
    }

    /// An invariant does not hold.
    pub fn breach(&self, what: String) {
        self.write(0, format_args!("breach {what}"));
        lock(&self.breaches).push(what);
    }

    pub fn breaches(&self) -> Vec<String> {
        lock(&self.breaches).clone()
    }

    /// Takes the breaches away, for whoever has made them.
    pub fn forgive(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.breaches))
    }

    pub fn operations(&self) -> Vec<Operation> {
        lock(&self.operations).clone()
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Numbers of good audits of which nothing certain is known.
    pub fn open(&self) -> Vec<u64> {
        let operations = lock(&self.operations);
        let open = |operation: &Operation| operation.fit == Fit::Good && operation.outcome == Outcome::Unknown;
        (1..).zip(operations.iter()).filter(|(_, operation)| open(operation)).map(|(number, _)| number).collect()
    }

    pub fn flush(&self) {
        let _ = lock(&self.file).flush(); // it is for people; the figures do not depend on it
    }

    fn replace(&self, number: u64, outcome: Outcome) -> (Fit, Outcome) {
        let mut operations = lock(&self.operations);
        let operation = &mut operations[number as usize - 1];
        (operation.fit, std::mem::replace(&mut operation.outcome, outcome))
    }

    fn write(&self, number: u64, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(lock(&self.file), "{} {number} {what}", self.begun.elapsed().as_millis());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
