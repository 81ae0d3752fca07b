//! What can go wrong with a spool, in the words of whoever has to do something about it.

use std::{io, path::PathBuf};

use super::Sequence;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the spool's folder `{}` is a file; name a folder, or move the file away", .folder.display())]
    NotAFolder { folder: PathBuf },
    #[error("the spool's folder `{}` cannot be made or written; let this process write there, or name another folder", .folder.display())]
    Unwritable { folder: PathBuf, source: io::Error },
    #[error(
        "the spool in `{}` is in use by {}; stop that process first, or name another folder",
        .folder.display(), holder(.process)
    )]
    Locked { folder: PathBuf, process: Option<u32> },
    #[error(
        "the spool in `{}` has format {version} and this program knows formats up to {known}; use a newer program",
        .folder.display()
    )]
    Newer { folder: PathBuf, version: u64, known: u64 },
    #[error(
        "the folder `{}` has segments but no `spool.json`, as if it had been copied in part; copy it whole again, \
         or move it away to begin with an empty spool",
        .folder.display()
    )]
    CopiedInPart { folder: PathBuf },
    #[error(
        "`spool.json` in `{}` cannot be read as what it should be ({detail}); put back the one that belongs there, \
         or move the folder away to begin with an empty spool",
        .folder.display()
    )]
    Unreadable { folder: PathBuf, detail: String },
    #[error(
        "the segment `{}` belongs to another spool, as if two folders had been copied into one; move it back to its own",
        .segment.display()
    )]
    Foreign { segment: PathBuf },
    #[error(
        "a segment with the records {from} to {to} is missing from the spool in `{}`; put it back, or, if it is gone for \
         good, make an empty file `{}` to go on without these records",
        .folder.display(), .accept.display()
    )]
    SegmentMissing { folder: PathBuf, from: Sequence, to: Sequence, accept: PathBuf },
    #[error(
        "the spool in `{}` has been used up to record {settled} and its segments are gone, with whatever waited in them; \
         put them back, or, if they are gone for good, make an empty file `{}` to go on without",
        .folder.display(), .accept.display()
    )]
    SegmentsGone { folder: PathBuf, settled: Sequence, accept: PathBuf },
    #[error("segments of {given} bytes are asked for; say between {min} and {max}")]
    SegmentBytes { given: u64, min: u64, max: u64 },
    #[error("the spool in `{}` cannot be read or written", .folder.display())]
    Disk { folder: PathBuf, source: io::Error },
}

fn holder(process: &Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the spool is full: {bytes} of {bytes_max} bytes wait to be recorded")]
    Full { bytes: u64, bytes_max: u64 },
    #[error("{bytes} bytes are too many at once: at most {bytes_max}")]
    TooLarge { bytes: u64, bytes_max: u64 },
    /// Whether it is kept is not known: sending it again with the same id is safe.
    #[error("the spool's disk refused to keep it")]
    Disk(#[source] io::Error),
    #[error("the spool is closed")]
    Closed,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the spool's segment `{}` cannot be read", .segment.display())]
    Disk { segment: PathBuf, source: io::Error },
    #[error("the spool is closed")]
    Closed,
}

#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error("record {up_to} cannot be settled: the last one kept is {durable}")]
    Beyond { up_to: Sequence, durable: Sequence },
    #[error("the dead letter {dead} lies behind {up_to}, up to which is settled")]
    DeadBeyond { dead: Sequence, up_to: Sequence },
    #[error("the spool's disk refused to remember what is settled")]
    Disk(#[source] io::Error),
    #[error("the spool is closed")]
    Closed,
}

#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    #[error("the spool's writer ended with a panic; what was acknowledged is kept")]
    Panicked,
}

#[derive(Debug, thiserror::Error)]
pub enum DeadError {
    #[error("there is no dead letter `{name}` in `{}`", .folder.display())]
    Unknown { folder: PathBuf, name: String },
    #[error("`{}` is no dead letter: {detail}", .path.display())]
    Unreadable { path: PathBuf, detail: String },
    #[error("the dead letters in `{}` cannot be read or moved", .folder.display())]
    Disk { folder: PathBuf, source: io::Error },
}
