//! How mails are sent, and whether they are.

use super::quota::MAX_MAILS_AN_HOUR;
use super::{Mailer, Sender};
use crate::stream::StreamConfig;
use std::time::Duration;
use tokio::time::Instant;

/// How mails are sent.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// Where the events come from.
    pub stream: StreamConfig,
    /// Names the durable and its cursor.
    pub durable: String,
    /// Whom mails come from.
    pub sender: Sender,
    /// Where they go.
    pub mailer: Mailer,
    /// How long a worker may take for one mail, and how long nobody else touches it. A worker's
    /// death delays its mail by this.
    pub lease: Duration,
    /// The pause after a mail was not taken; it doubles with every try.
    pub first_pause: Duration,
    /// The longest such pause, for a mail server that is away.
    pub longest_pause: Duration,
    /// The longest such pause for one mailbox, or one mail, that is not taken.
    pub longest_mailbox_pause: Duration,
    /// For how long a mail is offered whose recipient's server says "later"; then it is a dead letter.
    pub soft_patience: Duration,
    /// How many mails one recipient gets within an hour; the others wait, as long as the patience above.
    pub mails_an_hour: u32,
}

impl NotifyConfig {
    /// The defaults: stream `GOMALL`, durable `notify`, a lease of a minute, pauses from two seconds to
    /// two minutes for the server and to a quarter of an hour for a mailbox, which has a day.
    #[must_use]
    pub fn new(sender: Sender, mailer: Mailer) -> Self {
        Self {
            stream: StreamConfig::default(),
            durable: "notify".to_owned(),
            sender,
            mailer,
            lease: Duration::from_secs(60),
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(120),
            longest_mailbox_pause: Duration::from_secs(15 * 60),
            soft_patience: Duration::from_secs(24 * 3600),
            mails_an_hour: MAX_MAILS_AN_HOUR,
        }
    }
}

/// Since when a part of the notifier of this process does not get on; none while it does.
#[derive(Debug, Clone, Default)]
pub struct NotifyStatus {
    /// Events cannot be taken in: PostgreSQL, NATS or JetStream does not do what it is asked.
    pub events: Option<Instant>,
    /// The queue of mails cannot be read.
    pub queue: Option<Instant>,
    /// The mail server takes nobody's mail.
    pub server: Option<Instant>,
}
