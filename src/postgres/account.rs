//! The user that Postgres runs as. Postgres refuses to run as root, so a root's Binnacle runs it as somebody else.

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, User};

/// A user and its first group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    uid: u32,
    gid: u32,
}

pub fn root() -> bool {
    Uid::effective().is_root()
}

impl Account {
    /// Whoever owns the cluster in `folder`, if it is there; else we ourselves; for root, `postgres` or `nobody`.
    ///
    /// The owner comes first, since a user `postgres` that is installed later must not lock out an older store.
    pub fn to_run(folder: &Path) -> io::Result<Account> {
        if !root() {
            return Ok(Account { uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw() });
        }
        if let Ok(owner) = std::fs::metadata(folder)
            && owner.uid() != 0
        {
            return Ok(Account { uid: owner.uid(), gid: owner.gid() });
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() });
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "postgres refuses to run as root, and there is no user `postgres` or `nobody` to run it as",
        ))
    }

    /// A command that runs as this account, away from the caller's working folder and environment.
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
        if root() {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes `folder` if need be and gives it to this account alone.
    ///
    /// What is already there must be a real folder of this account's: in a place where everybody may write, somebody
    /// else could have put a folder or a link of this name. Hence, too, all work on one handle that follows no link.
    pub fn private_folder(self, folder: &Path) -> io::Result<()> {
        let made = match std::fs::create_dir(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
        let handle = OpenOptions::new().read(true).custom_flags(flags.bits()).open(folder)?;
        let owner = handle.metadata()?.uid();
        if !made && owner != self.uid && !(root() && owner == 0) {
            let told = format!("`{}` belongs to another user; remove it", folder.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, told));
        }
        handle.set_permissions(Permissions::from_mode(0o700))?;
        if root() { fchown(&handle, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// Gives one file or folder to this account.
    pub fn own(self, path: &Path) -> io::Result<()> {
        if root() { lchown(path, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// The first folder on the way to `path` that this account may not enter.
    pub fn barrier(self, path: &Path) -> Option<PathBuf> {
        let mut ways: Vec<&Path> = path.ancestors().skip(1).collect();
        ways.reverse();
        let closed = |folder: &&Path| {
            std::fs::metadata(folder).is_ok_and(|found| {
                let bit = match found {
                    _ if found.uid() == self.uid => 0o100,
                    _ if found.gid() == self.gid => 0o010,
                    _ => 0o001,
                };
                found.mode() & bit == 0
            })
        };
        ways.into_iter().find(closed).map(Path::to_owned)
    }
}
