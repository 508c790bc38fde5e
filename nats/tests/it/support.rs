//! What every test here needs from the servers.

use async_nats::jetstream::context::CreateStreamError;
use async_nats::jetstream::{self, Context, stream};
use async_nats::{Client, HeaderMap};
use compose::testing::{TestStack, eventually};
use domain::{OrderId, Position, RecordedEvent};
use follow::elections::Elections;
use nats::{Relay, RelayConfig, RelayState, RelayStatus, StreamConfig, write_public_event};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use testkit::{Journal, new_id, pool, recorded};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

/// An event of an order.
pub(crate) fn event(
    position: u64,
    order: OrderId,
    event_type: &str,
    payload: &str,
) -> RecordedEvent {
    recorded(Position::new(position), "order", order, event_type, payload)
}

/// A journal, a database and a stream of a test's own.
pub(crate) struct Shop {
    pub(crate) journal: Arc<Journal>,
    pub(crate) pool: PgPool,
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    pub(crate) stream: StreamConfig,
}

/// A relay at work. Dropping it is a crash: nothing is finished.
pub(crate) struct Running {
    pub(crate) status: watch::Receiver<RelayStatus>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let stack = TestStack::shared().await;
        let stream = StreamConfig::named(&stack.unique("journal"));
        Self::on(pool().await, &stack.nats_url(), stream).await
    }

    pub(crate) async fn on(pool: PgPool, nats_url: &str, stream: StreamConfig) -> Self {
        let client = nats::connect(nats_url, "test").await.expect("the address is right");
        eventually("a connection", async || {
            client.connection_state() == async_nats::connection::State::Connected
        })
        .await;
        let jetstream = jetstream::new(client.clone());
        Self { journal: Arc::default(), pool, client, jetstream, stream }
    }

    /// Another process of the same shop, or of one with another journal.
    pub(crate) fn with_journal(&self, journal: &Arc<Journal>) -> Self {
        Self {
            journal: Arc::clone(journal),
            pool: self.pool.clone(),
            client: self.client.clone(),
            jetstream: self.jetstream.clone(),
            stream: self.stream.clone(),
        }
    }

    /// Appends an event about an order, and returns it.
    pub(crate) fn append(
        &self,
        order: OrderId,
        event_type: &str,
        payload: &str,
    ) -> Arc<RecordedEvent> {
        self.journal.record_raw("order", order, event_type, payload)
    }

    /// Appends so many events that send no mail.
    pub(crate) fn append_many(&self, count: u64) {
        for _ in 0..count {
            self.append(new_id(), "OrderAddressChanged", "{}");
        }
    }

    /// A relay, and what has to be held for it to be elected.
    pub(crate) fn relay(&self) -> (Relay<Journal>, Elections) {
        let elections = Elections::new();
        let recheck_after = Duration::from_millis(100);
        let config = RelayConfig { stream: self.stream.clone(), recheck_after };
        let (journal, client) = (Arc::clone(&self.journal), self.client.clone());
        let relay = Relay::new(journal, self.pool.clone(), client, elections.clone(), config);
        (relay, elections)
    }

    pub(crate) fn start_relay(&self) -> Running {
        let (relay, elections) = self.relay();
        let (status, connect) = (relay.status(), (*self.pool.connect_options()).clone());
        let task = tokio::spawn(async move {
            let never = CancellationToken::new();
            tokio::join!(relay.run(never.clone()), elections.hold(connect, never));
        });
        Running { status, task }
    }

    /// A stream of ours that somebody made without our configuration.
    pub(crate) async fn make_by_hand(&self) -> Result<stream::Stream, CreateStreamError> {
        let config = stream::Config {
            name: self.stream.name.clone(),
            subjects: vec![self.stream.all_subjects()],
            ..stream::Config::default()
        };
        self.jetstream.create_stream(config).await
    }

    /// Publishes what calls itself an event, as a relay would.
    pub(crate) async fn put(&self, event_id: Uuid) {
        let mut headers = HeaderMap::new();
        headers.insert(nats::stream::EVENT_ID_HEADER, event_id.to_string());
        let subject = self.stream.subject("order", "OrderPaid");
        let stored = self.jetstream.publish_with_headers(subject, headers, "{}".into()).await;
        stored.expect("it is connected").await.expect("it is stored");
    }

    /// Makes the stream, with foreign messages where `is_foreign` says so and the journal's elsewhere.
    pub(crate) async fn fill_by_hand(&self, is_foreign: impl Fn(u64) -> bool) {
        self.make_by_hand().await.expect("nobody else made it");
        for event in self.journal.events() {
            let ours = (!is_foreign(event.position.get())).then_some(event.event_id);
            self.put(ours.unwrap_or_else(new_id)).await;
        }
    }

    /// The stream's last sequence, if there is a stream.
    pub(crate) async fn published(&self) -> Option<u64> {
        let stream = self.jetstream.get_stream(&self.stream.name).await.ok()?;
        Some(stream.cached_info().state.last_sequence)
    }

    /// Waits until the stream ends where the journal does, and checks every message.
    pub(crate) async fn is_published(&self) {
        self.reaches(self.journal.head().get()).await;
        self.check_copy().await;
    }

    /// Waits until the stream reaches a position.
    pub(crate) async fn reaches(&self, position: u64) {
        eventually("it is published", async || self.published().await >= Some(position)).await;
    }

    pub(crate) async fn check_copy(&self) {
        let stream = self.jetstream.get_stream(&self.stream.name).await.expect("a stream");
        let state = &stream.cached_info().state;
        let events = self.journal.events();
        assert_eq!(state.messages, events.len() as u64, "no message is missing or too many");
        for event in events {
            let message =
                stream.direct_get(event.position.get()).await.expect("message n for event n");
            let mut body = Vec::new();
            write_public_event(&event, &mut body);
            assert_eq!(message.payload, body, "position {}", event.position);
            let id = message.headers.get(nats::stream::EVENT_ID_HEADER).map(|id| id.as_str());
            assert_eq!(id, Some(event.event_id.to_string().as_str()));
        }
    }
}

impl Running {
    pub(crate) async fn is(&mut self, wanted: impl Fn(&RelayState) -> bool) -> RelayStatus {
        self.says(|status| wanted(&status.state)).await
    }

    pub(crate) async fn says(&mut self, wanted: impl Fn(&RelayStatus) -> bool) -> RelayStatus {
        let status = self.status.wait_for(|status| wanted(status));
        tokio::time::timeout(PATIENCE, status)
            .await
            .expect("the relay gets there in time")
            .expect("the relay runs")
            .clone()
    }

    pub(crate) async fn publishes(&mut self) {
        self.is(|state| *state == RelayState::Publishing).await;
    }
}
