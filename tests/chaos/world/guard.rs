//! The guard of a world: a small shell that outlives the harness by a moment, and clears up after it however it ends.
//!
//! It waits at the end of a pipe that only the harness holds open. What belongs to a world is told by its folder: the processes
//! that work in it, what is mounted in it, and what lies in it. So nothing else is ever hit, and no list can be out of date.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
read -r word
tries=0
while [ "$tries" -lt 50 ]; do
    left=no
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/cwd" 2>/dev/null)" in
            "$folder"|"$folder"/*) left=yes; kill -KILL "${process#/proc/}" 2>/dev/null ;;
        esac
    done
    while read -r device place rest; do
        case "$place" in "$folder"/*) umount "$place" 2>/dev/null || left=yes ;; esac
    done < /proc/mounts
    [ "$left" = no ] && break
    sleep 0.1; tries=$((tries + 1))
done
rm -rf --one-file-system "$folder"
"#;

pub struct Guard(Child);

impl Guard {
    pub fn of(folder: &Path) -> io::Result<Guard> {
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "chaos-guard"])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("folder", folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal reaches the harness only.
            .process_group(0)
            .spawn()?;
        Ok(Guard(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
