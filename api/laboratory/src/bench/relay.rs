//! `gomall bench relay`: how fast a journal is copied into a stream.
//!
//! The anchor `publish` sends the same messages from memory, with the same number in flight and
//! nothing read, compared or fenced: what the broker and its client allow.

use super::measure::{Case, Round};
use anyhow::Context as _;
use async_nats::jetstream;
use commands::journal::JournalReader;
use domain::{Cursor, EventSource, Position};
use follow::elections::Elections;
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use nats::{Relay, RelayConfig, StreamConfig, write_public_event};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Publishes of the anchor in flight; as many as the relay has.
const IN_FLIGHT: usize = 512;

/// Events that the anchor reads at once while it prepares.
const READ_EVENTS: usize = 1_000;

/// What both cases need.
#[derive(Clone)]
pub(super) struct Broker {
    pub(super) pool: PgPool,
    pub(super) client: async_nats::Client,
    /// The journal's last position.
    pub(super) head: Position,
}

impl Broker {
    /// The whole journal, through a relay, into a stream of the round's own.
    pub(super) fn relay(&self) -> Box<dyn Case> {
        Box::new(Copying(self.clone()))
    }

    /// The same messages from memory.
    pub(super) async fn publish(&self) -> anyhow::Result<Box<dyn Case>> {
        let reader = JournalReader::new(self.pool.clone(), watch::channel(Position::START).1);
        let (mut messages, mut after) = (vec![], Cursor::START);
        while after.position < self.head {
            for event in reader.read_after(after, READ_EVENTS).await? {
                after = Cursor::behind(&event);
                let mut body = vec![];
                write_public_event(&event, &mut body);
                messages.push((format!("{}.{}", event.aggregate_type, event.event_type), body));
            }
        }
        Ok(Box::new(Publishing { broker: self.clone(), messages }))
    }

    fn per_second(&self, begun: Instant) -> Round {
        let per_second = self.head.get() as f64 / begun.elapsed().as_secs_f64();
        Round { per_second, p50_us: None, p99_us: None }
    }
}

struct Copying(Broker);

impl Copying {
    async fn copy(&self, round: u32) -> anyhow::Result<Round> {
        let Broker { pool, client, head } = &self.0;
        let reader = JournalReader::new(pool.clone(), watch::channel(*head).1);
        let stream = StreamConfig::named(&format!("bench-relay-{round}"));
        let name = stream.name.clone();
        let config = RelayConfig { stream, ..RelayConfig::default() };
        let stop = CancellationToken::new();
        let elections =
            Elections::start(pool.connect_options().as_ref().clone(), stop.child_token());
        let relay =
            Relay::new(Arc::new(reader), pool.clone(), client.clone(), elections.clone(), config);
        let mut status = relay.status();
        let begun = Instant::now();
        let told = stop.clone();
        let working = tokio::spawn(async move { relay.run(told).await });
        status.wait_for(|status| status.published_position >= Some(*head)).await?;
        let round = self.0.per_second(begun);
        stop.cancel();
        working.await?;
        jetstream::new(client.clone()).delete_stream(name).await?;
        Ok(round)
    }
}

impl Case for Copying {
    fn name(&self) -> &'static str {
        "relay"
    }

    fn clients(&self) -> usize {
        1
    }

    fn round(&mut self, round: u32, _length: Duration) -> BoxFuture<'_, anyhow::Result<Round>> {
        self.copy(round).boxed()
    }
}

struct Publishing {
    broker: Broker,
    messages: Vec<(String, Vec<u8>)>,
}

impl Publishing {
    async fn publish(&self, round: u32) -> anyhow::Result<Round> {
        let jetstream = jetstream::new(self.broker.client.clone());
        let name = format!("bench-publish-{round}");
        let config = jetstream::stream::Config {
            name: name.clone(),
            subjects: vec![format!("{name}.>")],
            ..Default::default()
        };
        jetstream.create_stream(config).await?;
        let messages: Vec<_> = self
            .messages
            .iter()
            .map(|(subject, body)| (format!("{name}.{subject}"), body.clone().into()))
            .collect();
        let begun = Instant::now();
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            let mut acknowledged = Vec::with_capacity(IN_FLIGHT);
            for (subject, body) in messages.by_ref().take(IN_FLIGHT) {
                acknowledged.push(jetstream.publish(subject, body).await?.into_future());
            }
            try_join_all(acknowledged).await.context("a publish was not acknowledged")?;
        }
        let round = self.broker.per_second(begun);
        jetstream.delete_stream(name).await?;
        Ok(round)
    }
}

impl Case for Publishing {
    fn name(&self) -> &'static str {
        "publish"
    }

    fn clients(&self) -> usize {
        1
    }

    fn round(&mut self, round: u32, _length: Duration) -> BoxFuture<'_, anyhow::Result<Round>> {
        self.publish(round).boxed()
    }
}
