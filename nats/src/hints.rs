//! Wakes readers in other processes over core NATS.
//!
//! A hint says "the journal has reached position n somewhere". Losing one costs a reader its poll
//! interval, nothing else, so nothing here is acknowledged, stored or retried, and nothing here can
//! hold up a commit.

use crate::stream::StreamConfig;
use async_nats::Client;
use async_nats::connection::State;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The shortest time between two hints of one process. Keeps a loaded writer from sending thousands
/// of messages a second that all say the same.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(2);
/// How long to wait before subscribing again, should the client refuse.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);

/// Sends and receives hints of one shop.
#[derive(Debug, Clone)]
pub struct Hints {
    client: Client,
    subject: String,
}

/// Sends hints; cheap to clone.
#[derive(Debug, Clone)]
pub struct HintPublisher {
    latest: Arc<watch::Sender<u64>>,
}

impl Hints {
    /// Hints about the journal that is published to `stream`.
    #[must_use]
    pub fn new(client: Client, stream: &StreamConfig) -> Self {
        Self { client, subject: stream.hint_subject() }
    }

    /// Starts a task that sends hints until every clone of the publisher is dropped.
    #[must_use]
    pub fn publisher(&self) -> HintPublisher {
        let (latest, mut hints) = watch::channel(0);
        let Self { client, subject } = self.clone();
        tokio::spawn(async move {
            while hints.changed().await.is_ok() {
                let position = *hints.borrow_and_update();
                // While disconnected the client would keep messages for later, when they are stale.
                if client.connection_state() == State::Connected {
                    let text = position.to_string();
                    if let Err(error) = client.publish(subject.clone(), text.into()).await {
                        tracing::debug!(%error, "a hint was lost");
                    }
                }
                tokio::time::sleep(SHORTEST_INTERVAL).await;
            }
        });
        HintPublisher { latest: Arc::new(latest) }
    }

    /// The position of the last hint of any process, 0 before the first. Every hint counts as a
    /// change. Starts a task that receives until every receiver is dropped.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        let (latest, receiver) = watch::channel(0);
        let Self { client, subject } = self.clone();
        tokio::spawn(async move {
            loop {
                if let Ok(mut hints) = client.subscribe(subject.clone()).await {
                    tokio::select! {
                        () = latest.closed() => return,
                        () = async {
                            while let Some(hint) = hints.next().await {
                                if let Some(position) = parse(&hint.payload) {
                                    latest.send_replace(position);
                                }
                            }
                        } => {}
                    }
                }
                // Only a client that was closed gets here; a lost connection is resumed for us.
                tokio::select! {
                    () = latest.closed() => return,
                    () = tokio::time::sleep(RESUBSCRIBE_PAUSE) => {}
                }
            }
        });
        receiver
    }
}

impl HintPublisher {
    /// Says that the journal has reached `position`. Never waits.
    pub fn publish(&self, position: u64) {
        self.latest.send_replace(position);
    }
}

fn parse(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}
