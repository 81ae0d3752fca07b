//! The folder of a spool: what lies where, what it says about itself, and who holds it.

use std::{
    io,
    path::{Path, PathBuf},
    process,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    OpenError,
    disk::{self, Disk, Lock, LockError, UNFINISHED},
    segment,
};

/// The format of a folder, which is that of its segments.
const FORMAT: u64 = segment::VERSION as u64;

#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    format: u64,
    id: Uuid,
}

#[derive(Serialize, Deserialize)]
struct Holder {
    process: u32,
}

impl Folder {
    pub fn new(root: &Path) -> Folder {
        Folder { root: root.to_path_buf() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub fn segment(&self, first: u64) -> PathBuf {
        self.segments().join(format!("{first:020}.segment"))
    }

    /// A segment that is made before it is needed.
    pub fn spare(&self) -> PathBuf {
        self.segments().join(format!("spare{UNFINISHED}"))
    }

    /// Says that the records from `first` on are gone and that somebody knows.
    pub fn accepted_loss(&self, first: u64) -> PathBuf {
        self.segments().join(format!("{first:020}.lost"))
    }

    pub fn cursor(&self) -> PathBuf {
        self.root.join("cursor")
    }

    pub fn dead(&self) -> PathBuf {
        self.root.join("dead")
    }

    pub fn replayed(&self) -> PathBuf {
        self.dead().join("replayed")
    }

    pub fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    fn identity(&self) -> PathBuf {
        self.root.join("spool.json")
    }

    /// The first sequences of the segments, in order.
    pub fn list_segments(&self, disk: &dyn Disk) -> io::Result<Vec<u64>> {
        let names = match disk.list(&self.segments()) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let first = |name: String| name.strip_suffix(".segment").filter(|digits| digits.len() == 20)?.parse().ok();
        Ok(names.into_iter().filter_map(first).collect()) // twenty digits sort as numbers do
    }

    /// Makes the folder where there is none and keeps other processes away.
    pub fn take(&self, disk: &dyn Disk) -> Result<Lock, OpenError> {
        let unwritable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                OpenError::NotAFolder { folder: self.root.clone() }
            }
            _ => OpenError::Unwritable { folder: self.root.clone(), source },
        };
        disk::make_folders(disk, &self.root).map_err(unwritable)?;
        let text = serde_json::to_string(&Holder { process: process::id() }).expect("a number makes a text");
        disk.lock(&self.root.join("lock"), &text).map_err(|refusal| match refusal {
            LockError::Disk(source) => unwritable(source),
            LockError::Held(text) => {
                let process = serde_json::from_str(&text).ok().map(|holder: Holder| holder.process);
                OpenError::Locked { folder: self.root.clone(), process }
            }
        })
    }

    /// The spool's id, given to it when the folder is used first; makes what a folder needs.
    pub fn identify(&self, disk: &dyn Disk) -> Result<Uuid, OpenError> {
        let failed = |source| OpenError::Disk { folder: self.root.clone(), source };
        let id = match disk::read(disk, &self.identity()) {
            Ok(text) => self.known(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.list_segments(disk).map_err(failed)?.is_empty() {
                    return Err(OpenError::CopiedInPart { folder: self.root.clone() });
                }
                let identity = Identity { format: FORMAT, id: Uuid::now_v7() };
                let text = serde_json::to_vec(&identity).expect("two values make a text");
                disk::replace(disk, &self.identity(), &text).map_err(failed)?;
                identity.id
            }
            Err(error) => return Err(failed(error)),
        };
        for folder in [self.segments(), self.replayed(), self.quarantine()] {
            disk::make_folders(disk, &folder).map_err(failed)?;
        }
        Ok(id)
    }

    fn known(&self, text: &[u8]) -> Result<Uuid, OpenError> {
        // The format is looked at by itself, for a newer one may say everything else in another way.
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let unreadable =
            |error: serde_json::Error| OpenError::Unreadable { folder: self.root.clone(), detail: error.to_string() };
        let Format { format } = serde_json::from_slice(text).map_err(unreadable)?;
        if format > FORMAT {
            return Err(OpenError::Newer { folder: self.root.clone(), version: format, known: FORMAT });
        }
        Ok(serde_json::from_slice::<Identity>(text).map_err(unreadable)?.id)
    }
}
