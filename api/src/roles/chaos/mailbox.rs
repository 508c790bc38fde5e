//! A mail server that takes everything and remembers which mails it took.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server. It ends when it is dropped.
pub(super) struct Mailbox {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Mailbox {
    /// Listens on a free port of loopback.
    pub(super) async fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let taken = Arc::<Mutex<Vec<String>>>::default();
        let mails = Arc::clone(&taken);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mails = Arc::clone(&mails);
                // A client that is killed ends its conversation.
                tokio::spawn(async move { drop(converse(client, &mails).await) });
            }
        });
        Ok(Self { address, taken, serving })
    }

    /// Where to send to.
    pub(super) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The Message-IDs of all mails, in the order in which they were taken.
    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Just as much of SMTP as a client needs.
async fn converse(client: TcpStream, taken: &Mutex<Vec<String>>) -> std::io::Result<()> {
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
                let message_id = message_id.unwrap_or_default();
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(message_id);
                b"250 accepted\r\n"
            }
            "QUIT" => return write.write_all(b"221 bye\r\n").await,
            _ => b"250 OK\r\n",
        };
        write.write_all(answer).await?;
    }
    Ok(())
}
