//! From an event to a mail: an event puts a mail into the queue, and whatever is due is sent.

use super::config::{NotifyConfig, NotifyStatus};
use super::ledger::{self, Mail, Taken};
use super::mailboxes::Mailboxes;
use super::places::{Place, Places};
use super::settle::Server;
use super::{Directory, MailKind, dead_letters, quota};
use crate::consumer::{Consumer, ConsumerConfig, Delivery, Handler, Settled};
use async_nats::Client;
use domain::EventSource;
use follow::backoff::Backoff;
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
/// How long to wait after PostgreSQL did not answer.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);
/// How many events are put into the queue at a time.
const QUEUED_AT_ONCE: usize = 64;
/// When an event is delivered again that was not put into the queue.
const QUEUE_PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked for mails that are due: after a pause, or left by a worker that died.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long what is being sent may take when the worker is asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(4);
/// How often recipients are forgotten whose hour is over.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Puts the mail that an event causes into the queue, as the [`Handler`] of the notification worker, and
/// sends what is due.
#[derive(Debug)]
pub struct Notifier<D> {
    pub(super) pool: PgPool,
    pub(super) directory: D,
    pub(super) config: NotifyConfig,
    pub(super) mailboxes: Mailboxes,
    /// Something came into the queue, or there is room again.
    look: Notify,
    status: watch::Sender<NotifyStatus>,
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
