//! Binnacle as people run it: the real binary, each time in a process of its own.

use std::{
    ffi::OsStr,
    io::{self, BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    client::Client,
    postgres::TestDatabase,
    store::{DEADLINE, Folder, until},
};

/// A command of the binary, away from any file of settings and any model that lies about.
pub fn binnacle<Argument: AsRef<OsStr>>(arguments: impl IntoIterator<Item = Argument>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_binnacle"));
    command.args(arguments).current_dir("/").stdin(Stdio::null()).env("BINNACLE_EMBEDDER", "none");
    // Nobody has to hear of its end.
    command.env("BINNACLE_WITHDRAWAL_WAIT", "0s");
    command
}

/// A command on the embedded store in a folder.
pub fn on_folder(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = binnacle(arguments);
    command.arg("--data-dir").arg(&folder.0);
    command
}

/// A command on a database of the tests' Postgres.
pub fn on_database(db: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = binnacle(arguments);
    command.args(["--database-url", &db.service_url, "--owner-url", &db.owner_url]);
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub text: String,
    pub errors: String,
}

/// Runs a command to its end, beside the other tasks of the story.
pub async fn run(mut command: Command) -> Ended {
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let Output { status, stdout, stderr } = output;
    Ended { code: status.code(), text: String::from_utf8(stdout).unwrap(), errors: String::from_utf8(stderr).unwrap() }
}

impl Ended {
    /// What a command printed that must have ended well.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.text
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:#?}"))
    }
}

/// A `binnacle serve` that is ready. Dropped, it is killed.
pub struct Served {
    child: Child,
    pub address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Served {
    /// Starts `command`, a `serve`, on a port that the kernel chooses, and waits until it is ready.
    pub async fn start(command: Command) -> Served {
        Served::starting(command).ready().await
    }

    /// Starts `command` without waiting for it.
    pub fn starting(mut command: Command) -> Starting {
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (tell, address) = mpsc::channel();
        let (errors, lines) = (child.stderr.take().unwrap(), log.clone());
        thread::spawn(move || follow(errors, &lines, &tell));
        Starting { served: Served { child, address: String::new(), log }, told: address }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Ends it as a power cut would, without a word.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the server has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The guard of its embedded Postgres, if it has one, stops that.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the log of the server:\n{}", self.log());
        }
    }
}

/// A server that may not be ready yet.
pub struct Starting {
    served: Served,
    told: mpsc::Receiver<String>,
}

impl Starting {
    pub async fn ready(mut self) -> Served {
        until("the server tells its address", || match self.told.try_recv() {
            Ok(address) => {
                self.served.address = address;
                true
            }
            Err(mpsc::TryRecvError::Empty) => false,
            Err(mpsc::TryRecvError::Disconnected) => panic!("the server has ended before it was ready"),
        })
        .await;
        let ready = self.served.client().get("/readyz").await.unwrap();
        assert_eq!(ready.status, 200, "{}", ready.text);
        self.served
    }
}

/// Keeps what a server says, and tells the address in it.
fn follow(errors: ChildStderr, lines: &Mutex<Vec<String>>, tell: &mpsc::Sender<String>) {
    for line in BufReader::new(errors).lines().map_while(io::Result::ok) {
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = told["fields"]["http.address"].as_str().or(told["http.address"].as_str()) {
            let _ = tell.send(address.trim_start_matches("http://").to_string());
        }
        lines.lock().unwrap().push(line);
    }
}

/// The first process of the Postgres that runs in a folder.
pub fn postmaster(folder: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(folder.join("postgres/postmaster.pid")).ok()?;
    text.lines().next()?.parse().ok().map(Pid::from_raw)
}

/// Waits until no Postgres runs in a folder.
pub async fn postgres_stopped(folder: &Folder) {
    let what = format!("the postgres of the folder has stopped, within {} s", DEADLINE.as_secs());
    until(&what, || postmaster(&folder.0).is_none()).await;
}
