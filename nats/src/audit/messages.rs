//! Reads a stream from the front, in batches, without disturbing anybody.

use super::{AuditError, REQUEST_PATIENCE, error};
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::Stream;
use futures::StreamExt;
use std::time::Duration;

/// How many messages are asked for at once: at the server's limit of 1 MB a message this is what
/// bounds the memory, and the round trip is hidden well enough.
const BATCH: usize = 128;
/// How often a batch is asked for again after trouble: a cluster that elects a leader is waited
/// for, a server that is gone is not.
const MAX_TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_secs(1);
/// When the server may forget the consumer of an audit that was cut off.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

pub(super) struct Messages<'a> {
    stream: &'a Stream,
    next: u64,
    consumer: Option<Consumer>,
}

/// Nobody else uses it, and it keeps no record of what was delivered: what gets lost on the way is
/// seen by its number, and read again through another one.
struct Consumer {
    consumer: PullConsumer,
    delivered: u64,
    pending: u64,
}

impl<'a> Messages<'a> {
    pub(super) fn from(stream: &'a Stream, first: u64) -> Self {
        Self { stream, next: first.max(1), consumer: None }
    }

    /// The next messages, each with its sequence; empty when there are no more.
    pub(super) async fn batch(&mut self) -> Result<Vec<(u64, Message)>, AuditError> {
        let mut tries = 0;
        loop {
            let late = || Err(error("no answer in time"));
            let batch = tokio::time::timeout(REQUEST_PATIENCE, self.fetch()).await;
            match batch.unwrap_or_else(|_| late()) {
                Ok(batch) => return Ok(batch),
                Err(error) => {
                    self.consumer = None;
                    tries += 1;
                    if tries == MAX_TRIES {
                        return Err(error);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<Vec<(u64, Message)>, AuditError> {
        let Consumer { consumer, delivered, pending } = match &mut self.consumer {
            Some(consumer) => consumer,
            none => none.insert(open(self.stream, self.next).await?),
        };
        let mut batch = Vec::new();
        if *pending == 0 {
            return Ok(batch);
        }
        let mut messages = consumer.fetch().max_messages(BATCH).messages().await.map_err(error)?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(error)?;
            let info = message.info().map_err(error)?;
            let sequence = info.stream_sequence;
            *delivered += 1;
            if info.consumer_sequence != *delivered {
                return Err(error("messages were lost on their way"));
            }
            *pending = info.pending;
            batch.push((sequence, message));
        }
        match batch.last() {
            Some((last, _)) => self.next = last + 1,
            None => return Err(error("the server keeps messages back")),
        }
        Ok(batch)
    }
}

async fn open(stream: &Stream, start_sequence: u64) -> Result<Consumer, AuditError> {
    let config = pull::Config {
        description: Some("gomall audit".to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGOTTEN_AFTER,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(error)?;
    let pending = consumer.cached_info().num_pending;
    Ok(Consumer { consumer, delivered: 0, pending })
}
