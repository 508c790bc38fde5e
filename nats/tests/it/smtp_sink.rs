//! A mail server that keeps what it is given, and can be told to misbehave.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

/// A mail as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) recipient: String,
    /// Headers and body, as sent.
    pub(crate) text: String,
}

impl Mail {
    /// A header's value, if it is there and on one line.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.text
            .lines()
            .take_while(|line| !line.is_empty())
            .find_map(|line| line.strip_prefix(&prefix))
    }
}

/// What the server does instead of accepting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mood {
    Accepting,
    /// Answers RCPT of an address with these words.
    Refusing {
        recipient: String,
        answer: &'static str,
    },
    /// Answers RCPT of these addresses so late, and the mails of others with these words.
    Late {
        recipients: Vec<String>,
        after: Duration,
        others: &'static str,
    },
    /// Accepts mails but does not say so, until it is in another mood.
    Speechless,
}

struct Shared {
    mails: Mutex<Vec<Mail>>,
    conversations: Mutex<usize>,
    mood: watch::Sender<Mood>,
    accepted: Notify,
    hung_up: Notify,
}

/// The server. It stops when it is dropped.
pub(crate) struct Sink {
    shared: Arc<Shared>,
    port: u16,
    _server: AbortOnDropHandle<()>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        Self::on_port(0).await
    }

    /// Port 0 is any free one.
    pub(crate) async fn on_port(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            mails: Mutex::default(),
            conversations: Mutex::default(),
            mood: watch::Sender::new(Mood::Accepting),
            accepted: Notify::new(),
            hung_up: Notify::new(),
        });
        let served = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            let mut conversations = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                conversations.spawn(async move {
                    // A client that goes away ends its conversation.
                    let _ended = converse(stream, &shared).await;
                });
            }
        });
        Self { shared, port, _server: AbortOnDropHandle::new(server) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.shared.mails.lock().expect("not poisoned").clone()
    }

    /// How often a recipient was named.
    pub(crate) fn tries(&self) -> usize {
        *self.shared.conversations.lock().expect("not poisoned")
    }

    /// Returns after the next mail was accepted.
    pub(crate) async fn accepted(&self) {
        self.shared.accepted.notified().await;
    }

    /// Returns when a client has not waited for the answer to its mail.
    pub(crate) async fn hung_up(&self) {
        self.shared.hung_up.notified().await;
    }
}

type Reader = Lines<BufReader<OwnedReadHalf>>;

async fn converse(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut recipient = String::new();
    say(&mut write, "220 sink.test ESMTP").await?;
    while let Some(line) = lines.next_line().await? {
        let command = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match command.as_str() {
            "EHLO" | "HELO" => say(&mut write, "250-sink.test\r\n250 8BITMIME").await?,
            "MAIL" | "NOOP" | "RSET" => say(&mut write, "250 OK").await?,
            "RCPT" => {
                recipient = address(&line);
                *shared.conversations.lock().expect("not poisoned") += 1;
                let mood = shared.mood.borrow().clone();
                if let Mood::Late { recipients, after, .. } = &mood
                    && recipients.contains(&recipient)
                {
                    tokio::time::sleep(*after).await;
                }
                let answer = match &mood {
                    Mood::Refusing { recipient: refused, answer } if *refused == recipient => {
                        *answer
                    }
                    _ => "250 OK",
                };
                say(&mut write, answer).await?;
            }
            "DATA" => {
                say(&mut write, "354 go ahead").await?;
                let text = data(&mut lines).await?;
                let mood = shared.mood.borrow().clone();
                if let Mood::Late { others, .. } = mood
                    && !others.starts_with("250")
                {
                    say(&mut write, others).await?;
                    continue;
                }
                let mail = Mail { recipient: recipient.clone(), text };
                shared.mails.lock().expect("not poisoned").push(mail);
                shared.accepted.notify_one();
                let mut mood = shared.mood.subscribe();
                tokio::select! {
                    speaks = mood.wait_for(|mood| *mood != Mood::Speechless) => drop(speaks),
                    _ = lines.next_line() => {
                        shared.hung_up.notify_one();
                        return Ok(());
                    }
                }
                say(&mut write, "250 accepted").await?;
            }
            "QUIT" => return say(&mut write, "221 bye").await,
            _ => say(&mut write, "502 not here").await?,
        }
    }
    Ok(())
}

async fn data(lines: &mut Reader) -> std::io::Result<String> {
    let mut text = String::new();
    while let Some(line) = lines.next_line().await? {
        if line == "." {
            break;
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push('\n');
    }
    Ok(text)
}

async fn say(write: &mut OwnedWriteHalf, text: &str) -> std::io::Result<()> {
    write.write_all(format!("{text}\r\n").as_bytes()).await
}

fn address(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(address, _)| address.to_owned()).unwrap_or_default()
}
