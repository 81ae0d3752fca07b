//! A proxy that can be broken: between the servers and Postgres, and between clients and servers, over TCP and Unix sockets.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

use crate::http::Address;

const CHUNK: usize = 64 * 1024;

/// Where a proxy passes on to.
#[derive(Clone)]
pub enum Behind {
    Unix(PathBuf),
    /// A server, which may move.
    Tcp(Address),
}

/// What a proxy does to what comes through it.
#[derive(Clone, Debug, Default)]
pub enum Mode {
    #[default]
    Pass,
    /// Each piece comes so much later.
    Latency(Duration),
    /// Nothing comes through, and nobody is told.
    Blackhole,
    /// Connections are closed at once, those that are there and new ones.
    Refuse,
    /// After so many bytes towards the server a connection is closed on that side, in the middle of whatever it was.
    HalfClose(usize),
    /// What is answered to a request that holds the mark is swallowed, and the connection closed, so many times.
    Swallow { mark: &'static [u8], left: Arc<AtomicUsize> },
}

#[derive(Clone, Default)]
struct State {
    mode: Mode,
    /// Connections that were made before the last cut are cut.
    cuts: u64,
    /// Whether they are cut with a reset, where the socket knows such.
    reset: bool,
}

pub struct Proxy {
    /// Where it listens, where that is TCP.
    pub address: Option<SocketAddr>,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn tcp(behind: Behind) -> io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State::default());
        let accepting = tokio::spawn(accept(Listener::Tcp(listener), behind, state.clone()));
        Ok(Proxy { address: Some(address), state, accepting })
    }

    pub fn unix(socket: PathBuf, behind: Behind) -> io::Result<Proxy> {
        let listener = UnixListener::bind(socket)?;
        let state = watch::Sender::new(State::default());
        let accepting = tokio::spawn(accept(Listener::Unix(listener), behind, state.clone()));
        Ok(Proxy { address: None, state, accepting })
    }

    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Cuts every connection that there is.
    pub fn cut(&self, reset: bool) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.reset = reset;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut(false);
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

async fn accept(listener: Listener, behind: Behind, state: watch::Sender<State>) {
    loop {
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::tcp(stream)),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        };
        let Ok(client) = accepted else {
            sleep(Duration::from_millis(10)).await; // too many open files, which pass
            continue;
        };
        let (behind, state) = (behind.clone(), state.subscribe());
        tokio::spawn(async move {
            let _ = pass(client, behind, state).await; // both ends see how it ended
        });
    }
}

/// Passes bytes both ways until one side hangs up or the mode wants it otherwise.
async fn pass(mut client: Stream, behind: Behind, mut state: watch::Receiver<State>) -> io::Result<()> {
    let cuts = state.borrow_and_update().cuts;
    let mut server = match behind {
        _ if matches!(state.borrow().mode, Mode::Refuse) => return client.reset(),
        Behind::Unix(socket) => Stream::Unix(UnixStream::connect(socket).await?),
        Behind::Tcp(address) => {
            let Some(address) = *address.borrow() else { return client.reset() };
            Stream::tcp(TcpStream::connect(address).await?)
        }
    };
    let (mut up, mut down) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut passed_up, mut marked, mut half_closed) = (0, false, false);
    loop {
        let mode = {
            let state = state.borrow_and_update();
            if state.cuts != cuts {
                return if state.reset { client.reset().and(server.reset()) } else { Ok(()) };
            }
            state.mode.clone()
        };
        let open = !matches!(mode, Mode::Blackhole);
        tokio::select! {
            biased;
            changed = state.changed() => {
                if changed.is_err() {
                    return Ok(()); // the proxy is gone
                }
            }
            read = client.read(&mut up), if open && !half_closed => {
                let bytes = &up[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                match &mode {
                    Mode::Refuse => return client.reset(),
                    Mode::Latency(time) => sleep(*time).await,
                    Mode::Swallow { mark, .. } => marked = bytes.windows(mark.len()).any(|window| window == *mark),
                    Mode::HalfClose(after) if passed_up + bytes.len() > *after => {
                        server.write(&bytes[..after.saturating_sub(passed_up)]).await?;
                        server.shutdown().await?;
                        half_closed = true;
                        continue;
                    }
                    Mode::HalfClose(_) => passed_up += bytes.len(),
                    Mode::Pass | Mode::Blackhole => {}
                }
                server.write(bytes).await?;
            }
            read = server.read(&mut down), if open => {
                let bytes = &down[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                match &mode {
                    Mode::Refuse => return client.reset(),
                    Mode::Latency(time) => sleep(*time).await,
                    // The answer has come, so the work is done.
                    Mode::Swallow { left, .. } if marked => {
                        let less = |left: usize| left.checked_sub(1);
                        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                            return Ok(());
                        }
                    }
                    _ => {}
                }
                client.write(bytes).await?;
            }
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn tcp(stream: TcpStream) -> Stream {
        let _ = stream.set_nodelay(true); // it is only slower without
        Stream::Tcp(stream)
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer).await,
            Stream::Unix(stream) => stream.read(buffer).await,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes).await,
            Stream::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown().await,
            Stream::Unix(stream) => stream.shutdown().await,
        }
    }

    /// Has the socket say so when it is dropped; a Unix socket knows no reset.
    fn reset(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_zero_linger(),
            Stream::Unix(_) => Ok(()),
        }
    }
}
