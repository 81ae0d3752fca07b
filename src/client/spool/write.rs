//! Writing a group: one write and one sync for all appends that wait; a new segment where the old one is full or was failed by
//! the disk.

use std::{io, path::Path, sync::Arc};

use chrono::Utc;
use tracing::{error, warn};

use super::{
    AppendError, Sequence,
    core::{Condition, Core, Current, Writer},
    disk::File,
    frame,
    segment::{self, Place},
    state::State,
};

/// The records of one append.
pub type Records = Vec<Vec<u8>>;

/// Zeros are written in pieces, so that the appends beside are not kept waiting by one long write.
const ZEROS: usize = 256 * 1024;

/// Frames as they will lie on disk.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    /// Their places, as if `bytes` began a file.
    places: Vec<Place>,
}

impl Core {
    /// Keeps the appends that fit into the bound, and answers each; what is answered well is on disk.
    pub fn write(&self, appends: Vec<Records>) -> Vec<Result<Vec<Sequence>, AppendError>> {
        let answers = self.keep(appends);
        let refusing = match answers.last() {
            None | Some(Err(AppendError::Closed | AppendError::TooLarge { .. })) => return answers,
            Some(Err(error @ AppendError::Full { .. })) => Some(error.to_string()),
            Some(Err(error @ AppendError::Disk(source))) => Some(format!("{error}: {source}")),
            Some(Ok(_)) => None,
        };
        self.state().refusing = refusing;
        answers
    }

    fn keep(&self, appends: Vec<Records>) -> Vec<Result<Vec<Sequence>, AppendError>> {
        let mut writer = self.writer();
        let (group, mut answers) = self.admit(&mut writer, appends);
        if group.places.is_empty() {
            return answers;
        }
        // A second try goes to another segment, so a disk that fails once is not noticed by callers.
        let written = self.write_group(&mut writer, &group).or_else(|failure| {
            warn!(
                error = &failure as &dyn std::error::Error,
                "the spool's disk failed a write, trying another segment"
            );
            self.write_group(&mut writer, &group)
        });
        match written {
            Ok(()) => self.publish(group.places.last().expect("a group has frames").last()),
            Err(failure) => {
                // What was written of it can only come back if nothing is written later, so the sequences are free again.
                writer.next = group.places[0].first;
                error!(error = &failure as &dyn std::error::Error, "the spool's disk refuses to keep audits");
                self.trouble(format!("the disk refused to keep audits: {failure}"));
                for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                    *answer = Err(AppendError::Disk(copy(&failure)));
                }
            }
        }
        answers
    }

    /// Gives sequences to what fits.
    fn admit(&self, writer: &mut Writer, appends: Vec<Records>) -> (Frames, Vec<Result<Vec<Sequence>, AppendError>>) {
        let (mut bytes, bytes_max, closed) = {
            let state = self.state();
            (state.bytes, state.bytes_max, state.closed)
        };
        let kept_at = Utc::now().timestamp_micros();
        let group_first = writer.next;
        let mut group = Frames::default();
        let mut admit = |records: Records| {
            if closed {
                return Err(AppendError::Closed);
            }
            bytes += frame::bytes_of(&records) as u64;
            if bytes > bytes_max {
                bytes -= frame::bytes_of(&records) as u64;
                return Err(AppendError::Full { bytes, bytes_max });
            }
            let first = writer.next;
            writer.next += records.len() as u64;
            let start = group.bytes.len();
            let before = u32::try_from(first - group_first).expect("a group is far smaller than 4 GiB");
            frame::encode(&mut group.bytes, first, kept_at, before, &records);
            let head = frame::plausible(&group.bytes[start..]).expect("it was just written");
            group.places.push(Place::new(&head, start));
            Ok((first..writer.next).map(Sequence).collect())
        };
        let answers = appends.into_iter().map(&mut admit).collect();
        (group, answers)
    }

    fn write_group(&self, writer: &mut Writer, group: &Frames) -> io::Result<()> {
        match &mut writer.current {
            Some(current)
                if current.condition == Condition::Sound && current.at + group.bytes.len() <= current.size =>
            {
                let at = current.at as u64;
                let written = current.file.write_at(&group.bytes, at).and_then(|()| self.counted(current.file.sync()));
                if written.is_err() {
                    current.condition = Condition::Poisoned;
                    return written;
                }
                self.count(&mut self.state(), group, current.at);
                current.at += group.bytes.len();
                Ok(())
            }
            _ => self.begin_segment(writer, group),
        }
    }

    /// Puts the group into a new segment, behind what has to be saved from a poisoned one.
    fn begin_segment(&self, writer: &mut Writer, group: &Frames) -> io::Result<()> {
        let poisoned = writer.current.as_ref().filter(|current| current.condition == Condition::Poisoned);
        let saved = match poisoned {
            Some(current) => self.save(&*current.file)?,
            None => Frames::default(),
        };
        let head = self.head(&saved, group, poisoned.is_some());
        let path = self.folder.segment(head.first);
        let mut bytes = head.encode().to_vec();
        bytes.extend_from_slice(&saved.bytes);
        bytes.extend_from_slice(&group.bytes);

        let mut spare = self.spare(); // held until it has its own name, so that nobody makes another in its place
        let (file, size) = self.take(&mut spare, bytes.len())?;
        if let Err(failure) = file.write_at(&bytes, 0).and_then(|()| self.counted(file.sync())) {
            let _ = self.disk.remove(&self.folder.spare()); // it has no name that counts yet
            return Err(failure);
        }
        // From here on a crash may bring the new segment back with a refused group: the old one must not grow past it.
        if let Some(current) = &mut writer.current
            && current.condition == Condition::Sound
        {
            current.condition = Condition::Ended;
        }
        self.disk.rename(&self.folder.spare(), &path)?;
        self.counted(self.disk.sync_folder(&self.folder.segments()))?;
        drop(spare);

        let poisoned = writer.current.take().filter(|current| current.condition == Condition::Poisoned);
        let mut state = self.state(); // held throughout: without these frames a reader or a settler would go past them
        if poisoned.is_some() {
            state.drop_last_segment();
        }
        state.add_segment(head, path.clone(), file.clone());
        state.count(&saved.places, segment::HEAD);
        self.count(&mut state, group, segment::HEAD + saved.bytes.len());
        drop(state);
        writer.current = Some(Current { file, path: path.clone(), at: bytes.len(), size, condition: Condition::Sound });
        if let Some(poisoned) = poisoned {
            self.drop_poisoned(&poisoned.path, &path);
        }
        Ok(())
    }

    /// A sync's outcome, counted if it failed.
    pub(super) fn counted(&self, synced: io::Result<()>) -> io::Result<()> {
        self.state().fsync_failures += u64::from(synced.is_err());
        synced
    }

    fn head(&self, saved: &Frames, group: &Frames, poisoned: bool) -> segment::Head {
        let state = self.state();
        let first = saved.places.first().unwrap_or(&group.places[0]).first;
        let behind = match state.segments.back() {
            // What the poisoned segment held before is settled; the segments before it count as they did.
            Some(segment) if poisoned => segment.behind.max(state.settled.min(first - 1)),
            _ => state.durable,
        };
        segment::Head { first, behind, spool: self.id }
    }

    /// What waits in the poisoned segment, from the disk or, where that lost it, from memory. A read that fails is an error:
    /// it may pass, and without this frame the old segment must not go.
    fn save(&self, file: &dyn File) -> io::Result<Frames> {
        let mut saved = Frames::default();
        let (id, path, places) = match self.state().segments.back() {
            Some(segment) => (segment.id, segment.path.clone(), segment.frames.clone()),
            None => return Ok(saved),
        };
        for place in places {
            let mut bytes = vec![0; place.bytes as usize];
            let newest = self.state().newest(place.last());
            match (newest, file.read_at(&mut bytes, u64::from(place.start))) {
                (_, Ok(_)) if frame::check(&bytes).is_some_and(|head| head.first == place.first) => {}
                (Some(newest), _) => bytes = newest.to_vec(),
                (None, Err(failure)) => return Err(failure),
                (None, Ok(_)) => {
                    self.set_aside(id, &path, &place, &bytes)?;
                    continue;
                }
            }
            let start = u32::try_from(saved.bytes.len()).expect("a segment is far smaller than 4 GiB");
            saved.places.push(Place { start, ..place });
            saved.bytes.extend_from_slice(&bytes);
        }
        Ok(saved)
    }

    /// All that counted in it stands in the new segment.
    fn drop_poisoned(&self, old: &Path, new: &Path) {
        if old != new
            && let Err(failure) = self.disk.remove(old)
        {
            warn!(error = &failure as &dyn std::error::Error, "a segment that the disk failed could not be removed");
        }
        let text = format!("the disk failed the segment `{}`; what waited in it was written again", old.display());
        warn!("{text}");
        self.trouble(text);
    }

    /// Counts a group that is on disk from `at` on in the last segment.
    fn count(&self, state: &mut State, group: &Frames, at: usize) {
        state.count(&group.places, at);
        for place in &group.places {
            state.remember(place.last(), &group.bytes[place.range()]);
            state.appended += u64::from(place.count);
        }
    }

    /// An empty segment of at least `bytes`, under a name that does not count.
    fn take(&self, spare: &mut Option<Arc<dyn File>>, bytes: usize) -> io::Result<(Arc<dyn File>, usize)> {
        let size = bytes.max(self.segment_bytes);
        match spare.take() {
            Some(file) if size == self.segment_bytes => Ok((file, size)),
            _ => Ok((self.make_empty(size)?, size)), // in the place of a spare that is too small
        }
    }

    /// Whether the segment that is written is so full that the next one should be made.
    pub fn wants_spare(&self) -> bool {
        self.writer().current.as_ref().is_some_and(|current| current.at > current.size / 2)
    }

    /// Makes the next segment before it is needed. Its bytes are written and synced here, so that the sync of an append
    /// changes nothing but contents.
    pub fn make_spare(&self) {
        let mut spare = self.spare(); // a group that wants it now waits for it
        if spare.is_some() || self.state().closed {
            return;
        }
        match self.make_empty(self.segment_bytes) {
            Ok(file) => *spare = Some(file),
            Err(failure) => {
                warn!(error = &failure as &dyn std::error::Error, "the spool's next segment cannot be made");
                self.trouble(format!("the next segment cannot be made: {failure}"));
            }
        }
    }

    #[cfg(test)]
    pub fn wait_for_spare(&self) {
        assert!(self.spare().is_some(), "there is no spare");
    }

    fn make_empty(&self, size: usize) -> io::Result<Arc<dyn File>> {
        let path = self.folder.spare();
        let filled = self.disk.create(&path).and_then(|file| {
            let zeros = vec![0; ZEROS.min(size)];
            for at in (0..size).step_by(ZEROS) {
                file.write_at(&zeros[..ZEROS.min(size - at)], at as u64)?;
            }
            file.sync()?;
            Ok(file)
        });
        if filled.is_err() {
            let _ = self.disk.remove(&path); // half of a segment only takes up room
        }
        filled
    }

    /// Gives the room of the spare back to a full disk. Whether there was one.
    pub(super) fn give_up_spare(&self) -> bool {
        let mut spare = self.spare();
        spare.take().is_some() && self.disk.remove(&self.folder.spare()).is_ok()
    }
}

/// An error for each of several callers.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
