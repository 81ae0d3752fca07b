//! Opening a spool: every record behind the cursor is read and checked; what a crash left unfinished is cut off, what is damaged
//! is set aside and told, and what is missing stops the opening.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::{error, info, warn};
use uuid::Uuid;

use super::{
    OpenError, Sequence, Settings,
    core::{Condition, Core, Current, Found, Writer},
    cursor::Cursor,
    dead,
    disk::{self, Disk, File, Salvaged, UNFINISHED},
    folder::Folder,
    letters::Letters,
    quarantine::{self, Note},
    segment::{self, Head, HeadError, Place},
    state::State,
};

/// More than all records that segments which are gone can have had: their sequences are not given out again.
const LOST_MAX: u64 = 1 << 40;

/// A segment that was found, before its records are read.
struct Lying {
    first: u64,
    path: PathBuf,
    /// `None` if its head is damaged.
    head: Option<Head>,
}

impl Lying {
    /// What the segments before may hold at most.
    fn behind(&self) -> u64 {
        self.head.map_or(self.first - 1, |head| head.behind)
    }
}

struct Opening {
    disk: Arc<dyn Disk>,
    folder: Folder,
    state: State,
    current: Option<Current>,
    /// The last record that may have been in an unfinished write: its sequence is not given out again.
    unfinished: u64,
    /// The last record that was found, settled or not.
    last: u64,
}

pub fn open(disk: Arc<dyn Disk>, root: &Path, settings: &Settings) -> Result<Core, OpenError> {
    let folder = Folder::new(root);
    let segment_bytes = settings.check()?;
    let lock = folder.take(&*disk)?;
    let id = folder.identify(&*disk)?;
    let failed = |source| OpenError::Disk { folder: root.to_path_buf(), source };

    remove_unfinished(&*disk, &folder).map_err(failed)?;
    // A name that is seen may not be on disk: whoever gave it may have died before its folder was synced.
    for named in [folder.root().to_path_buf(), folder.segments(), folder.dead()] {
        disk.sync_folder(&named).map_err(failed)?;
    }
    let mut segments = find(&*disk, &folder, id)?;
    let state = State::new(settings.bytes_max);
    let mut opening =
        Opening { disk: disk.clone(), folder: folder.clone(), state, current: None, unfinished: 0, last: 0 };
    let cursor = opening.cursor(&segments).map_err(failed)?;
    opening.state.settled = cursor.settled();
    opening.state.durable = cursor.settled();

    if segments.is_empty() && cursor.settled() > 0 {
        opening.gone(cursor.settled())?;
    }
    opening.remove_settled(&mut segments).map_err(failed)?;
    for (at, segment) in segments.iter().enumerate() {
        opening.read(segment, segments.get(at + 1).map(Lying::behind))?;
    }
    if !segments.is_empty() && opening.last.max(opening.unfinished) < cursor.settled() {
        opening.tell("its cursor stands behind its last record; what is missing up to there is recorded");
    }
    opening.reaches(cursor.kept())?;
    let letters = Letters::load(&*disk, &folder, cursor.settled()).map_err(failed)?;
    opening.state.dead = letters.count();
    opening.state.quarantined = quarantine::count(&*disk, &folder).map_err(failed)?;

    let Opening { state, current, unfinished, .. } = opening;
    let next = state.durable.max(unfinished) + 1;
    let (waiting, durable) = (state.waiting, state.durable);
    info!(waiting, durable, "opened the spool in `{}`: {waiting} records wait", root.display());
    let found = Found { state, writer: Writer { next, current }, cursor, letters, lock };
    Ok(Core::new(disk, folder, id, segment_bytes, found))
}

/// Files that a crash kept from getting their names.
fn remove_unfinished(disk: &dyn Disk, folder: &Folder) -> io::Result<()> {
    for place in [folder.root().to_path_buf(), folder.segments(), folder.dead(), folder.quarantine()] {
        for name in disk.list(&place)?.iter().filter(|name| name.ends_with(UNFINISHED)) {
            disk.remove(&place.join(name))?;
        }
    }
    Ok(())
}

fn find(disk: &dyn Disk, folder: &Folder, id: Uuid) -> Result<Vec<Lying>, OpenError> {
    let failed = |source| OpenError::Disk { folder: folder.root().to_path_buf(), source };
    let mut segments = Vec::new();
    for first in folder.list_segments(disk).map_err(failed)? {
        let path = folder.segment(first);
        let mut bytes = [0; segment::HEAD];
        match disk.open(&path).and_then(|file| disk::read_patiently(&*file, &mut bytes, 0)) {
            Err(error) if disk::is_unreadable(&error) => bytes.fill(0), // a damaged head is made up for
            Err(error) => return Err(failed(error)),
            Ok(_) => {}
        }
        let head = match Head::decode(&bytes) {
            Ok(head) if head.spool != id => return Err(OpenError::Foreign { segment: path }),
            Ok(head) => (head.first == first).then_some(head),
            Err(HeadError::Damaged) => None,
            Err(HeadError::Newer(version)) => {
                let (version, known) = (u64::from(version), u64::from(segment::VERSION));
                return Err(OpenError::Newer { folder: folder.root().to_path_buf(), version, known });
            }
        };
        segments.push(Lying { first, path, head });
    }
    Ok(segments)
}

impl Opening {
    fn tell(&mut self, text: &str) {
        warn!("the spool in `{}`: {text}", self.folder.root().display());
        self.state.trouble = Some(text.to_owned());
    }

    fn accepts(&self, from: u64) -> io::Result<bool> {
        let accepted = self.folder.accepted_loss(from);
        let name = accepted.file_name().unwrap_or_default().to_string_lossy();
        Ok(self.disk.list(&self.folder.segments())?.iter().any(|known| *known == name))
    }

    fn cursor(&mut self, segments: &[Lying]) -> io::Result<Cursor> {
        if let Some(mut cursor) = Cursor::load(&*self.disk, self.folder.cursor())? {
            // Segments are removed by what it says, so it has to be on disk, which a failed sync may have left open.
            let (settled, kept) = (cursor.settled(), cursor.kept());
            cursor.write(&*self.disk, settled, kept).or_else(|_| cursor.write(&*self.disk, settled, kept))?;
            return Ok(cursor);
        }
        let settled = match segments.first() {
            Some(segment) => {
                self.tell(
                    "its cursor is missing or damaged, so all that is there is sent again; the server knows repeats",
                );
                segment.behind()
            }
            // Only in a new folder is nothing at all known; dead letters keep their numbers for ever.
            None => dead::last(&*self.disk, &self.folder)?,
        };
        Cursor::create(&*self.disk, self.folder.cursor(), settled)
    }

    /// Stops if the segments are gone, unless somebody knows. How many records they had is not known.
    fn gone(&mut self, settled: u64) -> Result<(), OpenError> {
        let folder = self.folder.root().to_path_buf();
        match self.accepts(settled + 1) {
            Err(source) => Err(OpenError::Disk { folder, source }),
            Ok(true) => {
                self.unfinished = settled + LOST_MAX;
                Ok(())
            }
            Ok(false) => {
                let accept = self.folder.accepted_loss(settled + 1);
                Err(OpenError::SegmentsGone { folder, settled: Sequence(settled), accept })
            }
        }
    }

    /// Stops if the last records are missing of which the cursor knows that they were kept, unless somebody knows.
    fn reaches(&mut self, kept: u64) -> Result<(), OpenError> {
        self.missing(self.state.durable.max(self.unfinished) + 1, kept)?;
        self.unfinished = self.unfinished.max(kept);
        Ok(())
    }

    fn remove_settled(&mut self, segments: &mut Vec<Lying>) -> io::Result<()> {
        let settled = self.state.settled;
        let needed = segments.windows(2).take_while(|pair| pair[1].behind() <= settled).count();
        for segment in segments.drain(..needed) {
            self.disk.remove(&segment.path)?;
        }
        if needed > 0 { self.disk.sync_folder(&self.folder.segments()) } else { Ok(()) }
    }

    /// Reads a segment of which what lies behind `limit` does not count.
    fn read(&mut self, lying: &Lying, limit: Option<u64>) -> Result<(), OpenError> {
        let failed = |folder: &Folder, source| OpenError::Disk { folder: folder.root().to_path_buf(), source };
        self.expect(lying)?;
        let file = self.disk.open(&lying.path).map_err(|source| failed(&self.folder, source))?;
        let salvaged = disk::salvage(&*file).map_err(|source| failed(&self.folder, source))?;
        let found = segment::scan(&salvaged.bytes, lying.behind());
        self.report(lying, &salvaged, &found, limit).map_err(|source| failed(&self.folder, source))?;

        let counting = found.frames.iter().filter(|place| limit.is_none_or(|limit| place.last() <= limit));
        let counting: Vec<Place> = counting.copied().collect();
        self.last = counting.last().map_or(self.last, Place::last);
        let behind = lying.head.map_or(self.state.durable, |head| head.behind); // a guess must not say that one is missing
        let head = Head { first: lying.first, behind, spool: Uuid::nil() };
        self.state.add_segment(head, lying.path.clone(), file.clone());
        self.state.count(&counting, 0);
        if limit.is_some() {
            self.state.end_segment();
            return Ok(());
        }
        // What a process that died had written counts from here on, so it has to be on disk. The system may think that it is
        // although a sync had failed, so it is written once more: a sync writes only what was written.
        let synced = write_again(&*file, &salvaged, found.end);
        let ended = found.tail.is_some()
            || !salvaged.unreadable.is_empty()
            || lying.head.is_none()
            || self.last < self.state.durable;
        let condition = match (synced, ended) {
            (Err(_), _) => Condition::Poisoned,
            (Ok(()), true) => Condition::Ended,
            (Ok(()), false) => Condition::Sound,
        };
        self.current =
            Some(Current { file, path: lying.path.clone(), at: found.end, size: salvaged.bytes.len(), condition });
        Ok(())
    }

    /// Stops if records between what was read and this segment should be there and are not.
    fn expect(&self, lying: &Lying) -> Result<(), OpenError> {
        let Some(head) = lying.head else {
            return Ok(());
        };
        self.missing(self.state.durable + 1, head.behind)
    }

    fn missing(&self, from: u64, to: u64) -> Result<(), OpenError> {
        let accepted = || self.accepts(from).unwrap_or(false);
        if from > to || accepted() {
            return Ok(());
        }
        let folder = self.folder.root().to_path_buf();
        let accept = self.folder.accepted_loss(from);
        Err(OpenError::SegmentMissing { folder, from: Sequence(from), to: Sequence(to), accept })
    }

    fn report(
        &mut self,
        lying: &Lying,
        salvaged: &Salvaged,
        found: &segment::Scan,
        limit: Option<u64>,
    ) -> io::Result<()> {
        let bytes = &salvaged.bytes;
        let (settled, limit_or_end) = (self.state.settled, limit.unwrap_or(u64::MAX));
        if lying.head.is_none() {
            let head = 0..segment::HEAD.min(bytes.len());
            self.set_aside(lying, bytes, Note::new(&lying.path, head, lying.first, lying.first - 1, true))?;
        }
        for stretch in &found.damage {
            let (first, last) = (stretch.after + 1, (stretch.before - 1).min(limit_or_end));
            if first <= last && last > settled {
                let acknowledged = stretch.acknowledged || limit.is_some();
                self.set_aside(lying, bytes, Note::new(&lying.path, stretch.bytes.clone(), first, last, acknowledged))?;
            }
        }
        let Some(tail) = &found.tail else {
            return Ok(());
        };
        // Sequences go without a hole within a segment, so this is the most that can have been there.
        let first = found.frames.last().map_or(lying.first, |place| place.last() + 1);
        let last = first + segment::records_max(tail.len()) - 1;
        match limit {
            // It was cut off when the next segment was begun.
            Some(limit) if first > limit => Ok(()),
            Some(limit) => {
                self.state.durable = self.state.durable.max(limit); // known to be missing, so not to be looked for
                self.set_aside(lying, bytes, Note::new(&lying.path, tail.clone(), first, limit, true))
            }
            None => {
                self.unfinished = last;
                // A crash tears what was being written; it makes nothing unreadable.
                let acknowledged = salvaged.unreadable.iter().any(|lost| lost.end > tail.start);
                self.set_aside(lying, bytes, Note::new(&lying.path, tail.clone(), first, last, acknowledged))
            }
        }
    }

    fn set_aside(&mut self, lying: &Lying, bytes: &[u8], note: Note) -> io::Result<()> {
        let name = lying.path.display();
        let (length, from, first, last) = (note.to_byte - note.from_byte, note.from_byte, note.first, note.last);
        let text = if note.acknowledged {
            let text = format!("{length} bytes at {from} of `{name}` are damaged, with the records {first} to {last}");
            error!("{text}; they are in quarantine, and what lies behind them is sent on");
            text
        } else {
            let text = format!("{length} bytes at {from} of `{name}` were not written to their end and are left out");
            warn!("{text}; a copy is in quarantine");
            text
        };
        self.state.trouble = Some(text);
        let bytes = &bytes[note.from_byte..note.to_byte];
        match quarantine::put(&*self.disk, &self.folder, &lying.path, bytes, &note) {
            // A full disk must not keep the queue from being drained, and nobody was told that these bytes are kept.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && !note.acknowledged => {
                warn!("the disk has no room for that copy");
                Ok(())
            }
            other => other,
        }
    }
}

/// Writes the segment once more, up to `end`, and syncs it. What could not be read is left as it lies.
fn write_again(file: &dyn File, salvaged: &Salvaged, end: usize) -> io::Result<()> {
    let end = end.min(salvaged.bytes.len());
    let mut at = 0;
    for lost in salvaged.unreadable.iter().filter(|lost| lost.start < end) {
        file.write_at(&salvaged.bytes[at..lost.start], at as u64)?;
        at = lost.end.min(end);
    }
    file.write_at(&salvaged.bytes[at..end], at as u64)?;
    file.sync()
}
