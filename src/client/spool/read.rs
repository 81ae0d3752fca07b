//! Reading what waits: from memory where it is new, else from its segment, a stretch at a time.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::error;

use super::{
    ReadError, Record, Sequence,
    core::{Core, lock},
    disk::File,
    frame,
    quarantine::{self, Note},
    segment::Place,
    state::records_behind,
};

/// What one call reads, settled under the state's lock and fetched without it.
pub struct Plan {
    after: u64,
    records_max: usize,
    bytes_max: usize,
    parts: Vec<Part>,
}

enum Part {
    Memory(Arc<[u8]>),
    /// Frames that lie side by side in one segment.
    Disk {
        segment: u64,
        path: PathBuf,
        file: Option<Arc<dyn File>>,
        places: Vec<Place>,
    },
}

impl Plan {
    pub fn needs_disk(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Disk { .. }))
    }
}

impl Core {
    #[cfg(test)]
    pub fn read(&self, after: Sequence, records_max: usize, bytes_max: usize) -> Result<Vec<Record>, ReadError> {
        self.fetch(self.plan(after, records_max, bytes_max)?)
    }

    pub fn plan(&self, after: Sequence, records_max: usize, bytes_max: usize) -> Result<Plan, ReadError> {
        let state = self.state();
        if state.closed {
            return Err(ReadError::Closed);
        }
        let after = after.0.max(state.settled);
        let (records_max, bytes_max) = (records_max.max(1), bytes_max.max(1));
        let mut plan = Plan { after, records_max, bytes_max, parts: Vec::new() };
        let (mut records, mut bytes) = (0, 0);
        'all: for segment in &state.segments {
            let begin = segment.frames.partition_point(|place| place.last() <= after);
            for place in segment.frames.range(begin..) {
                if records >= records_max || bytes >= bytes_max {
                    break 'all;
                }
                records += place.count as usize;
                bytes += place.bytes as usize;
                match state.newest(place.last()) {
                    Some(frame) => plan.parts.push(Part::Memory(frame)),
                    None => plan.add(segment.id, &segment.path, &segment.file, *place),
                }
            }
        }
        Ok(plan)
    }

    pub fn fetch(&self, mut plan: Plan) -> Result<Vec<Record>, ReadError> {
        loop {
            let mut taken = Taken { records: Vec::new(), bytes: 0, plan: &plan };
            if self.take_all(&mut taken)? {
                return Ok(taken.records);
            }
            // Something was damaged, or was settled or written elsewhere meanwhile.
            plan = self.plan(Sequence(plan.after), plan.records_max, plan.bytes_max)?;
        }
    }

    /// False if a part was not where it should be.
    fn take_all(&self, taken: &mut Taken<'_>) -> Result<bool, ReadError> {
        for part in &taken.plan.parts {
            match part {
                Part::Memory(frame) => taken.take(frame),
                Part::Disk { segment, path, file, places } => {
                    let (start, end) = (places[0].range().start, places[places.len() - 1].range().end);
                    let failed = |source| ReadError::Disk { segment: path.clone(), source };
                    let mut bytes = vec![0; end - start];
                    let opened = match file {
                        Some(file) => Ok(file.clone()),
                        None => self.segment_file(*segment, path),
                    };
                    match opened.and_then(|file| file.read_at(&mut bytes, start as u64)) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::NotFound && !self.knows(*segment) => {
                            return Ok(false);
                        }
                        Err(error) => return Err(failed(error)),
                    }
                    for place in places {
                        let frame = &bytes[place.range().start - start..place.range().end - start];
                        if frame::check(frame).is_none_or(|head| head.first != place.first) {
                            self.set_aside(*segment, path, place, frame).map_err(failed)?;
                            return Ok(false);
                        }
                        taken.take(frame);
                    }
                }
            }
        }
        Ok(true)
    }

    fn knows(&self, segment: u64) -> bool {
        self.state().segments.iter().any(|known| known.id == segment)
    }

    /// Quarantines a frame that was whole when the spool was opened.
    pub(super) fn set_aside(&self, segment: u64, path: &Path, place: &Place, bytes: &[u8]) -> io::Result<()> {
        if !self.knows(segment) {
            return Ok(()); // it was settled, or written again elsewhere
        }
        let note = Note::new(path, place.range(), place.first, place.last(), true);
        quarantine::put(&*self.disk, &self.folder, path, bytes, &note)?;
        if !self.state().strike_out(segment, place.first) {
            return Ok(());
        }
        let text = format!("the records {} to {} are damaged in `{}`", place.first, place.last(), path.display());
        error!("{text}; they are in quarantine, and what lies behind them is sent on");
        let quarantined = quarantine::count(&*self.disk, &self.folder)?;
        let mut state = self.state();
        state.trouble = Some(text);
        state.quarantined = quarantined;
        Ok(())
    }

    /// The file of a segment that is not written any more. The last one is kept open.
    fn segment_file(&self, id: u64, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut reading = lock(&self.reading);
        if let Some((_, file)) = reading.as_ref().filter(|(known, _)| *known == id) {
            return Ok(file.clone());
        }
        let file = self.disk.open(path)?;
        *reading = Some((id, file.clone()));
        Ok(file)
    }
}

impl Plan {
    fn add(&mut self, id: u64, path: &Path, file: &Option<Arc<dyn File>>, place: Place) {
        if let Some(Part::Disk { segment, places, .. }) = self.parts.last_mut()
            && *segment == id
            && places[places.len() - 1].range().end == place.range().start
        {
            places.push(place);
            return;
        }
        self.parts.push(Part::Disk { segment: id, path: path.to_path_buf(), file: file.clone(), places: vec![place] });
    }
}

/// Records up to the plan's bounds.
struct Taken<'a> {
    records: Vec<Record>,
    bytes: usize,
    plan: &'a Plan,
}

impl Taken<'_> {
    fn take(&mut self, frame: &[u8]) {
        for (sequence, bytes) in records_behind(frame, self.plan.after) {
            let full = self.records.len() >= self.plan.records_max
                || (!self.records.is_empty() && self.bytes + bytes.len() > self.plan.bytes_max);
            if full {
                self.bytes = self.plan.bytes_max + 1; // nothing smaller behind it may overtake
                return;
            }
            self.bytes += bytes.len();
            self.records.push(Record { sequence: Sequence(sequence), bytes: bytes.to_vec() });
        }
    }
}
