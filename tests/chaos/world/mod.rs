//! A world: a Postgres of its own, servers on it, and proxies between them that can be broken. It clears up after itself.

mod guard;
pub mod postgres;
pub mod server;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tokio::sync::watch;
use uuid::Uuid;

use self::{
    guard::Guard,
    postgres::{DATABASE, OWNER, Postgres, SERVICE, url_of_sockets},
    server::Server,
};
use crate::{
    endpoint::Endpoint,
    http::Address,
    proxy::{Behind, Proxy},
};

/// How long a server of a debug build may take until it listens.
const LISTEN_WAIT: Duration = Duration::from_secs(60);

/// How the servers reach Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Direct,
    /// By a proxy on a Unix socket.
    Unix,
    /// By a proxy on TCP.
    Tcp,
}

/// What of Postgres lies on a small file system in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Small {
    Data,
    Log,
    Spool,
}

/// Whether a relay stands beside the servers, for writers to bring their audits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    None,
    /// It is well, whatever happens to the servers.
    Well,
    /// The trouble is its own.
    InTrouble,
}

/// How many MiB a small file system has.
const SMALL_MIB: u64 = 384;
/// The same of a spool.
const SPOOL_MIB: u64 = 48;
/// Where the spool lies in the folder of a world.
const SPOOL_DISK: &str = "spool-disk";

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub servers: usize,
    pub way: Way,
    /// Whether a proxy stands before each server.
    pub fronts: bool,
    pub relay: Relay,
    /// Whether texts are embedded, by an endpoint of the world.
    pub embedding: bool,
    /// Settings of Postgres.
    pub postgres: &'static [&'static str],
    pub small: Option<Small>,
    /// Fail points of the servers: the first server has the first, and so on.
    pub fail_points: &'static [&'static str],
}

impl Setup {
    pub const ONE_SERVER: Setup = Setup {
        servers: 1,
        way: Way::Direct,
        fronts: false,
        relay: Relay::None,
        embedding: false,
        postgres: &[],
        small: None,
        fail_points: &[],
    };
}

/// A folder that is gone when this value goes, with all that works and is mounted in it.
pub struct Folder {
    pub path: PathBuf,
    _guard: Guard,
}

impl Folder {
    pub fn new(within: &Path) -> anyhow::Result<Folder> {
        // Short, since the path of a socket may have no more than 107 bytes.
        let path = within.join(format!("chaos-{}", &Uuid::new_v4().simple().to_string()[..10]));
        let context = || format!("cannot make `{}`", path.display());
        fs::create_dir(&path).with_context(context)?;
        let path = path.canonicalize().with_context(context)?;
        Ok(Folder { _guard: Guard::of(&path)?, path })
    }
}

pub struct World {
    pub postgres: Postgres,
    pub servers: Vec<Server>,
    pub database: Option<Proxy>,
    pub fronts: Vec<Proxy>,
    pub endpoint: Option<Endpoint>,
    /// Where clients find the servers.
    pub addresses: Vec<Address>,
    pub relay: Option<Server>,
    /// The last to go.
    pub folder: Folder,
}

impl World {
    pub async fn start(template: &Postgres, within: &Path, setup: &Setup) -> anyhow::Result<World> {
        let folder = Folder::new(within)?;
        match setup.small {
            Some(Small::Data) => mount_small(&folder.path.join("data"), SMALL_MIB)?,
            Some(Small::Log) => mount_small(&folder.path.join("wal"), SMALL_MIB)?,
            Some(Small::Spool) => mount_small(&folder.path.join(SPOOL_DISK), SPOOL_MIB)?,
            None => {}
        }
        let mut postgres = Postgres::copy(template, &folder.path, setup.postgres.to_vec())?;
        postgres.start().await?;

        let (database, [service, owner]) = way(setup.way, &folder.path, &postgres).await?;
        let endpoint = if setup.embedding { Some(Endpoint::start().await?) } else { None };
        let mut arguments = vec!["--database-url".to_string(), service, "--owner-url".to_string(), owner];
        arguments.extend(["--append-connections-max", "2", "--read-connections-max", "4"].map(str::to_string));
        if let Some(endpoint) = &endpoint {
            arguments.extend(endpoint.arguments());
        }

        let mut world = World {
            postgres,
            servers: Vec::new(),
            database,
            fronts: Vec::new(),
            endpoint,
            addresses: Vec::new(),
            relay: None,
            folder,
        };
        for number in 0..setup.servers {
            let variables = setup.fail_points.get(number).map(|points| ("FAILPOINTS", (*points).to_string()));
            let settings =
                server::Settings { arguments: arguments.clone(), variables: variables.into_iter().collect() };
            let server = Server::new(world.folder.path.clone(), number + 1, settings);
            // A relay is given addresses once and for all, and a server that starts again has another.
            let address = world.front(setup.fronts || setup.relay != Relay::None, server.address()).await?;
            world.addresses.push(address);
            world.servers.push(server);
        }
        for server in &mut world.servers {
            server.start()?;
        }
        for server in &mut world.servers {
            server.listening(LISTEN_WAIT).await?;
        }
        if setup.relay != Relay::None {
            let mut relay = Server::relay(world.folder.path.clone(), world.relay_arguments());
            relay.start()?;
            relay.listening(LISTEN_WAIT).await?;
            world.relay = Some(relay);
        }
        Ok(world)
    }

    /// Where writers may bring audits: the servers, and behind them the relay.
    pub fn doors(&self) -> Vec<Address> {
        self.addresses.iter().cloned().chain(self.relay.as_ref().map(Server::address)).collect()
    }

    /// The folder of the relay's spool.
    pub fn spool(&self) -> PathBuf {
        self.folder.path.join(SPOOL_DISK).join("spool")
    }

    /// The servers as a relay or a recorder is told of them.
    pub fn upstreams(&self) -> Vec<String> {
        let fronts = self.fronts.iter().filter_map(|front| front.address);
        fronts.map(|address| format!("http://{address}")).collect()
    }

    /// What a relay on the spool of this world is started with.
    pub fn relay_arguments(&self) -> Vec<String> {
        let spool = self.spool().display().to_string();
        ["--upstream", &self.upstreams().join(","), "--spool", &spool].map(str::to_string).to_vec()
    }

    /// The address that clients are given.
    async fn front(&mut self, wanted: bool, behind: Address) -> anyhow::Result<Address> {
        if !wanted {
            return Ok(behind);
        }
        let proxy = Proxy::tcp(Behind::Tcp(behind)).await?;
        let address = fixed(proxy.address.context("a proxy on TCP has an address")?);
        self.fronts.push(proxy);
        Ok(address)
    }

    /// Runs a command of the binary on the store of this world, straight on its Postgres.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let mut command = server::command(&self.folder.path);
        command.args(arguments).args(["--database-url", &self.postgres.url(SERVICE, DATABASE)]);
        command.args(["--owner-url", &self.postgres.url(OWNER, DATABASE)]);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ok((output.status.code(), told))
    }
}

/// The addresses of the store for the service and for the owner, and the proxy by which they go.
async fn way(way: Way, folder: &Path, postgres: &Postgres) -> anyhow::Result<(Option<Proxy>, [String; 2])> {
    let roles = [SERVICE, OWNER];
    match way {
        Way::Direct => Ok((None, roles.map(|role| postgres.url(role, DATABASE)))),
        Way::Unix => {
            let sockets = folder.join("proxy");
            fs::create_dir(&sockets)?;
            let proxy = Proxy::unix(sockets.join(".s.PGSQL.5432"), Behind::Unix(postgres.socket()))?;
            Ok((Some(proxy), roles.map(|role| url_of_sockets(&sockets, role, DATABASE))))
        }
        Way::Tcp => {
            let proxy = Proxy::tcp(Behind::Unix(postgres.socket())).await?;
            let address = proxy.address.context("a proxy on TCP has an address")?;
            Ok((Some(proxy), roles.map(|role| format!("postgres://{role}@{address}/{DATABASE}?sslmode=disable"))))
        }
    }
}

/// An address that never changes.
pub fn fixed(address: SocketAddr) -> Address {
    watch::Sender::new(Some(address)).subscribe()
}

/// Mounts a small file system in memory, which is full soon.
fn mount_small(place: &Path, mib: u64) -> anyhow::Result<()> {
    fs::create_dir(place)?;
    run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(place))
}

/// Runs a helper program to its end; what it said comes with the error.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
