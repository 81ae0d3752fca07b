//! The connections of a listener: how many there may be, how long each may keep silent, and how they end in order.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body};
use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info, warn};

use crate::worker::Shutdown;

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Bounds of the connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most connections at once; more wait in the kernel until one ends.
    pub connections_max: usize,
    /// How long the head of a request may take from its first byte.
    pub head_wait: Duration,
    /// How long a connection may be idle. Longer than the minute that clients and proxies commonly keep theirs: who closes
    /// first must be the client, or its next request meets a closed door.
    pub idle_wait: Duration,
    /// How long a client may take no byte of its answer.
    pub write_wait: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections_max: 4_096,
            head_wait: Duration::from_secs(10),
            idle_wait: Duration::from_secs(75),
            write_wait: Duration::from_secs(30),
        }
    }
}

/// The pause after the kernel had no connection to give, as when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` until `shutdown`; requests that run then have `grace` to end.
pub async fn serve(listener: Listener, router: Router, shutdown: Shutdown, grace: Duration) -> io::Result<()> {
    serve_within(Bounds::default(), listener, router, shutdown, grace).await
}

pub(super) async fn serve_within(
    bounds: Bounds,
    listener: Listener,
    router: Router,
    mut shutdown: Shutdown,
    grace: Duration,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let stopping = shutdown.clone();
    loop {
        tokio::select! {
            () = shutdown.wait() => break,
            Some(_) = connections.join_next() => {} // a panic is logged where it happens
            socket = listener.accept(), if connections.len() < bounds.connections_max => match socket {
                Ok(Socket::Tcp(socket)) => {
                    _ = connections.spawn(converse(bounds, socket, router.clone(), stopping.clone()));
                }
                Ok(Socket::Unix(socket)) => {
                    _ = connections.spawn(converse(bounds, socket, router.clone(), stopping.clone()));
                }
                Err(cause) if of_one_connection(&cause) => {}
                Err(cause) => {
                    error!(error = &cause as &dyn std::error::Error, "cannot take connections: {cause}");
                    let _ = timeout(ACCEPT_PAUSE, shutdown.wait()).await; // whichever comes first
                }
            },
        }
    }
    drop(listener);
    let open = connections.len();
    info!(http.connections = open, "stopped taking connections; running requests may end");
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(grace, ended).await.is_err() {
        let late = connections.len();
        warn!(
            grace.seconds = grace.as_secs(),
            http.connections = late,
            "{late} requests did not end in time and are cut off"
        );
    }
    connections.shutdown().await;
    Ok(())
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                // A receipt is one small packet: waiting to fill it up would cost more than the whole append.
                let _ = socket.set_nodelay(true); // without it, answers are only slower
                Ok(Socket::Tcp(socket))
            }
            Listener::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
        }
    }
}

/// Whether a connection failed before it was taken, which says nothing of the next.
fn of_one_connection(cause: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(cause.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end. When the word to stop comes, a request that runs is answered, with `connection: close`;
/// a connection on which none runs is closed, whatever part of a request it has sent.
async fn converse<S>(bounds: Bounds, socket: S, router: Router, mut shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let traffic = Arc::new(Traffic::default());
    let io = TokioIo::new(Watched { socket, traffic: traffic.clone() });
    let (router, seen) = (TowerToHyperService::new(router), traffic.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let serving = Serving::begin(seen.clone());
        let answer = router.call(request);
        async move {
            let response: Response<body::Body> = answer.await?;
            Ok::<_, Infallible>(response.map(|body| Answering { body, _serving: serving }))
        }
    });
    // Its own limit on the time for a head would count the idle time before it too.
    let connection = http1::Builder::new().header_read_timeout(None).serve_connection(io, service).with_upgrades();
    let (mut connection, mut stop) = (pin!(connection), pin!(shutdown.wait()));
    // Who connects has something to say soon.
    let mut late = pin!(sleep(bounds.head_wait));
    let (mut stopping, mut last) = (false, traffic.now());
    poll_fn(|cx| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        // Before what it waits for is looked at: a request may have come meanwhile.
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(cause) = ended {
                debug!(error = &cause as &dyn std::error::Error, "a connection ended badly: {cause}");
            }
            return Poll::Ready(());
        }
        let now = traffic.now();
        let wait = match now.waiting_for {
            Awaited::Handler => return Poll::Pending,
            Awaited::Request | Awaited::RestOfHead if stopping => return Poll::Ready(()),
            Awaited::Request => bounds.idle_wait,
            Awaited::RestOfHead => bounds.head_wait,
            Awaited::Client => bounds.write_wait,
        };
        if now != last {
            late.as_mut().reset(Instant::now() + wait);
            last = now;
        }
        ready!(late.as_mut().poll(cx));
        debug!("let go of a connection after {} s: {:?} did not come", wait.as_secs(), now.waiting_for);
        Poll::Ready(())
    })
    .await;
}

/// What a connection's end of the wire sees.
#[derive(Default)]
struct Traffic {
    /// Bytes have come since the last request was complete enough to be served.
    heard: AtomicBool,
    /// A request is served: its answer is being made, or has more to say.
    serving: AtomicBool,
    /// The client takes none of the bytes that are there for it.
    full: AtomicBool,
    requests: AtomicU64,
    written: AtomicU64,
}

/// Where a connection stands. Two that are the same have nothing between them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Now {
    waiting_for: Awaited,
    requests: u64,
    written: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The next request.
    Request,
    RestOfHead,
    /// Us: what is bounded there is bounded by whoever makes the answer.
    Handler,
    /// That the client reads its answer.
    Client,
}

impl Traffic {
    fn now(&self) -> Now {
        let waiting_for = match (self.full.load(Relaxed), self.serving.load(Relaxed), self.heard.load(Relaxed)) {
            (true, _, _) => Awaited::Client,
            (_, true, _) => Awaited::Handler,
            (_, _, true) => Awaited::RestOfHead,
            (false, false, false) => Awaited::Request,
        };
        Now { waiting_for, requests: self.requests.load(Relaxed), written: self.written.load(Relaxed) }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        self.full.store(result.is_pending(), Relaxed);
        if let Poll::Ready(Ok(bytes)) = result {
            self.written.fetch_add(*bytes as u64, Relaxed);
        }
    }
}

/// Marks a request as served for as long as it lives: first with the handler, then with the answer's body.
struct Serving(Arc<Traffic>);

impl Serving {
    fn begin(traffic: Arc<Traffic>) -> Serving {
        traffic.heard.store(false, Relaxed);
        traffic.serving.store(true, Relaxed);
        traffic.requests.fetch_add(1, Relaxed);
        Serving(traffic)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // The rest of a body that nobody wanted is no head.
        self.0.heard.store(false, Relaxed);
        self.0.serving.store(false, Relaxed);
    }
}

struct Answering {
    body: body::Body,
    _serving: Serving,
}

impl Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket whose traffic is seen.
struct Watched<S> {
    socket: S,
    traffic: Arc<Traffic>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.traffic.heard.store(true, Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.traffic.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.traffic.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
