//! Publishes event after event, with a bounded number of them on their way.
//!
//! The stream takes every event only directly behind the one before. So the acknowledgement of
//! position *n* speaks for all before it as well, and one refusal makes the server refuse everything
//! behind it: only the first and the last event of a burst ask for an answer, and there is nothing to
//! keep for each message. All answers come to one subscription.
//!
//! That holds as long as nobody else publishes. A foreign message takes the place of one of ours, and
//! those behind it are taken again: the first of a burst hears of one that came while the relay had
//! nothing to do, and a regular look compares what was published since the last one, and some of what
//! was published before, with the journal.

use super::sync::{Copy, divergence, trouble};
use super::{RelayStatus, Trouble};
use crate::public_event::{write_public_event, write_stub};
use crate::stream::{AGGREGATE_ID_HEADER, EVENT_ID_HEADER, StreamConfig, aggregate_id_header};
use async_nats::connection::State;
use async_nats::header::{HeaderName, NATS_EXPECTED_LAST_SEQUENCE};
use async_nats::jetstream::context::Context;
use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, Subscriber};
use domain::{Cursor, EventSource, Position, RecordedEvent, SourceError};
use futures::{FutureExt, StreamExt};
use serde::Deserialize;
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

/// How many events may be on their way. Enough to hide the round trip at 50,000 events a second;
/// more only makes the server queue.
pub(super) const MAX_IN_FLIGHT: u64 = 512;
/// How many events are sent at once, before answers are looked at again. The first and the last ask for
/// one: an answer to every event costs the server and us more than the event.
const BURST: usize = 64;
/// How many events are read from the journal at once.
const READ_BATCH: usize = 256;
/// How many such batches wait to be published.
const READ_AHEAD: usize = 2;
/// When nothing on its way was acknowledged for so long, something is wrong.
const ACK_PATIENCE: Duration = Duration::from_secs(5);
/// After a refusal, how long to wait for the answers that are still on their way. Only saves a
/// round: a straggler could do no harm.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);
/// How often to look whether the stream is still what it was. Without publishing nothing else would
/// show that it was wiped.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// How many of the messages since the last look are compared with the journal, the newest first: all
/// of them up to some hundred events a second.
const COMPARED_NEW: u64 = 256;
/// How many messages from before are compared at each look, anywhere in the stream.
const COMPARED_OLD: usize = 8;
/// What the headers and their framing take of the server's largest message.
const HEADER_ALLOWANCE_BYTES: usize = 512;

/// Made once: a name that is given as text is checked and copied for every message.
const EVENT_ID: HeaderName = HeaderName::from_static(EVENT_ID_HEADER);
const AGGREGATE_ID: HeaderName = HeaderName::from_static(AGGREGATE_ID_HEADER);

type Batch = Result<Vec<Arc<RecordedEvent>>, SourceError>;

pub(super) struct Publisher<'a, S> {
    pub(super) source: &'a Arc<S>,
    pub(super) client: &'a Client,
    pub(super) jetstream: &'a Context,
    pub(super) config: &'a StreamConfig,
    pub(super) status: &'a watch::Sender<RelayStatus>,
}

/// What is on its way.
struct Window {
    sent: Position,
    stored: Position,
    unanswered: u64,
    progress_at: Instant,
    /// Everything up to here was published when the last look was taken.
    looked_at: Position,
}

/// What an iteration showed.
enum Step {
    On,
    /// The way to the stream is open.
    Proof,
}

/// The server's answer to a publish.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    seq: u64,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl<S: EventSource> Publisher<'_, S> {
    /// Publishes what comes after the copy, for ever or until it cannot go on. `works` is called
    /// when that is proven to work: by an acknowledgement, or by a quiet interval.
    pub(super) async fn run(&self, copy: Copy, mut works: impl FnMut()) -> Trouble {
        let inbox = Subject::from(self.client.new_inbox());
        let mut answers = match self.client.subscribe(inbox.clone()).await {
            Ok(answers) => answers,
            Err(error) => return trouble(error),
        };
        let mut window = Window {
            sent: copy.cursor.position,
            stored: copy.cursor.position,
            unanswered: 0,
            progress_at: Instant::now(),
            looked_at: copy.cursor.position,
        };
        let trouble = self.publish(&copy, &inbox, &mut answers, &mut window, &mut works).await;
        if !matches!(trouble, Trouble::Disconnected) {
            let drained = async {
                while window.unanswered > 0 && answers.next().await.is_some() {
                    window.unanswered -= 1;
                }
            };
            let _in_time_or_not = tokio::time::timeout(DRAIN_PATIENCE, drained).await;
        }
        trouble
    }

    async fn publish(
        &self,
        copy: &Copy,
        inbox: &Subject,
        answers: &mut Subscriber,
        window: &mut Window,
        works: &mut impl FnMut(),
    ) -> Trouble {
        let mut batches = read_ahead(Arc::clone(self.source), copy.cursor);
        let mut waiting: VecDeque<Arc<RecordedEvent>> = VecDeque::new();
        let mut proven = false;
        let mut checks = tokio::time::interval_at(Instant::now() + CHECK_INTERVAL, CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                biased;
                _ = checks.tick() => self.check(copy, window).await,
                answer = answers.next(), if window.unanswered > 0 => match answer {
                    Some(answer) => self.take_all(answer, answers, window),
                    None => Err(Trouble::Disconnected),
                },
                batch = batches.recv(), if waiting.is_empty() => match batch {
                    Some(Ok(batch)) => {
                        self.saw(&batch);
                        waiting.extend(batch);
                        Ok(Step::On)
                    }
                    Some(Err(error)) => Err(error.into()),
                    // The reader ends only after it has said why.
                    None => Err(Trouble::Disconnected),
                },
                // Always ready: sends as long as there is room and nothing above is.
                () = std::future::ready(()),
                    if !waiting.is_empty() && window.stored.lag(window.sent) < MAX_IN_FLIGHT =>
                {
                    self.send_some(&mut waiting, inbox, window).await.map(|()| Step::On)
                }
            };
            match done {
                Ok(Step::On) => {}
                Ok(Step::Proof) if proven => {}
                Ok(Step::Proof) => {
                    proven = true;
                    works();
                }
                Err(trouble) => return trouble,
            }
        }
    }

    async fn send_some(
        &self,
        waiting: &mut VecDeque<Arc<RecordedEvent>>,
        inbox: &Subject,
        window: &mut Window,
    ) -> Result<(), Trouble> {
        let room = MAX_IN_FLIGHT.saturating_sub(window.stored.lag(window.sent));
        let burst = waiting.len().min(BURST).min(usize::try_from(room).unwrap_or(BURST));
        for number in 0..burst {
            let Some(event) = waiting.pop_front() else { break };
            let asks = number == 0 || number + 1 == burst;
            self.send(&event, asks.then_some(inbox), window).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        event: &RecordedEvent,
        answer_to: Option<&Subject>,
        window: &mut Window,
    ) -> Result<(), Trouble> {
        if event.position != window.sent.next() {
            return Err(Trouble::Gap { after: window.sent, found: event.position });
        }
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, window.sent.to_string());
        headers.insert(EVENT_ID, event.event_id.to_string());
        if let Some(id) = aggregate_id_header(event) {
            headers.insert(AGGREGATE_ID, id);
        }
        let mut body = Vec::new();
        write_public_event(event, &mut body);
        if body.len() + HEADER_ALLOWANCE_BYTES > self.client.max_payload() {
            tracing::warn!(
                event.position = event.position.get(),
                event.bytes = body.len(),
                "an event is too large for NATS and published without its data"
            );
            body.clear();
            write_stub(event, &mut body);
        }
        if window.unanswered == 0 {
            window.progress_at = Instant::now();
        }
        let subject = self.config.subject_of(event);
        let sending = async {
            let (client, body) = (self.client, body.into());
            match answer_to.cloned() {
                Some(inbox) => {
                    client.publish_with_reply_and_headers(subject, inbox, headers, body).await
                }
                None => client.publish_with_headers(subject, headers, body).await,
            }
        };
        match tokio::time::timeout(ACK_PATIENCE, sending).await {
            Ok(Ok(())) => {
                window.sent = event.position;
                window.unanswered += u64::from(answer_to.is_some());
                Ok(())
            }
            Ok(Err(error)) => Err(trouble(error)),
            Err(_) => Err(Trouble::Disconnected),
        }
    }

    /// Takes an answer and all others that are there already, and then tells how far it is: waking
    /// whoever watches costs more than reading an answer.
    fn take_all(
        &self,
        first: Message,
        answers: &mut Subscriber,
        window: &mut Window,
    ) -> Result<Step, Trouble> {
        let mut next = Some(first);
        while let Some(answer) = next {
            self.take(&answer, window)?;
            next = answers.next().now_or_never().flatten();
        }
        window.progress_at = Instant::now();
        self.status.send_modify(|status| status.published_position = Some(window.stored));
        Ok(Step::Proof)
    }

    fn take(&self, message: &Message, window: &mut Window) -> Result<(), Trouble> {
        window.unanswered = window.unanswered.saturating_sub(1);
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(trouble("the stream is gone"));
        }
        let answer: Answer = serde_json::from_slice(&message.payload).map_err(trouble)?;
        if let Some(Refusal { err_code, description }) = answer.error {
            return Err(trouble(format!("{description} ({err_code})")));
        }
        if answer.stream != self.config.name {
            return Err(trouble(format!("stream {} takes our subjects", answer.stream)));
        }
        let stored = Position::new(answer.seq);
        if stored > window.sent {
            return Err(trouble(format!("sequence {} is not ours", answer.seq)));
        }
        window.stored = window.stored.max(stored);
        Ok(())
    }

    /// Whether publishing still works and the stream is still the copy that it was.
    async fn check(&self, copy: &Copy, window: &mut Window) -> Result<Step, Trouble> {
        if self.client.connection_state() != State::Connected {
            return Err(Trouble::Disconnected);
        }
        if window.unanswered > 0 && window.progress_at.elapsed() > ACK_PATIENCE {
            return Err(trouble("publishing is not acknowledged"));
        }
        let stream = self.jetstream.get_stream(&self.config.name).await.map_err(trouble)?;
        copy.is_still(stream.cached_info(), window.stored)?;
        if Position::new(stream.cached_info().state.last_sequence) > window.sent {
            return Err(trouble("somebody else publishes to the stream"));
        }
        for positions in self.to_compare(copy, window) {
            if let Some(divergence) = divergence(&**self.source, &stream, positions).await? {
                return Err(Trouble::Diverged(divergence));
            }
        }
        window.looked_at = window.stored;
        Ok(if window.unanswered == 0 { Step::Proof } else { Step::On })
    }

    fn to_compare(&self, copy: &Copy, window: &Window) -> Vec<RangeInclusive<Position>> {
        let new = window.looked_at.max(window.stored.minus(COMPARED_NEW)).next();
        let old = if copy.first < new { COMPARED_OLD } else { 0 };
        let somewhere = |_| Position::new(rand::random_range(copy.first.get()..new.get()));
        let anywhere = (0..old).map(somewhere).map(|at| at..=at);
        anywhere.chain([new..=window.stored]).collect()
    }

    fn saw(&self, batch: &[Arc<RecordedEvent>]) {
        if let Some(last) = batch.last() {
            self.status.send_modify(|status| {
                status.seen_position = status.seen_position.max(last.position);
            });
        }
    }
}

/// Reads the journal in a task of its own, so that reading, publishing and acknowledging overlap.
/// It ends after a failure, and when the receiver is dropped, never in the middle of a query.
fn read_ahead<S: EventSource>(source: Arc<S>, mut after: Cursor) -> mpsc::Receiver<Batch> {
    let (send, batches) = mpsc::channel(READ_AHEAD);
    tokio::spawn(async move {
        while !send.is_closed() {
            let batch = source.read_after(after, READ_BATCH).await;
            match &batch {
                Ok(events) => match events.last() {
                    Some(last) => after = Cursor::behind(last),
                    None => {
                        tokio::select! {
                            () = send.closed() => return,
                            () = source.wait_after(after.position) => continue,
                        }
                    }
                },
                Err(_) => {
                    let _nobody_listens = send.send(batch).await;
                    return;
                }
            }
            if send.send(batch).await.is_err() {
                return;
            }
        }
    });
    batches
}
