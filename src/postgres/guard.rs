//! The guard: a small shell process that outlives Binnacle by a moment, and stops a Postgres that Binnacle left behind.
//!
//! It waits at the end of a pipe that only Binnacle holds open. However Binnacle ends — `kill -9` included — the kernel
//! closes the pipe, and the guard does what a normal stop would have done. A polling watcher would be later and would
//! mistake a process that has got Binnacle's old number for Binnacle.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;

use super::folder::Folder;

/// Reads process numbers, the last one counts; `done` means that nothing is left to do.
///
/// The number must also stand in the cluster's own pid file, so that no other process is ever hit.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
pid=
while read -r word; do
    [ "$word" = done ] && exit 0
    pid=$word
done
running() {
    [ -n "$pid" ] && [ "$(head -n 1 "$cluster/postmaster.pid" 2>/dev/null)" = "$pid" ] && kill -0 "$pid" 2>/dev/null
}
stop() { # signal, tenths of a second to wait
    running && kill "-$1" "$pid" 2>/dev/null
    tenths=0
    while running && [ "$tenths" -lt "$2" ]; do sleep 0.1; tenths=$((tenths + 1)); done
}
if [ "$throwaway" = true ]; then
    stop QUIT 100
    running && kill -KILL "$pid" 2>/dev/null
    # An interrupted initdb may still write for a moment.
    tries=0
    while rm -rf "$sockets" "$folder"; [ -e "$folder" ] && [ "$tries" -lt 50 ]; do
        sleep 0.1; tries=$((tries + 1))
    done
else
    stop INT 600
    stop QUIT 100
fi
"#;

#[derive(Debug)]
pub struct Guard {
    child: Child,
}

impl Guard {
    pub fn start(folder: &Folder) -> io::Result<Guard> {
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "binnacle-guard"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("folder", &folder.path)
            .env("cluster", &folder.cluster)
            .env("sockets", &folder.sockets)
            .env("throwaway", folder.throwaway.to_string())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A process group of its own, so that Ctrl-C at the terminal reaches Binnacle only.
            .process_group(0)
            .spawn()?;
        Ok(Guard { child })
    }

    /// Tells the guard which process to look after.
    pub fn watch(&mut self, pid: Pid) {
        self.tell(&pid.to_string());
    }

    /// Sends the guard away: nothing is left to look after.
    pub fn dismiss(mut self) {
        self.tell("done");
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }

    fn tell(&mut self, word: &str) {
        let told = self.child.stdin.as_mut().map(|pipe| writeln!(pipe, "{word}"));
        if !matches!(told, Some(Ok(()))) {
            tracing::warn!("the guard of the embedded postgres is gone; after a crash of binnacle postgres will stay");
        }
    }
}
