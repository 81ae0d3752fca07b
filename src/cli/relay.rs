//! `binnacle relay`: the sidecar, its orderly end, and its dead letters.

use std::{
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    net::{TcpListener, UnixListener},
    task::spawn_blocking,
};
use tracing::{info, warn};

use super::{
    Exit,
    args::{DeadCommand, RelayArgs, RelayCommand},
    exit::Usage,
    look::{self, Look},
    signals,
};
use crate::{
    client::{
        Endpoint, Recorder, Settings as Recording, TokenFile,
        spool::{self, Spool, dead},
    },
    config::{Loaded, Settings, Source},
    http::{self, Listener},
    relay::{self, Metrics, Relay, Replayed},
    worker::{Shutdown, Stop},
};

/// Where a relay listens when nothing is said.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8085);

/// How long a relay may take to keep dead letters again.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn run(loaded: &Loaded, arguments: &RelayArgs) -> anyhow::Result<Exit> {
    match &arguments.command {
        None => serve(loaded).await,
        Some(RelayCommand::Dead(DeadCommand::List { json })) => list(&loaded.settings, *json),
        Some(RelayCommand::Dead(DeadCommand::Replay { names, all })) => replay(loaded, names, *all).await,
    }
}

async fn serve(loaded: &Loaded) -> anyhow::Result<Exit> {
    let settings = &loaded.settings;
    let folder = folder(settings)?;
    let address = address(loaded);
    if settings.socket.is_none() && !address.ip().to_canonical().is_loopback() {
        let why =
            "a relay asks for no token, so it listens on this machine only: name a loopback address, or `--socket`";
        return Err(Usage(format!("`{address}` is reached from elsewhere; {why}")).into());
    }
    let recording = recording(loaded, folder.clone())?;
    let shutdown = signals::listen()?;
    let (listener, place) = listen(settings.socket.as_deref(), address).await?;
    let metrics = Metrics::new();
    let cluster_id = recording.cluster_id.clone();
    let recording = Recording { observer: Box::new(metrics.clone()), ..recording };
    let recorder = Recorder::open(recording).await.context("cannot keep audits")?;
    let waiting = recorder.status().spool.waiting;
    info!(
        http.address = %place, spool.folder = %folder.display(), spool.waiting = waiting,
        "ready: takes record calls on {place} and keeps them in `{}`; {waiting} wait to be recorded", folder.display()
    );

    let router = relay::router(Relay { recorder: recorder.clone(), folder, cluster_id, metrics });
    let bound = settings.socket.as_deref().and_then(identity);
    let served = http::serve(listener, router, later(shutdown, settings.withdrawal_wait.0), relay::GRACE).await;
    // Unless the next relay has taken the path by now.
    if let Some(socket) = settings.socket.as_deref().filter(|socket| bound.is_some() && identity(socket) == bound) {
        let _ = std::fs::remove_file(socket); // or the next relay does it
    }
    let left = recorder.close(settings.drain_wait.0).await;
    match left.waiting {
        0 => info!("everything that was kept is recorded; stopped"),
        waiting => {
            warn!(spool.waiting = waiting, "stopped; {waiting} audits wait in the spool for the next relay on it")
        }
    }
    served.context("the listener ended badly")?;
    Ok(Exit::Done)
}

/// The word to stop, a while after it was given: the writers beside a relay are told to stop in the same moment, and have a last
/// audit to send. Not after Ctrl-C.
fn later(mut shutdown: Shutdown, wait: Duration) -> Shutdown {
    let (stop, later) = Stop::new();
    tokio::spawn(async move {
        shutdown.wait().await;
        if !signals::by_hand() {
            tokio::time::sleep(wait).await;
        }
        stop.now();
    });
    later
}

/// Which file stands at a path.
fn identity(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|there| (there.dev(), there.ino()))
}

fn folder(settings: &Settings) -> anyhow::Result<PathBuf> {
    let missing = || Usage("name the folder in which audits are kept with `--spool DIR`".to_string());
    Ok(settings.spool.clone().ok_or_else(missing)?)
}

/// The address that was given, else the relay's own.
fn address(loaded: &Loaded) -> SocketAddr {
    if given(loaded, "listen") { loaded.settings.listen } else { ADDRESS }
}

fn given(loaded: &Loaded, key: &str) -> bool {
    loaded.origins.iter().any(|origin| origin.key == key && origin.source != Source::Default)
}

fn recording(loaded: &Loaded, folder: PathBuf) -> anyhow::Result<Recording> {
    let settings = &loaded.settings;
    let missing = || Usage("name the server that audits are brought to with `--upstream URL`".to_string());
    let addresses = settings.upstream.as_deref().ok_or_else(missing)?.split(',').map(str::trim);
    let mut recording = Recording::new(folder, addresses).map_err(|error| Usage(error.to_string()))?;
    recording.token = TokenFile(settings.upstream_token_file.clone());
    if recording.token.0.is_some()
        && let Some(clear) = recording.endpoints.iter().find(|endpoint| in_the_clear(endpoint))
    {
        warn!(upstream = clear.as_str(), "the token goes to {} in the clear; https would hide it", clear.as_str());
    }
    recording.cluster_id = given(loaded, "cluster-id").then(|| settings.cluster_id.as_str().to_string());
    recording.spool.bytes_max = u64::from(settings.spool_mib_max) * 1024 * 1024;
    Ok(recording)
}

fn in_the_clear(endpoint: &Endpoint) -> bool {
    let Some(rest) = endpoint.as_str().strip_prefix("http://") else { return false };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    !matches!(host, "localhost" | "127.0.0.1") && !rest.starts_with("[::1]")
}

/// Takes the address or the socket, and says how it is called.
async fn listen(socket: Option<&Path>, address: SocketAddr) -> anyhow::Result<(Listener, String)> {
    let Some(path) = socket else {
        let context = || format!("cannot listen on {address}; name another address with `--listen`");
        let listener = TcpListener::bind(address).await.with_context(context)?;
        let address = listener.local_addr().with_context(context)?;
        return Ok((Listener::Tcp(listener), format!("http://{address}")));
    };
    let shown = path.display();
    // A socket outlives the process that made it; one that nobody listens on is in nobody's way.
    match path.symlink_metadata() {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(Usage(format!("`{shown}` is no socket; name a path that is free with `--socket`")).into());
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            anyhow::bail!("another process listens on `{shown}`; stop it first, or name another socket")
        }
        Ok(_) => std::fs::remove_file(path).with_context(|| format!("cannot replace the socket `{shown}`"))?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on the socket `{shown}`"))?;
    Ok((Listener::Unix(listener), format!("the socket `{shown}`")))
}

fn list(settings: &Settings, as_json: bool) -> anyhow::Result<Exit> {
    let folder = folder(settings)?;
    let listed = dead::list(&folder)?;
    if as_json {
        look::print(&format!("{:#}\n", relay::listing(&listed)))?;
    } else if listed.letters.is_empty() {
        look::print("There are no dead letters: the server has refused nothing that it was brought.\n")?;
    } else {
        let mut table = Look::of_output(settings.color).table(&["Name", "Refused at", "Reason", "Why", "Event"]);
        for (name, letter) in &listed.letters {
            let audit: serde_json::Value = serde_json::from_slice(&letter.bytes).unwrap_or_default();
            let event_id = audit["event_id"].as_str().unwrap_or_default().to_string();
            let at = letter.refused_at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
            table.add_row([name.clone(), at, letter.reason.clone(), letter.message.clone(), event_id]);
        }
        look::print(&format!("{table}\n"))?;
    }
    for (name, why) in &listed.others {
        eprintln!("`{name}` is no dead letter: {why}");
    }
    Ok(if listed.letters.is_empty() { Exit::Done } else { Exit::Findings })
}

async fn replay(loaded: &Loaded, names: &[String], all: bool) -> anyhow::Result<Exit> {
    let folder = folder(&loaded.settings)?;
    let names = match all {
        true => dead::list(&folder)?.letters.into_iter().map(|(name, _)| name).collect(),
        false => names.to_vec(),
    };
    let opening = folder.clone();
    let opened = spawn_blocking(move || Spool::open(&opening, spool::Settings::default())).await?;
    let replayed = match opened {
        Ok(spool) => replay_here(&spool, &folder, names).await?,
        Err(spool::OpenError::Locked { .. }) => {
            let address = address(loaded);
            spawn_blocking(move || replay_there(address, &names)).await??
        }
        Err(error) => return Err(error.into()),
    };
    let failed: Vec<&Replayed> = replayed.iter().filter(|it| it.error.is_some()).collect();
    for Replayed { name, error } in &failed {
        eprintln!("`{name}` was not replayed: {}", error.as_deref().unwrap_or_default());
    }
    let done = replayed.len() - failed.len();
    look::print(&format!("{done} dead letters are kept again; a relay on the folder brings them to the server.\n"))?;
    Ok(if failed.is_empty() { Exit::Done } else { Exit::Findings })
}

/// On a spool that nobody else uses.
async fn replay_here(spool: &Spool, folder: &Path, names: Vec<String>) -> anyhow::Result<Vec<Replayed>> {
    let mut replayed = Vec::new();
    for name in names {
        let error = match dead::get(folder, &name) {
            Ok(letter) => {
                spool.append(letter.bytes).await?;
                dead::replayed(folder, &name)?;
                None
            }
            Err(error) => Some(error.to_string()),
        };
        replayed.push(Replayed { name, error });
    }
    spool.close().await?;
    Ok(replayed)
}

/// By the relay that uses the spool.
fn replay_there(address: SocketAddr, names: &[String]) -> anyhow::Result<Vec<Replayed>> {
    #[derive(Deserialize)]
    struct Answer {
        replayed: Vec<Replayed>,
    }
    let url = format!("http://{address}/spool/dead/replay");
    let agent = ureq::Agent::config_builder().proxy(None).timeout_global(Some(REPLAY_TIMEOUT)).build().new_agent();
    let mut answer = match agent.post(&url).send_json(json!({"names": names})) {
        Err(ureq::Error::StatusCode(status)) => anyhow::bail!("the relay at {address} cannot keep them now (it answers {status})"),
        answer => answer.with_context(|| {
            format!(
                "a relay uses this spool, and does not answer at {address}: name its address with `--listen`; one on a socket is \
                 asked by `curl --unix-socket SOCKET http://localhost/spool/dead/replay`"
            )
        })?,
    };
    Ok(answer.body_mut().read_json::<Answer>().context("the relay answered something else")?.replayed)
}
