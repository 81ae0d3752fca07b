//! The dead letters of a spool that is open: how many there are, and which may have to be written again.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use super::{
    dead::{self, DeadLetter},
    disk::Disk,
    folder::Folder,
};

#[derive(Default)]
pub struct Letters {
    /// Those not replayed. What another process takes away is noticed when they are counted again.
    count: u64,
    /// Letters whose records the cursor does not call settled: the names of their files, by sequence.
    ahead: HashMap<u64, String>,
}

impl Letters {
    pub fn load(disk: &dyn Disk, folder: &Folder, settled: u64) -> io::Result<Letters> {
        let found = dead::names(disk, folder)?;
        let count = found.len() as u64;
        Ok(Letters { count, ahead: found.into_iter().filter(|(sequence, _)| *sequence > settled).collect() })
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn recount(&mut self, disk: &dyn Disk, folder: &Folder) -> io::Result<()> {
        self.count = dead::names(disk, folder)?.len() as u64;
        Ok(())
    }

    /// Writes the letters so that they survive a crash.
    ///
    /// One whose record was settled before stays as it is. One that was written while the cursor did not move is written again,
    /// under its name: a sync of the folder may have failed since, and the next one would say that all is well.
    pub fn write(&mut self, disk: &dyn Disk, folder: &Folder, letters: &[DeadLetter], settled: u64) -> io::Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let there: HashSet<u64> = match letters.iter().any(|letter| letter.sequence.0 <= settled) {
            true => dead::names(disk, folder)?.into_iter().map(|(sequence, _)| sequence).collect(),
            false => HashSet::new(),
        };
        for letter in letters {
            let sequence = letter.sequence.0;
            if let Some(name) = self.ahead.get(&sequence) {
                dead::write(disk, folder, name, letter)?;
            } else if sequence > settled || !there.contains(&sequence) {
                let name = dead::name(letter);
                dead::write(disk, folder, &name, letter)?;
                self.ahead.insert(sequence, name);
                self.count += 1;
            }
        }
        disk.sync_folder(&folder.dead())
    }

    /// The cursor stands there now, so the letters up to there are on disk.
    pub fn settled(&mut self, up_to: u64) {
        self.ahead.retain(|sequence, _| *sequence > up_to);
    }
}
