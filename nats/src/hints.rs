//! Wakes readers in other processes over core NATS.
//!
//! A hint says "the journal of this epoch has reached position n somewhere". Losing one costs a reader
//! its poll interval, nothing else, so nothing here is acknowledged, stored or retried, and nothing here
//! can hold up a commit. One of another epoch is of another shop, or of a history that is gone.

use crate::stream::StreamConfig;
use async_nats::Client;
use async_nats::connection::State;
use domain::Position;
use futures::StreamExt;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use uuid::Uuid;

/// The shortest time between two hints of one process. Keeps a loaded writer from sending thousands
/// of messages a second that all say the same.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(2);
/// How long to wait before subscribing again, should the client refuse.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);

/// How often the database may be asked whether an epoch that was not heard of before is the journal's
/// by now: somebody repaired the stream, or another shop hints here.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the database may take to answer that.
const ASK_PATIENCE: Duration = Duration::from_secs(1);

/// Sends and receives hints of one shop.
#[derive(Debug, Clone)]
pub struct Hints {
    client: Client,
    subject: String,
    pool: PgPool,
    /// The journal's, as far as this process has heard.
    epoch: Arc<watch::Sender<Uuid>>,
}

/// Sends hints; cheap to clone.
#[derive(Debug, Clone)]
pub struct HintPublisher {
    latest: Arc<watch::Sender<Position>>,
}

impl Hints {
    /// Hints about the journal in the database of `pool` that is published to `stream`.
    ///
    /// # Errors
    /// When the database does not say which epoch its journal has.
    pub async fn open(
        client: Client,
        stream: &StreamConfig,
        pool: PgPool,
    ) -> Result<Self, sqlx::Error> {
        let epoch = Arc::new(watch::Sender::new(crate::epoch::current(&pool).await?));
        Ok(Self { client, subject: stream.hint_subject(), pool, epoch })
    }

    /// Starts a task that sends hints until every clone of the publisher is dropped.
    #[must_use]
    pub fn publisher(&self) -> HintPublisher {
        let (latest, hints) = watch::channel(Position::START);
        let this = self.clone();
        tokio::spawn(async move { this.send(hints).await });
        HintPublisher { latest: Arc::new(latest) }
    }

    /// Sends each new position as a hint until nobody can say one any more.
    pub async fn send(&self, mut positions: watch::Receiver<Position>) {
        while positions.changed().await.is_ok() {
            let position = *positions.borrow_and_update();
            // While disconnected the client would keep messages for later, when they are stale.
            if self.client.connection_state() == State::Connected {
                let text = format!("{} {position}", *self.epoch.borrow());
                if let Err(error) = self.client.publish(self.subject.clone(), text.into()).await {
                    tracing::debug!(%error, "a hint was lost");
                }
            }
            tokio::time::sleep(SHORTEST_INTERVAL).await;
        }
    }

    /// The position of the last hint of any process of this shop, 0 before the first. Every hint
    /// counts as a change. Starts a task that receives until every receiver is dropped.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        let (latest, receiver) = watch::channel(Position::START);
        let this = self.clone();
        tokio::spawn(async move { this.receive(&latest).await });
        receiver
    }

    /// Tells `latest` the position of every hint until nobody listens any more.
    pub async fn receive(&self, latest: &watch::Sender<Position>) {
        let mut asked = None;
        loop {
            if let Ok(mut hints) = self.client.subscribe(self.subject.clone()).await {
                tokio::select! {
                    () = latest.closed() => return,
                    () = async {
                        while let Some(hint) = hints.next().await {
                            if let Some((epoch, position)) = parse(&hint.payload)
                                && self.is_ours(epoch, &mut asked).await
                            {
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
    }

    /// Whether a hint is about our journal; asks the database when it cannot be known otherwise.
    async fn is_ours(&self, epoch: Uuid, asked: &mut Option<Instant>) -> bool {
        if *self.epoch.borrow() == epoch {
            return true;
        }
        if asked.is_some_and(|at| at.elapsed() < ASK_INTERVAL) {
            return false;
        }
        *asked = Some(Instant::now());
        let current = tokio::time::timeout(ASK_PATIENCE, crate::epoch::current(&self.pool)).await;
        let Ok(Ok(current)) = current else { return false };
        self.epoch.send_replace(current);
        current == epoch
    }
}

impl HintPublisher {
    /// Says that the journal has reached `position`. Never waits.
    pub fn publish(&self, position: Position) {
        self.latest.send_replace(position);
    }
}

fn parse(payload: &[u8]) -> Option<(Uuid, Position)> {
    let (epoch, position) = std::str::from_utf8(payload).ok()?.split_once(' ')?;
    Some((epoch.parse().ok()?, position.parse().ok()?))
}
