//! Hands a mail to whoever delivers it.

use super::MailText;
use domain::{EmailAddress, Name};
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// How long the mail server may take for each step of a conversation.
const SMTP_STEP_PATIENCE: Duration = Duration::from_secs(10);

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// Not like `smtp://user:password@host:port?tls=required` or `smtps://…`. The setting may hold
    /// a password and is not repeated.
    #[error("the address of the mail server cannot be read")]
    Url,
    /// Not like `GoMall <shop@example.com>`.
    #[error("the sender's address cannot be read")]
    Sender,
}

/// Whom mails come from.
#[derive(Debug, Clone)]
pub struct Sender(Mailbox);

impl Sender {
    /// Reads `shop@example.com` or `GoMall <shop@example.com>`.
    ///
    /// # Errors
    /// [`MailerError::Sender`].
    pub fn parse(text: &str) -> Result<Self, MailerError> {
        text.parse().map(Self).map_err(|_| MailerError::Sender)
    }

    /// The Message-ID of the mail that an event causes: the same whenever and by whomever it is
    /// sent.
    pub(super) fn message_id(&self, event_id: Uuid) -> String {
        format!("<{event_id}@{}>", self.0.email.domain())
    }
}

/// Where mails go.
#[derive(Debug, Clone)]
pub enum Mailer {
    /// Into a directory, each as `<event id>.eml`, complete from the moment it is there. It is made
    /// when it is missing.
    Folder(PathBuf),
    /// To a mail server, over a connection a mail: one on which a mail was given up in the middle must never
    /// be used for another, whose answers would be those to the first.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

/// A mail was not taken. Never holds what a mail server said beyond its code: it may quote the
/// address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// No mail is taken at the moment: nothing answers, or the server wants none from us.
    Away(String),
    /// The server takes mail, and says "later" about this one.
    Mailbox(String),
    /// Nothing was said about this mail in time, or the server left: as a whole, or for this mailbox.
    Silent(String),
    /// This mail is not wanted.
    Refused(String),
}

impl Mailer {
    /// The mail server at `url`: `smtp://host:port` (plain), `smtp://…?tls=required` (STARTTLS) or
    /// `smtps://…`, each with `user:password@` where it asks for them.
    ///
    /// # Errors
    /// [`MailerError::Url`].
    pub fn smtp(url: &str) -> Result<Self, MailerError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| MailerError::Url)?
            .timeout(Some(SMTP_STEP_PATIENCE))
            .build();
        Ok(Self::Smtp(transport))
    }

    /// Whether anything is taken at all: a mail server answers within the patience of one step.
    pub(super) async fn answers(&self) -> bool {
        match self {
            Self::Folder(_) => true,
            Self::Smtp(transport) => {
                let asked = tokio::time::timeout(SMTP_STEP_PATIENCE, transport.test_connection());
                asked.await.is_ok_and(|asked| asked.unwrap_or(false))
            }
        }
    }

    pub(super) async fn deliver(&self, event_id: Uuid, mail: &Message) -> Result<(), Undelivered> {
        match self {
            Self::Folder(folder) => file(folder, event_id, mail)
                .await
                .map_err(|error| Undelivered::Away(format!("folder: {}", error.kind()))),
            Self::Smtp(transport) => {
                match transport.send_raw(mail.envelope(), &mail.formatted()).await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(reduce(&error)),
                }
            }
        }
    }
}

/// Writes a text as a mail. The error says what is wrong without saying with whom.
pub(super) fn compose(
    sender: &Sender,
    message_id: &str,
    to: (&EmailAddress, Option<&Name>),
    text: MailText,
) -> Result<Message, String> {
    let (email, name) = to;
    let address: Address =
        email.as_str().parse().map_err(|_| "the address cannot be written".to_owned())?;
    let name = name.map(ToString::to_string);
    Message::builder()
        .from(sender.0.clone())
        .to(Mailbox::new(name, address))
        .subject(text.subject)
        .message_id(Some(message_id.to_owned()))
        .date_now()
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(text.text)
        .map_err(|_| "the mail cannot be written".to_owned())
}

/// Asks automatic answerers to keep silent (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Under another name first, so that nobody ever sees half a mail; a duplicate replaces the first.
async fn file(folder: &std::path::Path, event_id: Uuid, mail: &Message) -> std::io::Result<()> {
    // Mails tell of people: nobody else on this machine looks into them.
    tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await?;
    let unfinished = folder.join(format!(".{event_id}.{}.part", std::process::id()));
    tokio::fs::write(&unfinished, mail.formatted()).await?;
    tokio::fs::rename(&unfinished, folder.join(format!("{event_id}.eml"))).await
}

/// Keeps the status code and the kind of failure, and drops the words.
fn reduce(error: &smtp::Error) -> Undelivered {
    /// "Authenticate first" and its relatives: they refuse us, not this mail.
    const REFUSES_US: [u16; 4] = [530, 534, 535, 538];
    /// The server is going down, or has too much to do.
    const NOT_AVAILABLE: u16 = 421;
    match error.status().map(u16::from) {
        Some(code) if error.is_permanent() && !REFUSES_US.contains(&code) => {
            Undelivered::Refused(format!("smtp {code}"))
        }
        Some(code) if error.is_transient() && code != NOT_AVAILABLE => {
            Undelivered::Mailbox(format!("smtp {code}"))
        }
        // Whether it has enough of this mail or of all of them the others show.
        Some(NOT_AVAILABLE) => Undelivered::Silent(format!("smtp {NOT_AVAILABLE}")),
        Some(code) => Undelivered::Away(format!("smtp {code}")),
        None if error.is_timeout() => Undelivered::Silent("smtp: no answer".to_owned()),
        None if error.is_tls() => Undelivered::Away("smtp: TLS failed".to_owned()),
        None if error.is_client() => Undelivered::Refused("smtp: cannot be sent".to_owned()),
        // In the middle of a conversation, which may have been about this mail.
        None if is_lost(error) => Undelivered::Silent("smtp: the connection was lost".to_owned()),
        None => Undelivered::Away("smtp: no connection".to_owned()),
    }
}

/// Whether a connection that had come about was lost. lettre says so in words only.
fn is_lost(error: &smtp::Error) -> bool {
    error.is_response() || error.to_string().starts_with("network error")
}
