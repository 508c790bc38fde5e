//! Which history the journal tells.
//!
//! Positions alone cannot tell a journal from a restored copy of it that went on differently. The
//! epoch is a random id beside the journal and in the stream's metadata; [`begin_anew`] is how an
//! operator says "from here on the journal in this database is right".

use crate::stream::{StreamConfig, existing, foreign_epoch};
use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::context::ContextBuilder;
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// How long is looked, at a start, whether the name of the stream is free: NATS may be away.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked meanwhile whether there is a connection.
const CONNECTION_POLL: Duration = Duration::from_millis(20);

/// The id of the journal's history.
///
/// # Errors
/// When the database cannot be read, or is not migrated.
pub async fn current(pool: &PgPool) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar("select epoch from journal_epoch").fetch_one(pool).await
}

/// Notes that the journal is published under a name.
///
/// # Errors
/// When the database cannot be written.
pub(crate) async fn note_published(pool: &PgPool, stream: &str) -> Result<(), sqlx::Error> {
    sqlx::query("insert into published_streams (stream) values ($1) on conflict do nothing")
        .bind(stream)
        .execute(pool)
        .await?;
    Ok(())
}

/// The epoch of the journal to which a stream of our name belongs, where that is not, and never was, the
/// one in the database of `pool`: two shops must not share a name. None also while NATS is away.
///
/// # Errors
/// When the database cannot be read.
pub async fn another_shops(
    pool: &PgPool,
    client: &Client,
    stream: &StreamConfig,
) -> Result<Option<String>, sqlx::Error> {
    let jetstream = ContextBuilder::new().timeout(LOOK_PATIENCE).build(client.clone());
    let connected = async {
        while client.connection_state() != State::Connected {
            tokio::time::sleep(CONNECTION_POLL).await;
        }
        existing(&jetstream, &stream.name).await
    };
    let Ok(Ok(Some(found))) = tokio::time::timeout(LOOK_PATIENCE, connected).await else {
        return Ok(None);
    };
    let foreign = foreign_epoch(found.cached_info(), current(pool).await?).map(str::to_owned);
    let was_ours: bool =
        sqlx::query_scalar("select exists (select from published_streams where stream = $1)")
            .bind(&stream.name)
            .fetch_one(pool)
            .await?;
    Ok(foreign.filter(|_| !was_ours))
}

/// Gives the journal's history a new id: every stream made before is no copy of it any more. The
/// relay stops until the old stream is deleted, and then publishes everything again.
///
/// # Errors
/// When the database cannot be written.
pub async fn begin_anew(pool: &PgPool) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar(
        "update journal_epoch set epoch = gen_random_uuid(), since = now() returning epoch",
    )
    .fetch_one(pool)
    .await
}
