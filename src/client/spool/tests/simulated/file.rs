//! A file of the simulated disk: its writes count once they are synced, and its reads can fail.

use std::{io, ops::Range, sync::MutexGuard};

use super::{SECTOR, Simulated, World, fails};
use crate::client::spool::disk::{EIO, File};

/// A file that is open.
pub struct Handle {
    disk: Simulated,
    file: usize,
    boot: u64,
}

impl Handle {
    pub fn new(disk: &Simulated, file: usize, boot: u64) -> Handle {
        Handle { disk: disk.clone(), file, boot }
    }

    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.disk.world();
        if world.boots == self.boot { Ok(world) } else { Err(io::Error::other("the power was gone")) }
    }
}

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.world()?;
        let (from, to) = (usize::try_from(offset).unwrap(), usize::try_from(offset).unwrap() + buffer.len());
        let spoiled =
            |(file, bytes): &(usize, Range<usize>)| *file == self.file && bytes.start < to && from < bytes.end;
        if world.unreadable.iter().any(spoiled) || fails(&mut world.failing_reads) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let now = &world.files[self.file].now;
        let from = from.min(now.len());
        let length = buffer.len().min(now.len() - from);
        buffer[..length].copy_from_slice(&now[from..from + length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.world()?;
        let at = usize::try_from(offset).unwrap();
        let length = world.files[self.file].now.len();
        let growth = (at + bytes.len()).saturating_sub(length);
        let room = world.room.map_or(usize::MAX, |room| room.saturating_sub(world.used()));
        let fits = bytes.len() - growth.saturating_sub(room).min(bytes.len());
        let contents = &mut world.files[self.file];
        if fits > 0 {
            contents.now.resize(length.max(at + fits), 0);
            contents.now[at..at + fits].copy_from_slice(&bytes[..fits]);
            contents.dirty.extend(at / SECTOR..=(at + fits - 1) / SECTOR);
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.world()?;
        let fails = world.sync_fails();
        if world.files[self.file].careless && !fails {
            return Ok(());
        }
        // After a failure the pages count as clean, written or not; a reader sees them for as long as they stay in memory.
        let forgotten = fails && world.coin();
        for sector in std::mem::take(&mut world.files[self.file].dirty) {
            let lost = fails && world.coin();
            let contents = &mut world.files[self.file];
            if !lost {
                contents.write_back(sector);
            } else if forgotten {
                let range = sector * SECTOR..((sector + 1) * SECTOR).min(contents.now.len());
                let old: Vec<u8> = range.clone().map(|at| contents.synced.get(at).copied().unwrap_or(0)).collect();
                contents.now[range].copy_from_slice(&old);
            }
        }
        if fails { Err(io::Error::other("the disk failed a sync")) } else { Ok(()) }
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.world()?.files[self.file].now.len() as u64)
    }
}
