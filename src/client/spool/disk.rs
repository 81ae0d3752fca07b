//! What the spool asks of a disk, and the disk of the machine; tests have another that can lose power.

use std::{
    fs, io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A folder tree whose changes are certain only once they are synced: those of a file by `File::sync`, those of names by
/// `sync_folder`.
pub trait Disk: Send + Sync + 'static {
    /// Makes one folder, unless it is there.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// An empty file to read and write, in the place of any that was there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// The file to read and write.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a folder, sorted, without those of folders.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Holds the file at `path`, and writes `text` into it, until what it returns is dropped.
    fn lock(&self, path: &Path, text: &str) -> Result<Lock, LockError>;
}

pub trait File: Send + Sync {
    /// Fills `buffer`, or tells how much of it there was before the file's end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all, or fails with any part of it written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn bytes(&self) -> io::Result<u64>;
}

/// What keeps others away while it lives.
pub struct Lock(#[allow(dead_code, reason = "it is kept only to be dropped")] Box<dyn Send + Sync>);

impl Lock {
    pub fn new(holder: impl Send + Sync + 'static) -> Lock {
        Lock(Box::new(holder))
    }
}

pub enum LockError {
    /// Somebody holds it, who wrote this.
    Held(String),
    Disk(io::Error),
}

/// Makes the folder and those above it, so that a crash leaves them.
pub fn make_folders(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    match disk.list(folder) {
        Ok(_) => return Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
        Err(error) => return Err(error),
    }
    if parent(folder) != folder {
        make_folders(disk, parent(folder))?;
    }
    disk.create_folder(folder)?;
    disk.sync_folder(parent(folder))
}

/// The whole file.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    read_all(&*disk.open(path)?)
}

pub fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.bytes()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The error of a read of what the disk cannot bring in; it has this number on every Unix.
pub const EIO: i32 = 5;

/// What a system reads of a disk at once: where a sector is bad, that much is not to be had.
const BLOCK: usize = 4096;

/// So often is a block tried before it counts as lost, for some errors pass.
pub const READ_TRIES: u32 = 3;

/// Stands where nothing could be read. Zeros would say that nothing was ever written there.
const UNREADABLE: u8 = 0xff;

/// A file as far as it could be read.
pub struct Salvaged {
    pub bytes: Vec<u8>,
    /// In order; `bytes` has no meaning there.
    pub unreadable: Vec<Range<usize>>,
}

/// The whole file, around blocks that the disk does not bring in. If it brings in none at all, the disk is gone, not a part of
/// the file, and that is an error.
pub fn salvage(file: &dyn File) -> io::Result<Salvaged> {
    let failure = match read_all(file) {
        Ok(bytes) => return Ok(Salvaged { bytes, unreadable: Vec::new() }),
        Err(failure) if is_unreadable(&failure) => failure,
        Err(failure) => return Err(failure),
    };
    let length = usize::try_from(file.bytes()?).map_err(io::Error::other)?;
    let mut salvaged = Salvaged { bytes: vec![0; length], unreadable: Vec::new() };
    for start in (0..length).step_by(BLOCK) {
        let range = start..length.min(start + BLOCK);
        let block = &mut salvaged.bytes[range.clone()];
        match read_patiently(file, block, start as u64) {
            Ok(_) => {}
            Err(error) if is_unreadable(&error) => {
                block.fill(UNREADABLE);
                salvaged.unreadable.push(range);
            }
            Err(error) => return Err(error),
        }
    }
    let lost: usize = salvaged.unreadable.iter().map(Range::len).sum();
    if lost < length { Ok(salvaged) } else { Err(failure) }
}

/// As `File::read_at`, and again where that fails.
pub fn read_patiently(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = file.read_at(buffer, offset);
    for _ in 1..READ_TRIES {
        if read.is_ok() {
            break;
        }
        read = file.read_at(buffer, offset);
    }
    read
}

pub fn is_unreadable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(EIO)
}

/// Puts `bytes` at `path` so that after a crash either all of it is there or what was there before.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_beside(disk, path, bytes)?;
    disk.sync_folder(parent(path))
}

/// The same without syncing the folder: for several files at once.
pub fn write_beside(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let written = disk.create(&beside).and_then(|file| {
        file.write_at(bytes, 0)?;
        file.sync()
    });
    if let Err(error) = written {
        let _ = disk.remove(&beside); // what could not be written should not take the room of what could
        return Err(error);
    }
    disk.rename(&beside, path)
}

/// Ends the names of files that are not finished.
pub const UNFINISHED: &str = ".new";

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// The disk of the machine.
pub struct Machine;

impl Disk for Machine {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            other => other,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fs::File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path, text: &str) -> Result<Lock, LockError> {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(LockError::Disk)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(LockError::Held(fs::read_to_string(path).unwrap_or_default()));
            }
            Err(fs::TryLockError::Error(error)) => return Err(LockError::Disk(error)),
        }
        // The text only helps people, so a full disk must not keep the spool from being drained.
        let _ = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
        Ok(Lock::new(file))
    }
}

impl File for fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match FileExt::read_at(self, &mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
