//! The anchor `postgres_es`: the same commands through `CqrsFramework` on a stock `postgres-es`
//! event store, in tables of its own.

use super::measure::Client;
use super::targets::{ACTOR, Targets, receive};
use api::shop::world;
use cqrs_es::AggregateError;
use domain::stock::{StockEvent, StockItem};
use domain::{Facts, Sku};
use postgres_es::{PostgresCqrs, postgres_cqrs};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As its `db/init.sql` has it.
const SCHEMA: &str = "\
    create schema postgres_es; \
    create table postgres_es.events ( \
        aggregate_type text not null, \
        aggregate_id text not null, \
        sequence bigint check (sequence >= 0) not null, \
        event_type text not null, \
        event_version text not null, \
        payload json not null, \
        metadata json not null, \
        primary key (aggregate_type, aggregate_id, sequence))";

/// How long a client waits for one of the pool's connections: longer than any queue here.
const POOL_WAIT: Duration = Duration::from_secs(60);

/// Makes its tables.
pub(super) async fn prepare(database: &PgConnectOptions) -> anyhow::Result<()> {
    let mut connection = database.connect().await?;
    connection.execute(SCHEMA).await?;
    Ok(connection.close().await?)
}

/// Opens stock items.
pub(super) async fn open(database: &PgConnectOptions, skus: &[Sku]) -> anyhow::Result<()> {
    let mut connection = database.connect().await?;
    let opened = StockEvent::StockItemOpened { product_id: (world().new_id)().into() };
    sqlx::query(
        "insert into postgres_es.events (aggregate_type, aggregate_id, sequence, event_type, \
                                         event_version, payload, metadata) \
         select 'stock', id, 1, 'StockItemOpened', '1', $2, '{}' from unnest($1::text[]) id",
    )
    .bind(skus.iter().map(Sku::as_str).collect::<Vec<_>>())
    .bind(serde_json::to_value(opened)?)
    .execute(&mut connection)
    .await?;
    Ok(connection.close().await?)
}

/// One framework for all clients, as its users have it.
pub(super) struct Peer {
    framework: Arc<PostgresCqrs<StockItem>>,
}

impl Peer {
    pub(super) async fn connect(database: &PgConnectOptions, clients: u16) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(u32::from(clients))
            .acquire_timeout(POOL_WAIT)
            .connect_with(database.clone().options([("search_path", "postgres_es")]))
            .await?;
        let facts = Facts { now: (world().now)() };
        Ok(Self { framework: Arc::new(postgres_cqrs(pool, vec![], facts)) })
    }

    /// One client.
    pub(super) fn client(&self, targets: Targets) -> impl Client + use<> {
        // What an event of ours carries, in the form that the framework knows.
        let metadata = HashMap::from([
            ("event_id".to_owned(), String::new()),
            ("actor".to_owned(), ACTOR.to_owned()),
            ("correlation_id".to_owned(), (world().new_id)().to_string()),
        ]);
        Commander { framework: Arc::clone(&self.framework), metadata, targets }
    }
}

struct Commander {
    framework: Arc<PostgresCqrs<StockItem>>,
    metadata: HashMap<String, String>,
    targets: Targets,
}

impl Client for Commander {
    fn begin(&mut self, round: u32) {
        self.targets.begin(round);
    }

    async fn write(&mut self, until: Instant) -> anyhow::Result<u32> {
        let sku = self.targets.next().clone();
        let mut metadata = self.metadata.clone();
        metadata.insert("event_id".to_owned(), (world().new_id)().to_string());
        loop {
            let command = receive();
            let metadata = metadata.clone();
            match self.framework.execute_with_metadata(sku.as_str(), command, metadata).await {
                Ok(()) => return Ok(1),
                Err(AggregateError::AggregateConflict) if Instant::now() >= until => return Ok(0),
                Err(AggregateError::AggregateConflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
