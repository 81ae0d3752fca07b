//! What a spool should hold, and a history played against it: every answer and everything read is compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::simulated::{Careless, Simulated};
use crate::client::spool::{
    AppendError, DeadLetter, SEGMENT_BYTES_MIN, Sequence, Settings,
    core::Core,
    dead,
    disk::{self, Disk},
    folder::Folder,
    opening,
};

/// What is done to a spool.
#[derive(Clone, Debug)]
pub enum Step {
    /// One group: for each append the lengths of its records.
    Append(Vec<Vec<usize>>),
    /// So many of what waits; every other one of the last few is dead.
    Settle {
        records: usize,
        dead: usize,
    },
    Read,
    MakeSpare,
    Kill,
    Crash,
    /// The process ends and a bit of a segment changes; which one depends on this number.
    Flip(usize),
    FailSync {
        after: u32,
        times: u32,
    },
    /// The spool has to wait for these, as reads do.
    FailReads {
        after: u32,
        times: u32,
    },
    /// So many bytes are left on the disk.
    FillDisk(usize),
    Heal,
}

pub type Outcome = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($told:tt)*) => {
        if !$holds {
            return Err(format!($($told)*));
        }
    };
}

struct Run {
    disk: Simulated,
    core: Core,
    /// What was answered or read, and waits.
    waiting: BTreeMap<u64, Vec<u8>>,
    /// Answered well, so that it must not be lost.
    acknowledged: BTreeSet<u64>,
    /// Every sequence that was answered or read, with what it names, for ever.
    named: BTreeMap<u64, Vec<u8>>,
    /// Appends that were refused by the disk: kept whole, or not at all.
    unknown: Vec<Vec<Vec<u8>>>,
    settled: u64,
    /// The cursor may have come as far as this.
    settled_max: u64,
    letters: BTreeMap<u64, Vec<u8>>,
    /// What the last settling that failed should have written, and up to where it should have moved the cursor.
    attempt: Option<(u64, BTreeMap<u64, Vec<u8>>)>,
    appended: usize,
}

const SETTINGS: Settings = Settings { bytes_max: 1024 * 1024, segment_bytes: SEGMENT_BYTES_MIN };

fn folder() -> Folder {
    Folder::new(Path::new("/var/spool"))
}

/// Plays a history; says what did not hold.
pub fn play(seed: u64, steps: &[Step], careless: Careless) -> Outcome {
    let disk = Simulated::new(seed, careless);
    let core = opening::open(Arc::new(disk.clone()), folder().root(), &SETTINGS).map_err(|error| error.to_string())?;
    let mut run = Run {
        disk,
        core,
        waiting: BTreeMap::new(),
        acknowledged: BTreeSet::new(),
        named: BTreeMap::new(),
        unknown: Vec::new(),
        settled: 0,
        settled_max: 0,
        letters: BTreeMap::new(),
        attempt: None,
        appended: 0,
    };
    for (at, step) in steps.iter().enumerate() {
        run.step(step).map_err(|failure| format!("step {at}, {step:?}: {failure}"))?;
    }
    run.end().map_err(|failure| format!("at the end: {failure}"))
}

impl Run {
    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Append(appends) => self.append(appends),
            Step::Settle { records, dead } => self.settle(*records, *dead),
            Step::Read => self.read(),
            Step::MakeSpare => {
                self.core.make_spare();
                Ok(())
            }
            Step::Kill => {
                self.disk.kill();
                self.reopen(None)
            }
            Step::Crash => {
                self.disk.crash();
                self.reopen(None)
            }
            Step::Flip(at) => self.flip(*at),
            Step::FailSync { after, times } => {
                self.disk.fail_syncs(*after, *times);
                Ok(())
            }
            Step::FailReads { after, times } => {
                self.disk.fail_reads(*after, *times);
                Ok(())
            }
            Step::FillDisk(bytes) => {
                self.disk.fill_up_to(*bytes);
                Ok(())
            }
            Step::Heal => {
                self.disk.heal();
                Ok(())
            }
        }
    }

    /// On a disk that works everything works again, without a restart; and what then waits survives.
    fn end(&mut self) -> Outcome {
        self.disk.heal();
        self.append(&[vec![10], vec![20, 30]])?;
        ensure!(self.waiting.keys().rev().take(3).all(|last| self.acknowledged.contains(last)), "a sound disk refused");
        self.read()?;
        self.disk.crash();
        self.reopen(None)?;
        self.settle(usize::MAX, 0)?;
        ensure!(self.waiting.is_empty(), "everything was settled and {} records wait", self.waiting.len());
        let status = self.core.status();
        ensure!((status.waiting, status.bytes, status.segments) == (0, 0, 1), "settled, and yet: {status:?}");
        self.disk.crash();
        self.reopen(None)
    }

    fn append(&mut self, appends: &[Vec<usize>]) -> Outcome {
        let group: Vec<Vec<Vec<u8>>> = appends
            .iter()
            .map(|lengths| {
                let record = |length: &usize| {
                    self.appended += 1;
                    format!("{:<length$}", format!("record {}", self.appended)).into_bytes()
                };
                lengths.iter().map(record).collect()
            })
            .collect();
        let answers = self.core.write(group.clone());
        ensure!(answers.len() == group.len(), "{} answers to {} appends", answers.len(), group.len());
        for (records, answer) in group.into_iter().zip(answers) {
            match answer {
                Ok(sequences) => {
                    ensure!(sequences.len() == records.len(), "{sequences:?} for {} records", records.len());
                    for (sequence, record) in sequences.into_iter().zip(records) {
                        self.name(sequence.0, &record)?;
                        self.acknowledged.insert(sequence.0);
                        self.waiting.insert(sequence.0, record);
                    }
                }
                Err(AppendError::Disk(_)) => self.unknown.push(records),
                Err(AppendError::Full { .. }) => {}
                Err(other) => return Err(other.to_string()),
            }
        }
        Ok(())
    }

    /// A sequence names one record for ever, and a record has one sequence.
    fn name(&mut self, sequence: u64, record: &[u8]) -> Outcome {
        match self.named.insert(sequence, record.to_vec()) {
            Some(known) => ensure!(known == record, "{sequence} named another record before"),
            None => {
                let last = self.named.iter().find(|(known, named)| **known != sequence && *named == record);
                ensure!(last.is_none(), "a record has the sequences {last:?} and {sequence}");
            }
        }
        Ok(())
    }

    fn settle(&mut self, records: usize, dead: usize) -> Outcome {
        let taken: Vec<(u64, Vec<u8>)> = self.waiting.iter().take(records).map(|(at, r)| (*at, r.clone())).collect();
        let Some((up_to, _)) = taken.last() else {
            return Ok(());
        };
        let dead: BTreeMap<u64, Vec<u8>> = taken.iter().rev().step_by(2).take(dead).cloned().collect();
        let letters: Vec<DeadLetter> = dead
            .iter()
            .map(|(sequence, record)| DeadLetter {
                sequence: Sequence(*sequence),
                bytes: record.clone(),
                reason: "INVALID".to_owned(),
                message: "it is no audit".to_owned(),
                refused_at: DateTime::<Utc>::UNIX_EPOCH,
            })
            .collect();
        let farther = *up_to > self.settled_max;
        self.settled_max = self.settled_max.max(*up_to);
        self.attempt = None;
        let settled = self.core.settle(Sequence(*up_to), &letters);
        self.catch_up()?;
        if settled.is_ok() {
            ensure!(self.settled >= *up_to, "settled up to {up_to}, and the cursor says {}", self.settled);
            self.letters.extend(dead);
            self.check_letters()?;
        } else {
            ensure!(self.settled < *up_to, "the cursor moved and the answer was an error");
            self.attempt = farther.then_some((*up_to, dead)); // an earlier one may have moved it so far, without these
        }
        Ok(())
    }

    /// Takes over how far the cursor says it is, if it may be there.
    fn catch_up(&mut self) -> Outcome {
        let settled = self.core.state().settled;
        ensure!(settled >= self.settled, "the cursor went back from {} to {settled}", self.settled);
        let skipped = self.acknowledged.range(self.settled_max + 1..).find(|sequence| **sequence <= settled);
        ensure!(skipped.is_none(), "the cursor says {settled}, and {skipped:?} was not settled");
        self.settled = settled;
        // The cursor moves last: where it stands, the letters are.
        if let Some((_, dead)) = self.attempt.take_if(|(up_to, _)| *up_to <= settled) {
            self.letters.extend(dead);
        }
        self.waiting.retain(|sequence, _| *sequence > settled);
        self.acknowledged.retain(|sequence| *sequence > settled);
        Ok(())
    }

    fn check_letters(&self) -> Outcome {
        self.disk.heal_reads(); // the spool is tried, not who looks
        let listing = dead::list_on(&self.disk, &folder()).map_err(|error| error.to_string())?;
        ensure!(listing.others.is_empty(), "files that are no letters: {:?}", listing.others);
        let found: BTreeMap<u64, Vec<u8>> =
            listing.letters.into_iter().map(|(_, letter)| (letter.sequence.0, letter.bytes)).collect();
        for (sequence, record) in &self.letters {
            ensure!(found.get(sequence) == Some(record), "the letter {sequence} is not there as it was");
        }
        Ok(())
    }

    /// Everything that waits, read in pieces.
    fn read_all(&self) -> Result<Vec<(u64, Vec<u8>)>, String> {
        let (mut after, mut found) = (Sequence(0), Vec::new());
        loop {
            let records = self.core.read(after, 5, 900).or_else(|_| {
                self.disk.heal_reads(); // what failed is still there
                self.core.read(after, 5, 900)
            });
            let records = records.map_err(|error| error.to_string())?;
            let Some(last) = records.last() else {
                return Ok(found);
            };
            after = last.sequence;
            found.extend(records.into_iter().map(|record| (record.sequence.0, record.bytes)));
        }
    }

    fn read(&self) -> Outcome {
        let found = self.read_all()?;
        let expected: Vec<(u64, Vec<u8>)> = self.waiting.iter().map(|(at, record)| (*at, record.clone())).collect();
        let sequences = |records: &[(u64, Vec<u8>)]| records.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        ensure!(found == expected, "read {:?} where {:?} wait", sequences(&found), sequences(&expected));
        let waiting = self.core.status().waiting;
        ensure!(waiting == expected.len() as u64, "the status says that {waiting} wait, of {}", expected.len());
        let (settled, durable) = (self.core.settled(), *self.core.durable().borrow());
        let settled_max = expected.first().map_or(durable, |(first, _)| Sequence(first - 1));
        ensure!(settled == settled_max, "all up to {settled_max} is settled or lost, and the spool says {settled}");
        Ok(())
    }

    /// Opens what is left, and looks whether it is what it should be. `flipped` may have been damaged.
    fn reopen(&mut self, flipped: Option<&Path>) -> Outcome {
        let open = |disk: &Simulated| opening::open(Arc::new(disk.clone()), folder().root(), &SETTINGS);
        self.core = match open(&self.disk) {
            Ok(core) => core,
            Err(first) => {
                self.disk.kill(); // another process tries
                self.disk.heal();
                open(&self.disk).map_err(|error| format!("{error}: {error:?} (after: {first})"))?
            }
        };
        self.catch_up()?;
        self.check_letters()?;
        let found = self.read_all()?;
        ensure!(found.is_sorted_by(|one, next| one.0 < next.0), "not in order: {found:?}");
        for (sequence, record) in &found {
            let known = self.named.contains_key(sequence) || self.unknown.iter().flatten().any(|one| one == record);
            ensure!(known, "{sequence} was never appended: {:?}", String::from_utf8_lossy(record));
            self.name(*sequence, record)?;
        }
        for append in &self.unknown {
            let kept = append.iter().filter(|record| found.iter().any(|(_, one)| one == *record)).count();
            let before = append.iter().filter(|record| self.named.values().any(|one| one == *record)).count();
            ensure!(kept == 0 || before == append.len(), "{kept} of the {} records of an append", append.len());
        }
        let found: BTreeMap<u64, Vec<u8>> = found.into_iter().collect();
        let lost: Vec<u64> = self.acknowledged.iter().copied().filter(|at| !found.contains_key(at)).collect();
        if let (Some(segment), false) = (flipped, lost.is_empty()) {
            self.check_reported(segment, &lost)?;
        } else {
            ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        }
        self.acknowledged.retain(|sequence| found.contains_key(sequence));
        self.waiting = found;
        self.read()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let names = self.disk.list(&folder().segments()).unwrap();
        names.into_iter().filter(|name| name.ends_with("segment")).map(|name| folder().segments().join(name)).collect()
    }

    fn flip(&mut self, at: usize) -> Outcome {
        self.disk.heal_reads();
        self.disk.kill();
        let segments = self.segments();
        let Some(segment) = segments.get(at % segments.len().max(1)) else {
            return self.reopen(None);
        };
        let bits = 8 * disk::read(&self.disk, segment).unwrap().len();
        self.disk.flip(segment, at % bits);
        self.reopen(Some(segment))
    }

    /// One bit harms one append, and the quarantine says which.
    fn check_reported(&self, segment: &Path, lost: &[u64]) -> Outcome {
        ensure!(lost.last().unwrap() - lost[0] < 3, "one bit took {lost:?}");
        let stem = segment.file_stem().unwrap().to_string_lossy().into_owned();
        let names = self.disk.list(&folder().quarantine()).unwrap();
        let reported = names.iter().filter(|name| name.starts_with(&stem) && name.ends_with("json")).any(|name| {
            let text = disk::read(&self.disk, &folder().quarantine().join(name)).unwrap();
            let note: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let says = |field: &str| note[field].as_u64().unwrap();
            lost.iter().all(|sequence| (says("first")..=says("last")).contains(sequence))
        });
        // Where a full disk had no room for a note, at least the status says it.
        let told = self.core.status().trouble.is_some_and(|trouble| trouble.contains(&stem));
        ensure!(reported || told, "{lost:?} are lost and no note says so");
        Ok(())
    }
}
