//! The anchors that are plain SQL: rows of the journal's own shape in tables of their own, with the
//! journal's indexes and checks, and nothing asked before they are written.

use super::measure::Client;
use super::targets::{metadata, receive};
use anyhow::Context as _;
use api::shop::world;
use domain::encode_event;
use domain::stock::{StockCommand, StockEvent};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use std::time::Instant;

/// Rows of one statement of `bulk`; more gives no more.
const BULK_EVENTS: u32 = 1_000;

/// `committed` is one number, so that its commit is the disk's work and next to nothing else.
const SCHEMA: &str = "\
    create schema anchors; \
    create table anchors.inserted (like public.events including all); \
    create sequence anchors.inserted_position owned by anchors.inserted.position; \
    create table anchors.loaded (like public.events including all); \
    create table anchors.committed (n integer not null)";

const INSERT: &str = "insert into anchors.inserted \
        (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
         metadata, event_id, recorded_at) \
    values (nextval('anchors.inserted_position'), 'stock', $1, $2, 'StockReceived', '1', \
            $3::text::json, $4::text::json, $5, now())";

const LOAD: &str = "insert into anchors.loaded \
        (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
         metadata, event_id, recorded_at) \
    select $1 + row, 'stock', id, $1 + row, 'StockReceived', '1', \
           payload::json, metadata::json, event_id, now() \
      from unnest($2::text[], $3::text[], $4::text[], $5::uuid[]) \
           with ordinality rows(id, payload, metadata, event_id, row)";

/// Makes the tables; the journal's must be there.
pub(super) async fn prepare(database: &PgConnectOptions) -> anyhow::Result<()> {
    let mut connection = database.connect().await?;
    connection.execute(SCHEMA).await?;
    Ok(connection.close().await?)
}

/// One prepared INSERT and one commit an event, one connection a client, as pgbench does it.
pub(super) async fn inserters(
    database: &PgConnectOptions,
    clients: u16,
) -> anyhow::Result<Vec<impl Client + use<>>> {
    let mut inserters = Vec::with_capacity(usize::from(clients));
    for _ in 0..clients {
        let connection = database.connect().await?;
        // A stream of the client's own, so that no two rows are in each other's way.
        inserters.push(Inserter {
            connection,
            stream: (world().new_id)().to_string(),
            sequence: 0,
        });
    }
    Ok(inserters)
}

struct Inserter {
    connection: PgConnection,
    stream: String,
    sequence: i64,
}

impl Client for Inserter {
    async fn write(&mut self, _until: Instant) -> anyhow::Result<u32> {
        let event = Event::new()?;
        self.sequence += 1;
        sqlx::query(INSERT)
            .bind(&self.stream)
            .bind(self.sequence)
            .bind(event.payload)
            .bind(event.metadata)
            .bind(event.event_id)
            .execute(&mut self.connection)
            .await?;
        Ok(1)
    }
}

/// Large batches on one connection: the most that this table takes at all.
pub(super) struct BulkLoader {
    connection: PgConnection,
    position: i64,
    stream: String,
}

impl BulkLoader {
    pub(super) async fn connect(database: &PgConnectOptions) -> anyhow::Result<Self> {
        let mut connection = database.connect().await?;
        let last = "select coalesce(max(position), 0) from anchors.loaded";
        let position = sqlx::query_scalar(last).fetch_one(&mut connection).await?;
        Ok(Self { connection, position, stream: (world().new_id)().to_string() })
    }
}

impl Client for BulkLoader {
    async fn write(&mut self, _until: Instant) -> anyhow::Result<u32> {
        let count = BULK_EVENTS as usize;
        let (mut payloads, mut metadata) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut event_ids = Vec::with_capacity(count);
        for _ in 0..count {
            let event = Event::new()?;
            payloads.push(event.payload);
            metadata.push(event.metadata);
            event_ids.push(event.event_id);
        }
        sqlx::query(LOAD)
            .bind(self.position)
            .bind(vec![self.stream.as_str(); count])
            .bind(payloads)
            .bind(metadata)
            .bind(event_ids)
            .execute(&mut self.connection)
            .await?;
        self.position += i64::from(BULK_EVENTS);
        Ok(BULK_EVENTS)
    }
}

/// Commits of one small row: how long the disk takes.
pub(super) struct Committer(PgConnection);

impl Committer {
    pub(super) async fn connect(database: &PgConnectOptions) -> anyhow::Result<Self> {
        Ok(Self(database.connect().await?))
    }
}

impl Client for Committer {
    async fn write(&mut self, _until: Instant) -> anyhow::Result<u32> {
        sqlx::query("insert into anchors.committed (n) values ($1)")
            .bind(1_i32)
            .execute(&mut self.0)
            .await?;
        Ok(1)
    }
}

/// The event that the commands of the other cases lead to, serialized anew for every row.
struct Event {
    payload: String,
    metadata: String,
    event_id: uuid::Uuid,
}

impl Event {
    fn new() -> anyhow::Result<Self> {
        let StockCommand::Receive { quantity, reason } = receive() else {
            anyhow::bail!("a delivery is what is measured")
        };
        let event_id = (world().new_id)();
        Ok(Self {
            payload: encode_event(&StockEvent::StockReceived { quantity, reason })
                .context("events are plain data")?,
            metadata: serde_json::to_string(&metadata(event_id))?,
            event_id,
        })
    }
}
