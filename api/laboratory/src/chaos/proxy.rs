//! A proxy between a process and a server that watches what is said, and acts at a point of it.
//!
//! So the points at which things go wrong have names, and the code that is tested has none of them
//! in it.

mod wire;

pub(super) use wire::Point;

use anyhow::Context as _;
use rand::Rng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use wire::{Frame, Frames, Protocol};

/// The longest that a server takes to answer a late request, unless it has closed the connection.
const LATE_PATIENCE: Duration = Duration::from_secs(5);

/// What becomes of a request at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Half of it is sent.
    Half,
    /// It is sent, and nobody waits for the answer.
    Sent,
    /// The server has answered, and the answer never arrives: done, and not acknowledged.
    Answered,
    /// Half of it is sent, and the rest arrives when it is let go, whatever has become of its
    /// sender by then.
    Late,
}

impl Moment {
    /// Any of them.
    pub(super) fn any(rng: &mut StdRng) -> Self {
        [Self::Half, Self::Sent, Self::Answered][rng.random_range(0..3)]
    }
}

/// What then becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It is cut, on both sides.
    Cut,
    /// It hangs until one of the sides is gone: whoever armed the trap does something to them.
    Hang,
}

/// Where, when, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trap {
    pub(super) point: Point,
    pub(super) moment: Moment,
    pub(super) then: Then,
}

/// A port of loopback that leads to a server.
pub(super) struct Proxy {
    address: SocketAddr,
    armed: Arc<Armed>,
    silent: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// A trap waits for one request; the first one that comes to the point falls into it.
#[derive(Default)]
struct Armed {
    trap: Mutex<Option<(Trap, oneshot::Sender<()>)>>,
    /// A late request may go on.
    let_go: Notify,
    /// It has been answered.
    arrived: Notify,
}

impl Proxy {
    /// Listens on a free port and leads to PostgreSQL on `port`.
    pub(super) async fn to_postgres(port: u16) -> anyhow::Result<Self> {
        Self::start(port, Protocol::Postgres).await
    }

    /// Listens on a free port and leads to NATS on `port`.
    pub(super) async fn to_nats(port: u16) -> anyhow::Result<Self> {
        Self::start(port, Protocol::Nats).await
    }

    async fn start(port: u16, protocol: Protocol) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let armed = Arc::<Armed>::default();
        let connections = Arc::clone(&armed);
        let (silent, silence) = watch::channel(false);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (armed, silence) = (Arc::clone(&connections), silence.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                        connect(client, server, protocol, armed, silence).await;
                    }
                });
            }
        });
        Ok(Self { address, armed, silent, accepting })
    }

    /// The port that it listens on.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers nothing any more and closes nothing, as a host without power; until it is back, which
    /// concerns new connections only.
    pub(super) fn be_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// Sets a trap, in place of one that nobody fell into. Tells when somebody has.
    pub(super) fn arm(&self, trap: Trap) -> oneshot::Receiver<()> {
        let (sprung, springs) = oneshot::channel();
        *self.armed.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some((trap, sprung));
        springs
    }

    /// Lets a late request go on, and returns when the server has answered it.
    pub(super) async fn let_go(&self) -> anyhow::Result<()> {
        self.armed.let_go.notify_one();
        let arrived = tokio::time::timeout(LATE_PATIENCE, self.armed.arrived.notified());
        arrived.await.context("a late request is not answered")
    }

    /// Takes the trap away.
    pub(super) fn disarm(&self) {
        self.armed.trap.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Armed {
    /// The trap, if it is set at this point.
    fn take(&self, point: Option<Point>) -> Option<(Trap, oneshot::Sender<()>)> {
        let mut armed = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        armed.take_if(|(trap, _)| Some(trap.point) == point)
    }
}

/// What the answers' side is told by the requests' side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Pass,
    /// The next answer, and all after it, go nowhere.
    Swallow,
}

async fn connect(
    client: TcpStream,
    server: TcpStream,
    protocol: Protocol,
    armed: Arc<Armed>,
    mut silence: watch::Receiver<bool>,
) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (tell, told) = watch::channel(Told::Pass);
    let (swallowed, answer) = oneshot::channel();
    let mut requests = Requests { frames: Frames::of_client(from_client, protocol), to_server };
    let mut answers = Answers { frames: Frames::of_server(from_server, protocol), to_client };
    // Whichever side ends first ends the other: dropping the halves closes both connections.
    tokio::select! {
        () = requests.forward(&armed, tell, answer) => return,
        () = answers.forward(told, swallowed) => return,
        Ok(_) = silence.wait_for(|silent| *silent) => {}
    }
    // The client has to find out by itself.
    requests.hang().await;
    drop(answers);
}

struct Requests {
    frames: Frames<OwnedReadHalf>,
    to_server: OwnedWriteHalf,
}

impl Requests {
    /// Hands requests on until one falls into a trap or the client has gone.
    async fn forward(
        &mut self,
        armed: &Armed,
        tell: watch::Sender<Told>,
        answer: oneshot::Receiver<()>,
    ) {
        while let Some(Frame { bytes, point, .. }) = self.frames.next().await {
            let Some((trap, sprung)) = armed.take(point) else {
                if self.to_server.write_all(&bytes).await.is_err() {
                    return;
                }
                continue;
            };
            tell.send_replace(Told::Swallow);
            if trap.moment == Moment::Late {
                return self.arrive_late(&bytes, armed, sprung, answer).await;
            }
            self.spring(trap, bytes, answer).await;
            let _ = sprung.send(());
            match trap.then {
                Then::Cut => return,
                Then::Hang => self.hang().await,
            }
            return;
        }
    }

    async fn spring(&mut self, trap: Trap, bytes: Vec<u8>, answer: oneshot::Receiver<()>) {
        let sent = match trap.moment {
            Moment::Half | Moment::Late => &bytes[..bytes.len() / 2],
            Moment::Sent | Moment::Answered => &bytes[..],
        };
        let _ = self.to_server.write_all(sent).await;
        if trap.moment == Moment::Half {
            return;
        }
        // What belongs to the request and is sent with it: PostgreSQL executes at the Sync.
        while !self.frames.is_complete()
            && let Some(frame) = self.frames.next().await
        {
            let _ = self.to_server.write_all(&frame.bytes).await;
        }
        if trap.moment == Moment::Answered {
            // An error means that the server has gone, which is an answer too.
            let _ = answer.await;
        }
    }

    /// Does not look at the client any more: it may have gone before its request arrives.
    async fn arrive_late(
        &mut self,
        bytes: &[u8],
        armed: &Armed,
        sprung: oneshot::Sender<()>,
        answer: oneshot::Receiver<()>,
    ) {
        let (at_once, later) = bytes.split_at(bytes.len() / 2);
        let _ = self.to_server.write_all(at_once).await;
        let _ = sprung.send(());
        armed.let_go.notified().await;
        let _ = self.to_server.write_all(later).await;
        let _ = answer.await;
        armed.arrived.notify_one();
    }

    /// Takes what the client says, and does nothing with it, until it has gone.
    async fn hang(&mut self) {
        while self.frames.next().await.is_some() {}
    }
}

struct Answers {
    frames: Frames<OwnedReadHalf>,
    to_client: OwnedWriteHalf,
}

impl Answers {
    /// Hands answers on, until they are to be swallowed; then says when the first has come whole.
    async fn forward(&mut self, told: watch::Receiver<Told>, swallowed: oneshot::Sender<()>) {
        let mut swallowed = Some(swallowed);
        while let Some(frame) = self.frames.next().await {
            if *told.borrow() == Told::Swallow {
                if frame.ends_answer
                    && let Some(swallowed) = swallowed.take()
                {
                    let _ = swallowed.send(());
                }
            } else if self.to_client.write_all(&frame.bytes).await.is_err() {
                return;
            }
        }
    }
}
