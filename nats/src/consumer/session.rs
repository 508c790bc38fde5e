//! One use of the durable, from finding or making it until it is gone or the consumer stops.

use super::{Consumer, Delivery, Handler, Settled, Trouble, positions, trouble};
use crate::epoch;
use crate::public_event::PublicEvent;
use crate::stream::{event_id, foreign_epoch};
use async_nats::connection::State;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info, PullConsumer, pull};
use async_nats::jetstream::context::{ConsumerInfoErrorKind, ContextBuilder};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{AckKind, Message};
use domain::{Cursor, EventSource, Position};
use follow::patience::within;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a JetStream request may take.
const REQUEST_PATIENCE: Duration = Duration::from_secs(3);
/// How often the cursor is saved and the durable looked after. A stream that was wiped, and a
/// durable with it, is noticed within this time.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How often the server says that an idle pull still stands, and how long a pull stands.
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// How many events may be delivered or put off and not settled. When that many wait for a mail
/// server, newer ones wait in the stream.
const MAX_UNSETTLED: i64 = 1000;
/// How long to wait before an event is delivered again that could not be read.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(30);
/// How long what is being handled may take when the consumer is asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

impl<S: EventSource> Consumer<S> {
    /// Works until `stop` (then `Ok`) or until something is wrong. `works` is called when the
    /// durable stands.
    pub(super) async fn session<H: Handler>(
        &self,
        handler: &H,
        stop: &CancellationToken,
        mut works: impl FnMut(),
    ) -> Result<(), Trouble> {
        let begun = stop.run_until_cancelled(self.begin(handler)).await;
        let Some((stream, durable, begun)) = begun.transpose()? else { return Ok(()) };
        let cursor = AtomicU64::new(begun.position.get());
        works();
        let mut messages = durable
            .stream()
            .max_messages_per_batch(self.config.concurrency)
            .heartbeat(PULL_HEARTBEAT)
            .expires(PULL_EXPIRES)
            .messages()
            .await
            .map_err(trouble)?;
        let mut handling = FuturesUnordered::new();
        let pump = async {
            loop {
                tokio::select! {
                    Some(()) = handling.next(), if !handling.is_empty() => {}
                    message = messages.next(), if handling.len() < self.config.concurrency => {
                        match message {
                            Some(Ok(message)) => {
                                handling.push(self.settle(handler, message, &cursor));
                            }
                            Some(Err(error)) => return trouble(error),
                            None => return trouble("the durable's messages ended"),
                        }
                    }
                }
            }
        };
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            trouble = pump => Err(trouble),
            trouble = self.look_after(&stream, begun, &cursor) => Err(trouble),
        };
        // What was pulled and not begun is delivered again; what was begun is finished, for it may
        // have had its effect already. Only who wants to stop does not wait for ever.
        let finished = async { while handling.next().await.is_some() {} };
        let stopped = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_PATIENCE).await;
        };
        tokio::select! {
            () = finished => {}
            () = stopped => {}
        }
        ended
    }

    /// Finds the stream, reads what it does not hold any more, and finds or makes the durable.
    async fn begin<H: Handler>(
        &self,
        handler: &H,
    ) -> Result<(Stream, PullConsumer, Cursor), Trouble> {
        // A request made while disconnected would reach the server when nobody means it any more.
        if self.client.connection_state() != State::Connected {
            return Err(Trouble::Disconnected);
        }
        let jetstream = ContextBuilder::new().timeout(REQUEST_PATIENCE).build(self.client.clone());
        let stream = jetstream.get_stream(&self.config.stream.name).await.map_err(trouble)?;
        if foreign_epoch(stream.cached_info(), within(epoch::current(&self.pool)).await?).is_some()
        {
            return Err(Trouble::OtherHistory);
        }
        let mut cursor = self.cursor(&stream).await?;
        let first = Position::new(stream.cached_info().state.first_sequence);
        if first > cursor.position.next() {
            cursor = self.close_gap(handler, cursor, first).await?;
        }
        let durable = self.durable(&stream, cursor.position).await?;
        Ok((stream, durable, cursor))
    }

    /// Where the consumer stands in this journal.
    async fn cursor(&self, stream: &Stream) -> Result<Cursor, Trouble> {
        let name = &self.config.name;
        let cursor = within(positions::load(&self.pool, name)).await?;
        if cursor.position == Position::START {
            return Ok(cursor);
        }
        let there = self.source.event_at(cursor.position).await?;
        let is_ours = |id| cursor.event_id.is_none_or(|believed| believed == id);
        if there.is_some_and(|event| is_ours(event.event_id)) {
            return Ok(cursor);
        }
        tracing::error!(
            nats.consumer = %name,
            event.position = cursor.position.get(),
            "the journal tells another history than this consumer has seen; every event is given its \
             effect again, where it has not had it"
        );
        // Whatever was delivered is of that history; without it nothing below the new start is asked
        // for any more.
        if self.info(stream).await?.is_some() {
            stream.delete_consumer(name).await.map_err(trouble)?;
        }
        within(positions::begin_anew(&self.pool, name, cursor)).await?;
        Ok(Cursor::START)
    }

    async fn durable(&self, stream: &Stream, cursor: Position) -> Result<PullConsumer, Trouble> {
        let name = &self.config.name;
        let wanted = self.durable_config(cursor);
        if let Some(info) = self.info(stream).await? {
            if same_purpose(&info, &wanted) {
                return stream.get_consumer(name).await.map_err(trouble);
            }
            // An older build's durable. The cursor is ours, so nothing is lost with it.
            tracing::info!(nats.consumer = %name, "a durable is made again, it filters differently");
            stream.delete_consumer(name).await.map_err(trouble)?;
        }
        tracing::info!(nats.consumer = %name, event.position = cursor.get(), "made a durable after a position");
        stream.create_consumer(wanted).await.map_err(trouble)
    }

    fn durable_config(&self, cursor: Position) -> pull::Config {
        let subjects = self.config.events.iter();
        pull::Config {
            durable_name: Some(self.config.name.clone()),
            // A start behind the stream's end is taken as its end; what comes up to the cursor is
            // then recognised by its position.
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: cursor.next().get() },
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.config.ack_wait,
            // For ever: an event that cannot have its effect waits, it is never dropped.
            max_deliver: -1,
            max_ack_pending: MAX_UNSETTLED,
            filter_subjects: subjects
                .map(|(aggregate, event)| self.config.stream.subject(aggregate, event))
                .collect(),
            ..pull::Config::default()
        }
    }

    async fn info(&self, stream: &Stream) -> Result<Option<Info>, Trouble> {
        match stream.consumer_info(&self.config.name).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(error)),
        }
    }

    /// Saves how far the durable has got, again and again, until something is wrong with it.
    async fn look_after(&self, stream: &Stream, begun: Cursor, position: &AtomicU64) -> Trouble {
        let mut cursor = begun;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            match self.check(stream, cursor).await {
                Ok(settled) => cursor = settled,
                Err(trouble) => return trouble,
            }
            position.store(cursor.position.get(), Ordering::Relaxed);
        }
    }

    async fn check(&self, stream: &Stream, cursor: Cursor) -> Result<Cursor, Trouble> {
        let Some(info) = self.info(stream).await? else {
            return Err(trouble("the durable is gone"));
        };
        let first = stream.get_info().await.map_err(trouble)?.state.first_sequence;
        let first = Position::new(first);
        // Everything up to here was acknowledged, which happens after the effect, or is not wanted.
        let settled = match Position::new(info.ack_floor.stream_sequence) {
            floor if floor > cursor.position => self.settled(stream, cursor, floor).await?,
            _ => cursor,
        };
        if first > settled.position.next() { Err(Trouble::Gap) } else { Ok(settled) }
    }

    /// Saves that everything up to a message had its effect, if that message is the journal's event.
    async fn settled(
        &self,
        stream: &Stream,
        cursor: Cursor,
        floor: Position,
    ) -> Result<Cursor, Trouble> {
        let delivered = match stream.get_raw_message(floor.get()).await {
            Ok(message) => event_id(&message.headers),
            // A message that was lost says nothing; a later one will.
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(cursor);
            }
            Err(error) => return Err(trouble(error)),
        };
        match self.source.event_at(floor).await? {
            Some(event) if delivered == Some(event.event_id) => {
                let settled = Cursor::behind(&event);
                within(positions::advance(&self.pool, &self.config.name, settled)).await?;
                Ok(settled)
            }
            _ => Err(Trouble::OtherHistory),
        }
    }

    /// Handles one message and tells the server what became of it. An answer that is lost only
    /// means that it is delivered again.
    async fn settle<H: Handler>(&self, handler: &H, message: Message, cursor: &AtomicU64) {
        let Ok((position, delivered)) =
            message.info().map(|info| (Position::new(info.stream_sequence), info.delivered))
        else {
            return;
        };
        let settled = if position.get() <= cursor.load(Ordering::Relaxed) {
            Settled::Done
        } else {
            match self.read(&message, position).await {
                Some(event) => {
                    let delivered = u64::try_from(delivered).unwrap_or(1).max(1);
                    handler.handle(&Delivery { event, delivered }).await
                }
                None => Settled::Again { after: UNREADABLE_PAUSE },
            }
        };
        let answer = match settled {
            Settled::Done => AckKind::Ack,
            Settled::Again { after } => AckKind::Nak(Some(after)),
        };
        if let Err(error) = message.ack_with(answer).await {
            tracing::debug!(event.position = position.get(), %error, "an acknowledgement was not sent");
        }
    }

    /// The event of a message; the journal's when the message holds only a stub, or nonsense.
    async fn read(&self, message: &Message, position: Position) -> Option<PublicEvent<'static>> {
        match serde_json::from_slice::<PublicEvent>(&message.payload) {
            Ok(event) if event.position == position && !event.oversized => Some(event),
            _ => match self.read_journal(position).await {
                Ok(event @ Some(_)) => event,
                Ok(None) => {
                    tracing::error!(
                        event.position = position.get(),
                        "a message is no event of the journal; it is put off until that is repaired"
                    );
                    None
                }
                Err(error) => {
                    tracing::warn!(event.position = position.get(), %error, "an event could not be read");
                    None
                }
            },
        }
    }
}

/// Whether a durable that is there delivers what ours would.
fn same_purpose(info: &Info, wanted: &pull::Config) -> bool {
    let there = &info.config;
    let mut subjects = there.filter_subjects.clone();
    if !there.filter_subject.is_empty() {
        subjects.push(there.filter_subject.clone());
    }
    let mut wanted_subjects = wanted.filter_subjects.clone();
    subjects.sort();
    wanted_subjects.sort();
    subjects == wanted_subjects
        && there.ack_policy == wanted.ack_policy
        && there.ack_wait == wanted.ack_wait
        && there.max_deliver == wanted.max_deliver
}
