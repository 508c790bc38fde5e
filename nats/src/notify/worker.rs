//! From an event to a mail.

use super::dead_letters;
use super::ledger::{self, Lease, Mail, Unsent};
use super::mailer::{self, Undelivered};
use super::{Directory, MailKind, Mailer, Sender, letter};
use crate::backoff::pause_after;
use crate::consumer::{Consumer, ConsumerConfig, Delivery, Handler, Settled};
use crate::stream::StreamConfig;
use async_nats::Client;
use domain::EventSource;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How many mails one process sends at a time. The mail server is the slow part, and more than a
/// handful of conversations at once is impolite.
const CONCURRENCY: usize = 8;
/// How often a mail is offered to a server that refuses it for good. A refusal may be the server's
/// own mistake, mended in minutes (the default pauses add up to four); one that still stands then
/// is about this mail.
const MAX_REFUSALS: u64 = 8;
/// How long to wait after PostgreSQL did not answer.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);
/// How often an accepted mail's record is tried while the lease lasts.
const RECORD_PAUSE: Duration = Duration::from_millis(200);

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
    /// The longest such pause.
    pub longest_pause: Duration,
}

impl NotifyConfig {
    /// The defaults: stream `GOMALL`, durable `notify`, a lease of a minute, pauses from two
    /// seconds to two minutes.
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
        }
    }
}

/// Sends the mail that an event causes. The [`Handler`] of the notification worker.
#[derive(Debug)]
pub struct Notifier<D> {
    pool: PgPool,
    directory: D,
    config: NotifyConfig,
}

impl<D: Directory> Notifier<D> {
    /// A worker that keeps its record in the database of `pool`.
    #[must_use]
    pub fn new(pool: PgPool, directory: D, config: NotifyConfig) -> Self {
        Self { pool, directory, config }
    }

    /// Sends mails until `stop`, finishing those that are being sent.
    pub async fn run<S: EventSource>(
        self,
        source: Arc<S>,
        client: Client,
        stop: CancellationToken,
    ) {
        let config = ConsumerConfig {
            name: self.config.durable.clone(),
            stream: self.config.stream.clone(),
            events: MailKind::EVENTS.to_vec(),
            concurrency: CONCURRENCY,
            // Delivered again only when the lease is over, unless it is put off before.
            ack_wait: self.config.lease,
        };
        let (pool, handler) = (self.pool.clone(), Arc::new(self));
        let again = dead_letters::try_again(&*handler, &pool, &*source, &stop);
        let consumer = Consumer::new(Arc::clone(&source), pool.clone(), client, config);
        tokio::join!(consumer.run(Arc::clone(&handler), stop.clone()), again);
    }

    /// Sends a mail that we hold the lease of, and says what became of it.
    async fn send(&self, mail: &Mail) -> Result<Sent, Undelivered> {
        let order = match self.directory.order_mail(mail.order_id, mail.position).await {
            Ok(Some(order)) => order,
            Ok(None) => return Ok(Sent::Skipped),
            Err(error) => return Err(Undelivered::NotNow(error.to_string())),
        };
        let letter = letter(mail.kind, &order);
        let message = mailer::compose(&self.config.sender, &mail.message_id, &order, letter)
            .map_err(Undelivered::Refused)?;
        self.config.mailer.deliver(mail.event_id, &message).await?;
        Ok(Sent::Accepted)
    }

    async fn settle(
        &self,
        mail: &Mail,
        attempt: u64,
        refusals: u64,
    ) -> Result<Settled, sqlx::Error> {
        let deadline = Instant::now() + self.config.lease;
        // Half of the lease is for sending, so that nobody who takes it over meets us at work.
        let sent = tokio::time::timeout(self.config.lease / 2, self.send(mail)).await;
        let (unsent, problem) = match sent {
            Ok(Ok(Sent::Accepted)) => {
                self.record_sent(mail, deadline).await?;
                tracing::info!(
                    event.position = mail.position, order.id = %mail.order_id,
                    mail.kind = mail.kind.as_str(), "sent a mail"
                );
                return Ok(Settled::Done);
            }
            Ok(Ok(Sent::Skipped)) => (Unsent::Skipped, "erased".to_owned()),
            Ok(Err(Undelivered::Refused(problem))) if refusals + 1 >= MAX_REFUSALS => {
                (Unsent::Failed, problem)
            }
            Ok(Err(Undelivered::Refused(problem))) => (Unsent::Refused, problem),
            Ok(Err(Undelivered::NotNow(problem))) => (Unsent::NotNow, problem),
            Err(_) => (Unsent::NotNow, "it took too long".to_owned()),
        };
        if unsent == Unsent::Failed {
            // First, so that a mail which nobody offers any more is never without its letter.
            dead_letters::keep(&self.pool, mail, &problem).await?;
        }
        ledger::unsent(&self.pool, mail.event_id, attempt, unsent, &problem).await?;
        Ok(self.say(mail, attempt, unsent, &problem))
    }

    fn say(&self, mail: &Mail, attempt: u64, unsent: Unsent, problem: &str) -> Settled {
        let (position, kind) = (mail.position, mail.kind.as_str());
        let order = mail.order_id;
        match unsent {
            Unsent::Skipped => {
                tracing::info!(
                    event.position = position, order.id = %order, mail.kind = kind,
                    "sent no mail, the person was erased"
                );
                Settled::Done
            }
            Unsent::Failed => {
                tracing::error!(
                    event.position = position, order.id = %order, mail.kind = kind,
                    mail.problem = problem, "a mail was refused again and again: it is a dead letter"
                );
                Settled::Done
            }
            Unsent::NotNow | Unsent::Refused => {
                tracing::warn!(
                    event.position = position, order.id = %order, mail.kind = kind,
                    mail.attempt = attempt, mail.problem = problem,
                    "a mail was not taken; it is tried again"
                );
                let (first, longest) = (self.config.first_pause, self.config.longest_pause);
                Settled::Again { after: pause_after(attempt, first, longest) }
            }
        }
    }

    /// Between acceptance and this record lies the only duplicate that is possible, so the record
    /// is tried for as long as the lease keeps others away.
    async fn record_sent(&self, mail: &Mail, deadline: Instant) -> Result<(), sqlx::Error> {
        loop {
            match ledger::sent(&self.pool, mail.event_id).await {
                Err(_) if Instant::now() + RECORD_PAUSE < deadline => {
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                result => return result,
            }
        }
    }
}

enum Sent {
    Accepted,
    Skipped,
}

impl<D: Directory> Handler for Notifier<D> {
    async fn handle(&self, delivery: &Delivery) -> Settled {
        let event = &delivery.event;
        let Some(kind) = MailKind::of(event) else { return Settled::Done };
        let Ok(order_id) = Uuid::try_parse(event.aggregate_id()) else {
            // Nobody can be told about an order that has no id; sending it round for ever would
            // help nobody either.
            tracing::error!(event.position = event.position, "an order event names no order");
            return Settled::Done;
        };
        let mail = Mail {
            event_id: event.id,
            position: event.position,
            order_id,
            kind,
            event_type: kind.event_type(),
            message_id: self.config.sender.message_id(event.id),
        };
        let settled = match ledger::lease(&self.pool, &mail, self.config.lease).await {
            Ok(Lease::Ours { attempt, refusals }) => self.settle(&mail, attempt, refusals).await,
            Ok(Lease::Taken { ends_in }) => {
                Ok(Settled::Again { after: ends_in.max(self.config.first_pause) })
            }
            Ok(Lease::Settled) => Ok(Settled::Done),
            Err(error) => Err(error),
        };
        settled.unwrap_or_else(|error| {
            tracing::warn!(event.position, %error, "a mail's record cannot be reached");
            Settled::Again { after: DATABASE_PAUSE }
        })
    }
}
