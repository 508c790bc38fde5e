//! Just as much of two protocols as it takes to tell where one message ends and what it asks for.

use std::collections::HashMap;
use tokio::io::AsyncRead;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// The largest message that is held in memory: a batch of the writer is a few megabytes.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// PostgreSQL's, version 3, without TLS.
    Postgres,
    /// NATS's.
    Nats,
}

/// Something that a process asks a server for, and that may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Point {
    /// A batch of the journal's writer.
    Append,
    /// The end of a projection's transaction.
    ProjectionCommit,
    /// The record that a mail was sent.
    MailSent,
    /// A message for a stream.
    Publish,
}

/// One message of a protocol.
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    /// The point that a request is at.
    pub(super) point: Option<Point>,
    /// Whether an answer is whole with it.
    pub(super) ends_answer: bool,
}

/// Cuts what one side says into messages.
pub(super) struct Frames<R> {
    reader: BufReader<R>,
    side: Side,
    /// Whether the server has been given everything that it needs to act.
    complete: bool,
}

enum Side {
    PostgresClient(Session),
    PostgresServer,
    NatsClient,
    NatsServer,
}

/// What a session of PostgreSQL has said of itself.
#[derive(Default)]
struct Session {
    started: bool,
    application: String,
    /// The points that prepared statements are at, by their names.
    prepared: HashMap<Vec<u8>, Point>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn of_client(reader: R, protocol: Protocol) -> Self {
        let side = match protocol {
            Protocol::Postgres => Side::PostgresClient(Session::default()),
            Protocol::Nats => Side::NatsClient,
        };
        Self { reader: BufReader::new(reader), side, complete: true }
    }

    pub(super) fn of_server(reader: R, protocol: Protocol) -> Self {
        let side = match protocol {
            Protocol::Postgres => Side::PostgresServer,
            Protocol::Nats => Side::NatsServer,
        };
        Self { reader: BufReader::new(reader), side, complete: true }
    }

    /// Whether what was read so far asks the server for something whole.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The next message; none when the side has gone, or says what is no message.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        match &mut self.side {
            Side::PostgresClient(session) => {
                let bytes = postgres(&mut self.reader, session.started).await?;
                if !session.started {
                    session.begin(&bytes);
                    return Some(Frame { bytes, point: None, ends_answer: false });
                }
                // Simple queries stand alone; everything else is acted on at a Sync.
                self.complete = matches!(bytes[0], b'Q' | b'S' | b'X');
                let point = session.point(&bytes);
                Some(Frame { bytes, point, ends_answer: false })
            }
            Side::PostgresServer => {
                let bytes = postgres(&mut self.reader, true).await?;
                let ends_answer = bytes[0] == b'Z';
                Some(Frame { bytes, point: None, ends_answer })
            }
            Side::NatsClient => {
                let bytes = nats(&mut self.reader).await?;
                let point = asks_to_publish(&bytes).then_some(Point::Publish);
                Some(Frame { bytes, point, ends_answer: false })
            }
            Side::NatsServer => {
                let bytes = nats(&mut self.reader).await?;
                let ends_answer =
                    bytes.starts_with(b"MSG _INBOX") || bytes.starts_with(b"HMSG _INBOX");
                Some(Frame { bytes, point: None, ends_answer })
            }
        }
    }
}

/// Whether an event is published and an answer asked for, as for the last one of a burst.
fn asks_to_publish(message: &[u8]) -> bool {
    let line = message.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (verb, subject) = (words.next(), words.next().unwrap_or_default());
    // The subject of the answer stands before the lengths: one, and one more with headers.
    let with_answer = match verb {
        Some(b"HPUB") => 3,
        Some(b"PUB") => 2,
        _ => return false,
    };
    subject.starts_with(b"gomall.") && words.count() == with_answer
}

/// A message of PostgreSQL: a letter, except for the very first, and a length that counts itself.
async fn postgres<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
    letter: bool,
) -> Option<Vec<u8>> {
    let head = if letter { 5 } else { 4 };
    let mut bytes = vec![0; head];
    reader.read_exact(&mut bytes).await.ok()?;
    let length = u32::from_be_bytes(bytes[head - 4..].try_into().ok()?);
    let rest = usize::try_from(length).ok()?.checked_sub(4)?;
    if rest > MAX_MESSAGE_BYTES {
        return None;
    }
    bytes.resize(head + rest, 0);
    reader.read_exact(&mut bytes[head..]).await.ok()?;
    Some(bytes)
}

/// A message of NATS: a line, whose last word is the length of a payload where there is one.
async fn nats<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // What the server says of itself at the start is the longest line, some kilobytes.
    reader.take(MAX_MESSAGE_BYTES as u64).read_until(b'\n', &mut bytes).await.ok()?;
    let line = std::str::from_utf8(&bytes).ok()?.strip_suffix("\r\n")?;
    let mut words = line.split_ascii_whitespace();
    if matches!(words.next()?, "PUB" | "HPUB" | "MSG" | "HMSG") {
        let payload: usize = words.next_back()?.parse().ok()?;
        if payload > MAX_MESSAGE_BYTES {
            return None;
        }
        let head = bytes.len();
        bytes.resize(head + payload + 2, 0);
        reader.read_exact(&mut bytes[head..]).await.ok()?;
    }
    Some(bytes)
}

impl Session {
    /// Reads what the first message tells: names and values, each with a NUL behind it.
    fn begin(&mut self, bytes: &[u8]) {
        self.started = true;
        let mut words = bytes.get(8..).unwrap_or_default().split(|byte| *byte == 0);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name == b"application_name" {
                self.application = String::from_utf8_lossy(value).into_owned();
            }
        }
    }

    fn point(&mut self, bytes: &[u8]) -> Option<Point> {
        let mut texts = bytes.get(5..)?.split(|byte| *byte == 0);
        match bytes[0] {
            // Parse: the statement's name and its text.
            b'P' => {
                let (name, text) = (texts.next()?, texts.next()?);
                match self.point_of(text) {
                    Some(point) => self.prepared.insert(name.to_vec(), point),
                    None => self.prepared.remove(name),
                };
                None
            }
            // Bind: the portal's name and the statement's. It carries the values, so this is the
            // request.
            b'B' => texts.nth(1).and_then(|name| self.prepared.get(name)).copied(),
            b'Q' => self.point_of(texts.next()?),
            _ => None,
        }
    }

    fn point_of(&self, text: &[u8]) -> Option<Point> {
        let text = String::from_utf8_lossy(text);
        if text.contains("journal_append") {
            Some(Point::Append)
        } else if self.application.starts_with("gomall projection") && text.trim() == "COMMIT" {
            Some(Point::ProjectionCommit)
        } else if text.contains("set state = 'sent'") {
            Some(Point::MailSent)
        } else {
            None
        }
    }
}
