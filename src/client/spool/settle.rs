//! Settling: dead letters first, then the cursor, then the segments that nobody needs any more.

use std::{io, path::PathBuf};

use tracing::warn;

use super::{Sequence, SettleError, core::Core, cursor::Cursor, dead::DeadLetter};

impl Core {
    pub fn settle(&self, up_to: Sequence, dead: &[DeadLetter]) -> Result<(), SettleError> {
        let mut cursor = self.cursor();
        let (reach, kept) = {
            let state = self.state();
            let durable = Sequence(state.durable);
            if state.closed {
                return Err(SettleError::Closed);
            }
            if up_to > durable {
                return Err(SettleError::Beyond { up_to, durable });
            }
            (state.reach(up_to.0).max(state.settled), state.durable)
        };
        if let Some(letter) = dead.iter().find(|letter| letter.sequence > up_to) {
            return Err(SettleError::DeadBeyond { dead: letter.sequence, up_to });
        }
        self.remember(&mut cursor, reach, kept, dead).map_err(|failure| {
            self.trouble(format!("what is settled could not be remembered: {failure}"));
            SettleError::Disk(failure)
        })?;
        let gone = self.state().settle(reach);
        self.remove(gone.into_iter().map(|segment| segment.path).collect());
        Ok(())
    }

    fn remember(&self, cursor: &mut Cursor, settled: u64, kept: u64, dead: &[DeadLetter]) -> io::Result<()> {
        let write = |cursor: &mut Cursor| -> io::Result<()> {
            let mut letters = self.letters();
            let written = letters.write(&*self.disk, &self.folder, dead, cursor.settled());
            self.state().dead = letters.count(); // also when it failed: some of them may stand there
            written?;
            if settled > cursor.settled() {
                cursor.write(&*self.disk, settled, kept)?;
            }
            letters.settled(cursor.settled());
            Ok(())
        };
        match write(cursor) {
            // A full disk must not keep the queue from being drained, which is what makes room.
            Err(failure) if failure.kind() == io::ErrorKind::StorageFull && self.give_up_spare() => write(cursor),
            other => other,
        }
    }

    /// Removes segments behind the cursor. One that stays is removed at the next opening.
    fn remove(&self, paths: Vec<PathBuf>) {
        if paths.is_empty() {
            return;
        }
        let removed = paths.iter().try_for_each(|path| self.disk.remove(path));
        if let Err(failure) = removed.and_then(|()| self.disk.sync_folder(&self.folder.segments())) {
            warn!(error = &failure as &dyn std::error::Error, "a settled segment could not be removed");
            self.trouble(format!("a settled segment could not be removed: {failure}"));
        }
    }
}
