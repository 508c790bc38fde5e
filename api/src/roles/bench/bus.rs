//! The case that is ours: commands through the bus.

use super::measure::Client;
use super::targets::{Targets, receive};
use crate::shop::{connect, world};
use anyhow::Context as _;
use commands::bus::{Bus, Context, Plan};
use commands::journal::{Journal, WriterSettings};
use domain::Sku;
use domain::stock::{StockCommand, StockItem};
use futures::{StreamExt, TryStreamExt};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::time::Instant;
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
            Journal::start(pool.clone(), database.clone(), WriterSettings::default());
        Ok(Self { bus: Arc::new(Bus::new(journal, world())), pool, writer })
    }

    /// Opens stock items; the bus knows them from here on, as a running shop does.
    pub(super) async fn open(&self, skus: &[Sku]) -> anyhow::Result<()> {
        let context = context();
        let product_id = (world().new_id)();
        futures::stream::iter(skus)
            .map(|sku| {
                let open = StockCommand::Open { product_id };
                let plan = Plan::new(&context).step::<StockItem>(sku.as_str(), open);
                self.bus.execute(plan)
            })
            .buffer_unordered(OPENED_AT_ONCE)
            .try_for_each(async |_| Ok(()))
            .await?;
        Ok(())
    }

    /// One client.
    pub(super) fn client(&self, targets: Targets) -> impl Client + use<> {
        Commander { bus: Arc::clone(&self.bus), context: context(), targets }
    }

    /// Ends the writer and the connections.
    pub(super) async fn stop(self) {
        drop(self.bus);
        // It ends by itself when nobody can hand anything over any more.
        let _ = self.writer.await;
        self.pool.close().await;
    }
}

struct Commander {
    bus: Arc<Bus>,
    context: Context,
    targets: Targets,
}

impl Client for Commander {
    fn begin(&mut self, round: u32) {
        self.targets.begin(round);
    }

    async fn write(&mut self, _until: Instant) -> anyhow::Result<u32> {
        let plan =
            Plan::new(&self.context).step::<StockItem>(self.targets.next().as_str(), receive());
        let executed = self.bus.execute(plan).await?;
        let (first, last) = executed.positions.context("a delivery is an event")?;
        Ok(u32::try_from(last - first + 1)?)
    }
}

fn context() -> Context {
    Context {
        actor: "system:bench".to_owned(),
        correlation_id: (world().new_id)(),
        causation_id: None,
        traceparent: None,
    }
}
