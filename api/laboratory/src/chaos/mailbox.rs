//! A mail server that takes everything, remembers which mails it took and when, can keep a sender waiting
//! for its answer, and has mailboxes that are full for a while.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The server. It ends when it is dropped.
pub(super) struct Mailbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// A mail that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) message_id: String,
    /// Before its sender was told that it is accepted.
    pub(super) at: Instant,
}

/// A mail whose sender waits to be told that it is accepted, until this is dropped.
pub(super) struct Held {
    caught: oneshot::Receiver<()>,
    _let_go: oneshot::Sender<()>,
}

impl Held {
    /// Waits until there is one.
    pub(super) async fn caught(&mut self) {
        let _the_mailbox_lives = (&mut self.caught).await;
    }
}

#[derive(Default)]
struct Shared {
    taken: Mutex<Vec<Arrival>>,
    /// What the next sender falls into.
    hold: Mutex<Option<Hold>>,
    /// How the addresses begin whose mailboxes are full.
    full: Mutex<Option<&'static str>>,
}

struct Hold {
    caught: oneshot::Sender<()>,
    let_go: oneshot::Receiver<()>,
}

impl Mailbox {
    /// Listens on a free port of loopback.
    pub(super) async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let mails = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mails = Arc::clone(&mails);
                // A client that is killed ends its conversation.
                tokio::spawn(async move { drop(converse(client, &mails).await) });
            }
        });
        Ok(Self { address, shared, serving })
    }

    /// Where to send to.
    pub(super) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// All mails, in the order in which they were taken.
    pub(super) fn taken(&self) -> Vec<Arrival> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the sender of the next mail waiting.
    pub(super) fn hold_next(&self) -> Held {
        let (caught_it, caught) = oneshot::channel();
        let (let_go, released) = oneshot::channel();
        let hold = Hold { caught: caught_it, let_go: released };
        *self.shared.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(hold);
        Held { caught, _let_go: let_go }
    }

    /// The mailboxes whose addresses begin so are full from now on; or none is.
    pub(super) fn be_full(&self, full: Option<&'static str>) {
        *self.shared.full.lock().unwrap_or_else(PoisonError::into_inner) = full;
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn take(&self, message_id: String) {
        let arrival = Arrival { message_id, at: Instant::now() };
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
    }

    fn is_full(&self, recipient: &str) -> bool {
        let full = *self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.is_some_and(|full| recipient.starts_with(full))
    }

    /// Returns when the sender may be answered.
    async fn hold(&self) {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Hold { caught, let_go }) = hold else { return };
        if caught.send(()).is_ok() {
            let _dropped_is_let_go = let_go.await;
        }
    }
}

/// Just as much of SMTP as a client needs.
async fn converse(client: TcpStream, mails: &Shared) -> std::io::Result<()> {
    let (read, mut write) = client.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 chaos ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
            "EHLO" | "HELO" => b"250-chaos\r\n250 8BITMIME\r\n",
            "DATA" => {
                write.write_all(b"354 go ahead\r\n").await?;
                let mut message_id = None;
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    if let Some(id) = line.strip_prefix("Message-ID: ") {
                        message_id.get_or_insert(id.to_owned());
                    }
                }
                mails.take(message_id.unwrap_or_default());
                mails.hold().await;
                b"250 accepted\r\n"
            }
            "RCPT"
                if line.split_once('<').is_some_and(|(_, recipient)| mails.is_full(recipient)) =>
            {
                b"452 the mailbox is full\r\n"
            }
            "QUIT" => return write.write_all(b"221 bye\r\n").await,
            _ => b"250 OK\r\n",
        };
        write.write_all(answer).await?;
    }
    Ok(())
}
