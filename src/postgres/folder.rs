//! The data folder of the embedded Postgres: where it lies, who owns it, and what lies in it.
//!
//! The folder itself is Binnacle's; the cluster (`postgres/`) in it belongs to the account that Postgres runs as. The
//! lock and the log lie beside the cluster, so that a backup of the cluster holds neither.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::account::{self, Account};
use super::embedded::EmbeddedError;

/// A log beyond this size is put aside at the next start; the one before it is dropped.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much of the log an error shows.
const TAIL_BYTES_MAX: u64 = 4 * 1024;
/// Paths of Unix sockets end at 107 bytes (103 on macOS), and Postgres adds `/.s.PGSQL.5432.lock`.
const SOCKETS_BYTES_MAX: usize = 80;

/// Whoever owns a data folder has locked this file in it.
const LOCK: &str = "binnacle.lock";

/// Which folder an embedded Postgres keeps its data in.
#[derive(Debug, Clone)]
pub enum DataDir {
    Path(PathBuf),
    /// A folder of its own among the temporary files, deleted at the end.
    Throwaway,
    /// The same, within this folder.
    ThrowawayIn(PathBuf),
}

impl DataDir {
    /// Refuses a folder that holds no store, as far as we may look into it: from one that was meant to be another, answers would come
    /// that say that nothing was recorded. Who makes a store there has its lock, and is not in the way of that.
    pub fn require_store(&self) -> Result<(), EmbeddedError> {
        let DataDir::Path(path) = self else { return Ok(()) };
        let absent = || matches!(path.join("postgres/PG_VERSION").try_exists(), Ok(false));
        let being_made = || {
            let lock = File::open(path.join(LOCK));
            lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
        };
        // It may have been made between the two looks.
        if absent() && !being_made() && absent() {
            let folder = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            return Err(EmbeddedError::NoStore { folder });
        }
        Ok(())
    }
}

/// The platform's folder for the data of `binnacle`.
pub fn default_data_dir() -> Option<PathBuf> {
    if account::root() {
        return Some(PathBuf::from("/var/lib/binnacle"));
    }
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(target_os = "macos") {
        return set("HOME").map(|home| home.join("Library/Application Support/binnacle"));
    }
    set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share"))).map(|data| data.join("binnacle"))
}

/// A data folder that this process owns, as long as this value lives.
#[derive(Debug)]
pub struct Folder {
    pub path: PathBuf,
    pub cluster: PathBuf,
    pub sockets: PathBuf,
    pub account: Account,
    pub throwaway: bool,
    /// The kernel drops this lock with the process, however that ends.
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be and becomes its one owner.
    pub fn open(data_dir: &DataDir) -> Result<Folder, EmbeddedError> {
        let (path, throwaway) = match data_dir {
            DataDir::Path(path) => (std::path::absolute(path).map_err(at(path))?, false),
            DataDir::Throwaway => (throwaway_in(&env::temp_dir()), true),
            DataDir::ThrowawayIn(folder) => (throwaway_in(folder), true),
        };
        // Another user must come through to the cluster when we are root. Otherwise the folder is ours alone.
        let mode = if account::root() { 0o755 } else { 0o700 };
        DirBuilder::new().recursive(true).mode(mode).create(&path).map_err(at(&path))?;
        let path = path.canonicalize().map_err(at(&path))?;
        let lock = own(&path)?;

        let cluster = path.join("postgres");
        let account = Account::to_run(&cluster).map_err(at(&cluster))?;
        if let Some(barrier) = account.barrier(&cluster) {
            return Err(EmbeddedError::Closed { folder: barrier });
        }
        let sockets = sockets_path(&path);
        Ok(Folder { path, cluster, sockets, account, throwaway, _lock: lock })
    }

    /// Makes the socket folder anew, for a Postgres about to start while no other runs here.
    ///
    /// A killed Postgres leaves a socket's lock file there, which could keep the next one from starting.
    pub fn make_sockets(&self) -> Result<(), EmbeddedError> {
        self.account.private_folder(&self.sockets).map_err(at(&self.sockets))?;
        for entry in fs::read_dir(&self.sockets).map_err(at(&self.sockets))?.flatten() {
            fs::remove_file(entry.path()).map_err(at(&entry.path()))?;
        }
        Ok(())
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// Opens the log for adding to it, and says where the new part will begin.
    pub fn open_log(&self) -> Result<(File, u64), EmbeddedError> {
        let path = self.log();
        if fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
            fs::rename(&path, path.with_extension("log.old")).map_err(at(&path))?;
        }
        let log = OpenOptions::new().append(true).create(true).open(&path).map_err(at(&path))?;
        let length = log.metadata().map_err(at(&path))?.len();
        Ok((log, length))
    }

    /// What the log says since `begin`, or the last part of it.
    pub fn log_tail(&self, begin: u64) -> String {
        let read = || -> io::Result<String> {
            let mut log = File::open(self.log())?;
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(begin.max(length.saturating_sub(TAIL_BYTES_MAX))))?;
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"))
    }

    /// Takes away what must not stay: the socket folder, and of a throw-away everything.
    pub fn tidy(&self) {
        let _ = fs::remove_dir_all(&self.sockets);
        if self.throwaway {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Which major version wrote the cluster in `cluster`, if one is there.
pub fn major_of(cluster: &Path) -> Result<Option<u32>, EmbeddedError> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(at(&path)(io::Error::new(io::ErrorKind::InvalidData, "it tells no version"))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&path)(error)),
    }
}

/// Names the file or folder that an error is about.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    let path = path.to_owned();
    move |source| EmbeddedError::Io { path, source }
}

fn own(folder: &Path) -> Result<File, EmbeddedError> {
    let path = folder.join(LOCK);
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(at(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::Owned { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

fn throwaway_in(folder: &Path) -> PathBuf {
    folder.join(format!("binnacle-{}", uuid::Uuid::new_v4().simple()))
}

/// A short folder that the data folder's path decides, since the data folder's own path may be too long for a socket.
fn sockets_path(folder: &Path) -> PathBuf {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let name = format!("bn-{:02x}{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3], digest[4]);
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|runtime| {
        // Root's own runtime folder would be closed to the account that Postgres runs as.
        !account::root() && runtime.is_dir() && runtime.as_os_str().len() + name.len() < SOCKETS_BYTES_MAX
    });
    runtime.unwrap_or_else(|| PathBuf::from("/tmp")).join(name)
}

/// The fifth line of the pid file tells the socket folder, whatever that Binnacle's environment was.
pub fn sockets_of_running(data_dir: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?;
    text.lines().nth(4).filter(|line| !line.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_stays_short_however_long_the_data_folder_is() {
        let sockets = sockets_path(Path::new(&"/a-long-name".repeat(40)));
        assert!(sockets.join(".s.PGSQL.5432.lock").as_os_str().len() < 103, "{}", sockets.display());
        assert_ne!(sockets, sockets_path(Path::new("/another")));
    }
}
