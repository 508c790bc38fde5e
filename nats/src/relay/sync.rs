//! Compares the stream with the journal, and makes it again where it can only be made again.

use super::{Divergence, Trouble};
use crate::stream::{EPOCH_METADATA, EVENT_ID_HEADER, StreamConfig, existing};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind, Stream};
use domain::{EventSource, RecordedEvent};
use std::fmt::Display;
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// What the comparison showed.
pub(super) enum Standing {
    /// The stream is the beginning of the journal, up to a position.
    Copy(Copy),
    /// It is not.
    Diverged(Divergence),
}

/// A stream that is the beginning of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    /// Publishing goes on after this position.
    pub(super) position: u64,
    /// Where the stream begins.
    pub(super) first: u64,
    /// How many of the messages between are missing; only when it may not be filled again.
    pub(super) missing: u64,
    /// Whether it was made again because it had lost messages.
    pub(super) refilled: bool,
    /// When the server made it: one that is deleted and made again has its name, and another time.
    pub(super) created: OffsetDateTime,
    /// The journal's.
    pub(super) epoch: Uuid,
}

impl Copy {
    /// Whether the stream is still the one that was compared, and has everything up to `stored`.
    pub(super) fn is_still(&self, info: &Info, stored: u64) -> Result<(), Trouble> {
        if info.created != self.created || foreign_epoch(info, self.epoch).is_some() {
            return Err(Trouble::Replaced);
        }
        if info.state.last_sequence < stored || missing(info, self.first) > self.missing {
            return Err(Trouble::Incomplete);
        }
        Ok(())
    }
}

pub(super) struct Synchronizer<'a, S> {
    pub(super) source: &'a S,
    pub(super) jetstream: &'a Context,
    pub(super) config: &'a StreamConfig,
    pub(super) epoch: Uuid,
    /// Whether a stream that has lost messages may be made again.
    pub(super) may_refill: bool,
}

impl<S: EventSource> Synchronizer<'_, S> {
    pub(super) async fn run(&self) -> Result<Standing, Trouble> {
        // A journal may have been cut in front; the stream then begins where the journal does.
        let first = self.event_after(0).await?.map_or(1, |event| event.position);
        match existing(self.jetstream, &self.config.name).await.map_err(trouble)? {
            None => self.create(first, false).await.map(Standing::Copy),
            Some(stream) => {
                let standing = self.compare(&stream, first).await?;
                if matches!(&standing, Standing::Copy(copy) if !copy.refilled) {
                    self.correct(&stream).await;
                }
                Ok(standing)
            }
        }
    }

    async fn compare(&self, stream: &Stream, first: u64) -> Result<Standing, Trouble> {
        let info = stream.cached_info();
        if let Some(foreign) = foreign_epoch(info, self.epoch) {
            return Ok(Standing::Diverged(foreign));
        }
        let last = info.state.last_sequence;
        if last >= first {
            let journal = self.event_after(last - 1).await?.filter(|it| it.position == last);
            let Some(journal) = journal else {
                return Ok(Standing::Diverged(Divergence::Ahead { stream_position: last }));
            };
            // A stream that was emptied still knows its last sequence, but not which event it was.
            if let Some(message) = message(stream, last).await? {
                let stream_event = event_id(&message);
                if stream_event != Some(journal.event_id) {
                    return Ok(Standing::Diverged(Divergence::Forked {
                        position: last,
                        journal_event: journal.event_id,
                        stream_event,
                    }));
                }
            }
        }
        let missing = missing(info, first);
        if missing == 0 && last + 1 >= first {
            return Ok(Standing::Copy(self.copy(info, last, first)));
        }
        if self.may_refill || last + 1 < first {
            tracing::warn!(
                nats.stream = %self.config.name,
                nats.messages_missing = missing,
                "the stream has lost messages and is filled again from the journal"
            );
            return self.recreate(first).await.map(Standing::Copy);
        }
        tracing::error!(
            nats.stream = %self.config.name,
            nats.messages_missing = missing,
            "the stream has lost messages again, soon after it was filled; somebody deletes them"
        );
        Ok(Standing::Copy(self.copy(info, last, first)))
    }

    async fn create(&self, first: u64, refilled: bool) -> Result<Copy, Trouble> {
        let config = self.config.to_create(first, self.epoch);
        let stream = self.jetstream.create_stream(config).await.map_err(trouble)?;
        // Somebody else may have made it a moment earlier and put something into it.
        let info = stream.cached_info();
        if info.state.messages > 0 {
            return Err(Trouble::JetStream("the stream was made by somebody else".to_owned()));
        }
        tracing::info!(nats.stream = %self.config.name, event.position = first, "made the stream");
        Ok(Copy { refilled, ..self.copy(info, first - 1, first) })
    }

    fn copy(&self, info: &Info, position: u64, first: u64) -> Copy {
        let missing = missing(info, first);
        let (created, epoch) = (info.created, self.epoch);
        Copy { position, first, missing, refilled: false, created, epoch }
    }

    async fn recreate(&self, first: u64) -> Result<Copy, Trouble> {
        self.jetstream.delete_stream(&self.config.name).await.map_err(trouble)?;
        self.create(first, true).await
    }

    /// Brings back what somebody has configured otherwise. Not being able to is no reason to stop
    /// publishing.
    async fn correct(&self, stream: &Stream) {
        let existing = &stream.cached_info().config;
        let wanted = self.config.corrected(existing.clone(), self.epoch);
        if wanted == *existing {
            return;
        }
        match self.jetstream.update_stream(wanted).await {
            Ok(_) => {
                tracing::info!(nats.stream = %self.config.name, "corrected the stream's configuration")
            }
            Err(error) => tracing::warn!(
                nats.stream = %self.config.name, %error,
                "the stream is not configured as it should be"
            ),
        }
    }

    async fn event_after(&self, position: u64) -> Result<Option<Arc<RecordedEvent>>, Trouble> {
        Ok(self.source.read_after(position, 1).await?.into_iter().next())
    }
}

/// That the stream was made for another journal; a stream that does not say is taken for ours.
fn foreign_epoch(info: &Info, journal_epoch: Uuid) -> Option<Divergence> {
    let stream_epoch = info.config.metadata.get(EPOCH_METADATA)?.clone();
    (stream_epoch != journal_epoch.to_string())
        .then_some(Divergence::ForeignEpoch { journal_epoch, stream_epoch })
}

/// How many messages from `first` to the stream's last are not there.
fn missing(info: &Info, first: u64) -> u64 {
    let expected = (info.state.last_sequence + 1).saturating_sub(first);
    expected.saturating_sub(info.state.messages)
}

async fn message(stream: &Stream, sequence: u64) -> Result<Option<StreamMessage>, Trouble> {
    match stream.get_raw_message(sequence).await {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            _ => Err(trouble(error)),
        },
    }
}

fn event_id(message: &StreamMessage) -> Option<Uuid> {
    Uuid::try_parse(message.headers.get(EVENT_ID_HEADER)?.as_str()).ok()
}

pub(super) fn trouble(error: impl Display) -> Trouble {
    Trouble::JetStream(error.to_string())
}
