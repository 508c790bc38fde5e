//! What is ours: commands through the bus.

use super::measure::Client;
use super::targets::{ACTOR, Targets, receive};
use anyhow::Context as _;
use api::pools::connect;
use api::shop::world;
use commands::bus::{Bus, Context, FingerprintKey, Plan};
use commands::journal::{Journal, WriterSettings};
use domain::stock::{StockCommand, StockItem};
use domain::{Position, Sku};
use futures::{StreamExt, TryStreamExt};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Stock items that are opened at once.
const OPENED_AT_ONCE: usize = 64;

/// The write side as the shop has it: one bus, one writer, the shop's pool.
pub(super) struct Ours {
    bus: Arc<Bus>,
    pool: PgPool,
    writer: JoinHandle<()>,
}

impl Ours {
    /// Brings the database up to this build and starts the writer.
    pub(super) async fn start(database: &PgConnectOptions) -> anyhow::Result<Self> {
        let pool = connect(database).await?;
        commands::MIGRATOR.run(&pool).await.context("the database cannot be migrated")?;
        let (journal, writer) =
            Journal::start(pool.clone(), database.clone(), WriterSettings::default(), world().now);
        let bus = Arc::new(Bus::new(journal, world(), FingerprintKey::new(&[7; 32])));
        Ok(Self { bus, pool, writer })
    }

    /// Opens stock items; the bus knows them from here on, as a running shop does.
    pub(super) async fn open(&self, skus: &[Sku]) -> anyhow::Result<()> {
        let context = context();
        let product_id = (world().new_id)().into();
        futures::stream::iter(skus)
            .map(|sku| {
                let open = StockCommand::Open { product_id };
                let plan = Plan::new(&context).step::<StockItem>(sku, open);
                self.bus.execute(plan)
            })
            .buffer_unordered(OPENED_AT_ONCE)
            .try_for_each(async |_| Ok(()))
            .await?;
        Ok(())
    }

    /// One client.
    pub(super) fn client(&self, targets: Targets) -> impl Client + use<> {
        Writing { commander: self.commander(), targets }
    }

    /// One client that loads aggregates past the cache, as the first command on each does.
    pub(super) fn loader(&self, targets: Targets) -> impl Client + use<> {
        Loading { bus: Arc::clone(&self.bus), targets }
    }

    /// Somebody who gives commands.
    pub(super) fn commander(&self) -> Commander {
        Commander { bus: Arc::clone(&self.bus), context: context() }
    }

    /// The shop's pool.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The journal's last position, as far as it was written here.
    pub(super) fn head(&self) -> watch::Receiver<Position> {
        self.bus.journal().head()
    }

    /// Ends the writer and the connections.
    pub(super) async fn stop(self) {
        drop(self.bus);
        // It ends by itself when nobody can hand anything over any more.
        let _ = self.writer.await;
        self.pool.close().await;
    }
}

/// Gives commands, one after the other.
pub(super) struct Commander {
    bus: Arc<Bus>,
    context: Context,
}

impl Commander {
    /// Books one piece in; the event's position.
    pub(super) async fn receive(&self, sku: &Sku) -> anyhow::Result<Position> {
        let plan = Plan::new(&self.context).step::<StockItem>(sku, receive());
        Ok(self.bus.execute(plan).await?.position)
    }
}

struct Writing {
    commander: Commander,
    targets: Targets,
}

impl Client for Writing {
    fn begin(&mut self, round: u32) {
        self.targets.begin(round);
    }

    async fn write(&mut self, _until: Instant) -> anyhow::Result<u32> {
        self.commander.receive(self.targets.next()).await?;
        Ok(1)
    }
}

struct Loading {
    bus: Arc<Bus>,
    targets: Targets,
}

impl Client for Loading {
    async fn write(&mut self, _until: Instant) -> anyhow::Result<u32> {
        let loaded = self.bus.load::<StockItem>(self.targets.next()).await?;
        anyhow::ensure!(loaded.sequence > 0, "what was opened is there");
        Ok(1)
    }
}

fn context() -> Context {
    Context {
        actor: ACTOR.to_owned(),
        correlation_id: (world().new_id)(),
        causation_id: None,
        traceparent: None,
    }
}
