//! From an event to a mail: an event puts a mail into the queue, and whatever is due is sent.

use super::dead_letters;
use super::ledger::{self, Mail, Taken, Unsent};
use super::mailboxes::Mailboxes;
use super::mailer::{self, Undelivered};
use super::places::{Place, Places};
use super::quota::{self, MAX_MAILS_AN_HOUR};
use super::{
    AccountMail, Directory, DirectoryError, MailKind, MailText, Mailer, OrderMail, Sender,
    account_text, order_text,
};
use crate::consumer::{Consumer, ConsumerConfig, Delivery, Handler, Settled};
use crate::stream::StreamConfig;
use async_nats::Client;
use domain::{EmailAddress, EventSource, Name};
use follow::backoff::{Backoff, pause_after};
use sqlx::PgPool;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A conversation that takes longer stands aside: it goes on, and the next mail takes its place. A server that
/// takes mail answers in a fraction of it.
const SLOW_AFTER: Duration = Duration::from_millis(500);
/// After so many mails in a row about which nothing was said in time it may be the server, and not their
/// mailboxes: it is asked.
const SILENT_IS_SUSPECT: usize = 4;
/// How often a server that is away is asked whether it is back, at least: what waits for it goes on soon after.
const ASK_INTERVAL: Duration = Duration::from_secs(5);
/// How often a mail is offered to a server that refuses it for good. A refusal may be the server's
/// own mistake, mended in minutes (the default pauses add up to four); one that still stands then
/// is about this mail.
const MAX_REFUSALS: u64 = 8;
/// How long to wait after PostgreSQL did not answer.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);
/// How many events are put into the queue at a time.
const QUEUED_AT_ONCE: usize = 64;
/// When an event is delivered again that was not put into the queue.
const QUEUE_PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked for mails that are due: after a pause, or left by a worker that died.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a mail waits whose reader cannot be asked for yet: a read model is behind.
const DIRECTORY_PAUSE: Duration = Duration::from_secs(1);
/// How long what is being sent may take when the worker is asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(4);
/// How often recipients are forgotten whose hour is over.
const FORGET_EVERY: Duration = Duration::from_secs(60);
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

/// Puts the mail that an event causes into the queue, as the [`Handler`] of the notification worker, and
/// sends what is due.
#[derive(Debug)]
pub struct Notifier<D> {
    pool: PgPool,
    directory: D,
    config: NotifyConfig,
    mailboxes: Mailboxes,
    /// Something came into the queue, or there is room again.
    look: Notify,
    status: watch::Sender<NotifyStatus>,
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

impl<D: Directory> Notifier<D> {
    /// A worker whose queue is in the database of `pool`.
    #[must_use]
    pub fn new(pool: PgPool, directory: D, config: NotifyConfig) -> Self {
        let (mailboxes, look) = (Mailboxes::default(), Notify::new());
        Self { pool, directory, config, mailboxes, look, status: watch::Sender::default() }
    }

    /// Whether it gets on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<NotifyStatus> {
        self.status.subscribe()
    }

    /// Sends mails until `stop`, finishing those that are being sent.
    pub async fn run<S: EventSource>(
        self: Arc<Self>,
        source: Arc<S>,
        client: Client,
        stop: CancellationToken,
    ) {
        let config = ConsumerConfig {
            name: self.config.durable.clone(),
            stream: self.config.stream.clone(),
            events: MailKind::EVENTS.to_vec(),
            concurrency: QUEUED_AT_ONCE,
            ack_wait: QUEUE_PATIENCE,
        };
        let again = dead_letters::try_again(&self.pool, &stop);
        let consumer = Consumer::new(source, self.pool.clone(), client, config);
        tokio::join!(
            consumer.run(Arc::clone(&self), stop.clone()),
            again,
            self.send_due(&stop),
            self.forget_hours(&stop)
        );
    }

    /// Sends whatever is due, a few mails at a time. When the server takes none, everything rests.
    async fn send_due(self: &Arc<Self>, stop: &CancellationToken) {
        let places = Places::new();
        // Tasks, so that one that holds a connection to PostgreSQL goes on while others wait for theirs.
        let mut sending = JoinSet::new();
        let mut away = Backoff::new(self.config.first_pause, self.config.longest_pause);
        let mut next_look = Instant::now();
        // Mails in a row about which nothing was said, and since when.
        let (mut silent, mut silent_since) = (0, Instant::now());
        let mut is_away = false;
        // Whether there may be more mails to try again than there was room for.
        let mut is_limited = false;
        loop {
            let room = places.room();
            if is_away && Instant::now() >= next_look {
                let asked = stop.run_until_cancelled(self.config.mailer.answers());
                let Some(answers) = asked.await else { break };
                is_away = !answers;
                if is_away {
                    next_look = Instant::now() + away.pause().min(ASK_INTERVAL);
                    continue;
                }
                silent = 0;
                away.reset();
                self.note(|status| &mut status.server, None);
            }
            if room > 0 && Instant::now() >= next_look {
                let again = places.room_again();
                let taken = ledger::take(&self.pool, room, again, self.config.lease).await;
                self.note(|status| &mut status.queue, taken.as_ref().err().map(|_| Instant::now()));
                match taken {
                    Ok(taken) => {
                        if taken.len() < room {
                            next_look = Instant::now() + LOOK_INTERVAL;
                        }
                        is_limited = taken.iter().filter(|taken| taken.is_again()).count() == again;
                        for taken in taken {
                            let place = places.take(taken.is_again());
                            let (notifier, places) = (Arc::clone(self), Arc::clone(&places));
                            sending.spawn(notifier.settle_in(taken, place, places));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the queue of mails cannot be read");
                        next_look = Instant::now() + DATABASE_PAUSE;
                    }
                }
            }
            let is_resting = next_look > Instant::now() + LOOK_INTERVAL;
            let (is_again, mut server) = tokio::select! {
                () = stop.cancelled() => break,
                Some(settled) = sending.join_next() => settled.expect("nothing here panics"),
                () = self.look.notified(), if !is_resting => {
                    next_look = Instant::now();
                    continue;
                }
                () = tokio::time::sleep_until(next_look), if room > 0 => continue,
            };
            if is_again && is_limited && !is_resting {
                next_look = Instant::now();
            }
            // What comes in late about a server that is known to be away says nothing new.
            if is_away && server != Server::Takes {
                continue;
            }
            if server == Server::Silent {
                if silent == 0 {
                    silent_since = Instant::now();
                }
                silent += 1;
                if silent < SILENT_IS_SUSPECT {
                    continue;
                }
                let asked = stop.run_until_cancelled(self.config.mailer.answers());
                let Some(answers) = asked.await else { break };
                server = if answers { Server::Takes } else { Server::Away };
            } else {
                silent_since = Instant::now();
            }
            match server {
                Server::Takes => {
                    silent = 0;
                    if std::mem::take(&mut is_away) {
                        next_look = Instant::now();
                    }
                    away.reset();
                    self.note(|status| &mut status.server, None);
                }
                Server::Away => {
                    (silent, is_away) = (0, true);
                    next_look = Instant::now() + away.pause().min(ASK_INTERVAL);
                    self.note(|status| &mut status.server, Some(silent_since));
                }
                Server::Silent | Server::Unknown => {}
            }
        }
        let finished = async { while sending.join_next().await.is_some() {} };
        let _in_time_or_not = tokio::time::timeout(STOP_PATIENCE, finished).await;
    }

    /// Recipients whose hour is over leave nothing behind.
    async fn forget_hours(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(FORGET_EVERY)).await.is_some() {
            if let Err(error) = quota::forget(&self.pool).await {
                tracing::warn!(%error, "recipients whose hour is over cannot be forgotten yet");
            }
        }
    }

    /// Settles a mail in its place, and aside when that takes long. Also whether the mail was tried before.
    async fn settle_in(
        self: Arc<Self>,
        taken: Taken,
        place: Place,
        places: Arc<Places>,
    ) -> (bool, Server) {
        let is_again = taken.is_again();
        let give_up = CancellationToken::new();
        let mut settling = pin!(self.settle(taken, &give_up));
        if let Ok(server) = tokio::time::timeout(SLOW_AFTER, &mut settling).await {
            return (is_again, server);
        }
        let _aside = places.step_aside(place, give_up.clone());
        self.look.notify_one();
        (is_again, settling.await)
    }

    /// Since when a part of the notifier does not get on, if it does not.
    fn note(
        &self,
        part: impl Fn(&mut NotifyStatus) -> &mut Option<Instant>,
        stands_since: Option<Instant>,
    ) {
        self.status.send_if_modified(|status| {
            let known = part(status);
            let changes = known.is_some() != stands_since.is_some();
            if changes {
                *known = stands_since;
            }
            changes
        });
    }

    /// Tries to send a mail that we hold the lease of, and records what became of it.
    async fn settle(&self, taken: Taken, give_up: &CancellationToken) -> Server {
        let deadline = Instant::now() + self.config.lease;
        let sent = self.send(&taken, give_up).await;
        let server = match &sent {
            Err(Unsendable::Mailbox { is_silent: true, .. }) => Server::Silent,
            Ok(()) | Err(Unsendable::Refused(_) | Unsendable::Mailbox { .. }) => Server::Takes,
            Err(Unsendable::Away(_)) => Server::Away,
            Err(_) => Server::Unknown,
        };
        let recorded = match sent {
            Ok(()) => self.record_sent(&taken, deadline).await,
            Err(why) => self.record_unsent(&taken, why).await,
        };
        if let Err(error) = recorded {
            let position = taken.mail.position;
            tracing::warn!(event.position = position.get(), %error, "a mail's record cannot be reached");
        }
        server
    }

    /// Asks who is to be told, and tells them, each in half of the lease at most: so whoever takes the
    /// lease over does not meet us at work.
    async fn send(&self, taken: &Taken, give_up: &CancellationToken) -> Result<(), Unsendable> {
        let mail = &taken.mail;
        let quarter = self.config.lease / 4;
        let Letter { email, name, recipient, text } =
            match tokio::time::timeout(quarter, self.letter(mail)).await {
                Ok(Ok(Some(letter))) => letter,
                Ok(Ok(None)) => return Err(Unsendable::Erased),
                Ok(Err(error)) => return Err(Unsendable::Unknown(error.to_string())),
                Err(_) => {
                    return Err(Unsendable::Unknown("the directory took too long".to_owned()));
                }
            };
        let to = (&email, name.as_ref());
        let message = mailer::compose(&self.config.sender, &mail.message_id, to, text)
            .map_err(Unsendable::Refused)?;
        let address = email.as_str();
        self.mailboxes.offer(address).map_err(|pause| Unsendable::Resting { pause })?;
        let most = self.config.mails_an_hour;
        let crowded = match quota::take(&self.pool, &recipient, most).await {
            Ok(Ok(())) => None,
            Ok(Err(pause)) => Some(Unsendable::Crowded { pause }),
            Err(error) => Some(Unsendable::Unknown(error.to_string())),
        };
        if let Some(crowded) = crowded {
            self.mailboxes.let_go(address);
            return Err(crowded);
        }
        let offered = self.config.mailer.deliver(mail.event_id, &message);
        let offered = give_up.run_until_cancelled(tokio::time::timeout(quarter, offered));
        let delivered = match offered.await {
            Some(Ok(delivered)) => delivered,
            Some(Err(_)) | None => Err(Undelivered::Silent("it took too long".to_owned())),
        };
        if delivered.is_err() {
            // One that cannot be given back is lost for the hour, and nothing else.
            let _given_or_not = quota::give_back(&self.pool, &recipient).await;
        }
        match delivered {
            Ok(()) => {
                self.mailboxes.accepted(address);
                Ok(())
            }
            Err(Undelivered::Mailbox(problem)) => Err(self.rests(address, problem, false)),
            Err(Undelivered::Silent(problem)) => Err(self.rests(address, problem, true)),
            Err(Undelivered::Away(problem)) => {
                self.mailboxes.let_go(address);
                Err(Unsendable::Away(problem))
            }
            Err(Undelivered::Refused(problem)) => {
                self.mailboxes.let_go(address);
                Err(Unsendable::Refused(problem))
            }
        }
    }

    /// Who is to be told, and what.
    async fn letter(&self, mail: &Mail) -> Result<Option<Letter>, DirectoryError> {
        let (about, position) = (mail.about, mail.position);
        Ok(match mail.kind {
            MailKind::Order(news) => {
                let order = self.directory.order_mail(about.into(), position).await?;
                order.map(|order| {
                    let text = order_text(news, &order);
                    let OrderMail { email, name, recipient, .. } = order;
                    Letter { email, name, recipient, text }
                })
            }
            MailKind::Account(news) => {
                let account = self.directory.account_mail(news, about.into(), position).await?;
                account.map(|account| {
                    let text = account_text(news, &account);
                    let AccountMail { email, name, recipient, .. } = account;
                    Letter { email, name, recipient, text }
                })
            }
        })
    }

    /// The mailbox does not take mail now.
    fn rests(&self, address: &str, problem: String, is_silent: bool) -> Unsendable {
        let (first, longest) = (self.config.first_pause, self.config.longest_mailbox_pause);
        let pause = self.mailboxes.refused(address, first, longest);
        Unsendable::Mailbox { problem, pause, is_silent }
    }

    async fn record_unsent(&self, taken: &Taken, why: Unsendable) -> Result<(), sqlx::Error> {
        let (first, longest) = (self.config.first_pause, self.config.longest_mailbox_pause);
        let (unsent, problem, pause) = match why {
            Unsendable::Erased => (Unsent::Skipped, "erased".to_owned(), Duration::ZERO),
            // Nothing was tried, and nothing is to be said.
            Unsendable::Resting { pause } => {
                let problem = "its mailbox rests";
                return ledger::unsent(&self.pool, taken, Unsent::NotNow, problem, pause).await;
            }
            Unsendable::Unknown(problem) => (Unsent::NotNow, problem, first.min(DIRECTORY_PAUSE)),
            Unsendable::Away(problem) => (Unsent::NotNow, problem, Duration::ZERO),
            Unsendable::Crowded { .. } if taken.soft_for >= self.config.soft_patience => {
                (Unsent::Failed, CROWDED.to_owned(), Duration::ZERO)
            }
            Unsendable::Crowded { pause } => (Unsent::Soft, CROWDED.to_owned(), pause),
            Unsendable::Mailbox { problem, .. } if taken.soft_for >= self.config.soft_patience => {
                (Unsent::Failed, problem, Duration::ZERO)
            }
            Unsendable::Mailbox { problem, pause, .. } => (Unsent::Soft, problem, pause),
            Unsendable::Refused(problem) if taken.refusals + 1 >= MAX_REFUSALS => {
                (Unsent::Failed, problem, Duration::ZERO)
            }
            Unsendable::Refused(problem) => {
                (Unsent::Refused, problem, pause_after(taken.refusals + 1, first, longest))
            }
        };
        if unsent == Unsent::Failed {
            // First, so that a mail which nobody offers any more is never without its letter.
            dead_letters::keep(&self.pool, &taken.mail, &problem).await?;
        }
        ledger::unsent(&self.pool, taken, unsent, &problem, pause).await?;
        say(taken, unsent, &problem);
        Ok(())
    }

    /// Between acceptance and this record lies the only duplicate that is possible, so the record
    /// is tried for as long as the lease keeps others away.
    async fn record_sent(&self, taken: &Taken, deadline: Instant) -> Result<(), sqlx::Error> {
        let mail = &taken.mail;
        loop {
            match ledger::sent(&self.pool, mail.event_id).await {
                Err(_) if Instant::now() + RECORD_PAUSE < deadline => {
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        tracing::info!(
            event.position = mail.position.get(), mail.about = %mail.about,
            mail.kind = mail.kind.as_str(), "sent a mail"
        );
        Ok(())
    }
}

/// A mail as it is to be written.
struct Letter {
    email: EmailAddress,
    /// How its reader is called.
    name: Option<Name>,
    /// Under which its reader's mails are counted.
    recipient: String,
    text: MailText,
}

/// What a try says about the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// It answers, whatever it thinks of this mail.
    Takes,
    /// It takes nobody's mail.
    Away,
    /// It said nothing in time, about this mail or at all.
    Silent,
    /// It was not asked.
    Unknown,
}

/// What is recorded of a mail that waits for its recipient's next hour.
const CROWDED: &str = "its recipient has had the mails of an hour";

/// Why a mail was not sent.
enum Unsendable {
    /// Nobody is to be told any more.
    Erased,
    /// Who is to be told is not known yet.
    Unknown(String),
    /// The mailbox was full a moment ago, or is being offered another mail.
    Resting {
        pause: Duration,
    },
    /// Its recipient has had the mails of an hour.
    Crowded {
        pause: Duration,
    },
    Mailbox {
        problem: String,
        pause: Duration,
        /// Nothing was said at all.
        is_silent: bool,
    },
    Away(String),
    Refused(String),
}

fn say(taken: &Taken, unsent: Unsent, problem: &str) {
    let (position, kind) = (taken.mail.position, taken.mail.kind.as_str());
    let about = taken.mail.about;
    match unsent {
        Unsent::Skipped => tracing::info!(
            event.position = position.get(), mail.about = %about, mail.kind = kind,
            "sent no mail, the person was erased"
        ),
        Unsent::Failed => tracing::error!(
            event.position = position.get(), mail.about = %about, mail.kind = kind,
            mail.problem = problem, "a mail was refused again and again: it is a dead letter"
        ),
        Unsent::NotNow | Unsent::Soft | Unsent::Refused => tracing::warn!(
            event.position = position.get(), mail.about = %about, mail.kind = kind,
            mail.attempt = taken.attempt, mail.problem = problem,
            "a mail was not taken; it is tried again"
        ),
    }
}

impl<D: Directory> Handler for Notifier<D> {
    fn gets_on(&self, gets_on: bool) {
        self.note(|status| &mut status.events, (!gets_on).then(Instant::now));
    }

    async fn handle(&self, delivery: &Delivery) -> Settled {
        let event = &delivery.event;
        let Some(kind) = MailKind::of(event) else { return Settled::Done };
        let Ok(about) = event.aggregate_id().parse() else {
            // Nobody can be told about what has no id; sending it round for ever would help nobody
            // either.
            tracing::error!(event.position = event.position.get(), "an event names nothing");
            return Settled::Done;
        };
        let mail = Mail {
            event_id: event.id,
            position: event.position,
            about,
            kind,
            message_id: self.config.sender.message_id(event.id),
        };
        let queued = ledger::enqueue(&self.pool, &mail).await;
        self.note(|status| &mut status.events, queued.as_ref().err().map(|_| Instant::now()));
        match queued {
            Ok(()) => {
                self.look.notify_one();
                Settled::Done
            }
            Err(error) => {
                tracing::warn!(event.position = event.position.get(), %error, "a mail cannot be queued");
                Settled::Again { after: DATABASE_PAUSE }
            }
        }
    }
}
