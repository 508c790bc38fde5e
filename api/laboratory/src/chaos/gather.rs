//! Reads what a cycle has left in PostgreSQL and on JetStream.

use super::account::{Account, Moved};
use super::check::{Evidence, Message, Outcome, Row};
use super::cycle::Cycle;
use anyhow::Context as _;
use async_nats::jetstream::{self, consumer::pull::OrderedConfig};
use cqrs_es::Aggregate as _;
use futures::StreamExt as _;
use nats::StreamConfig;
use nats::stream::EVENT_ID_HEADER;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use std::time::Duration;
use uuid::Uuid;

/// The longest silence of a stream that holds more.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(10);

/// The journal and the outcomes of keys, as one moment has them.
pub(super) async fn journal(cycle: &Cycle<'_>) -> anyhow::Result<Evidence> {
    let mut connection = cycle.ground.connect().await?;
    let rows = sqlx::query(
        "select position, aggregate_type, aggregate_id, sequence, event_id, \
                payload::text as payload, metadata ->> 'correlation_id' as correlation_id, \
                (extract(epoch from recorded_at) * 1000000)::bigint as recorded_at_us \
           from events order by position",
    )
    .fetch_all(&mut connection)
    .await?;
    let journal =
        rows.iter().map(|row| event(row, cycle.seed)).collect::<Result<Vec<_>, sqlx::Error>>()?;
    let outcomes = sqlx::query("select key, first_position, last_position from command_outcomes")
        .fetch_all(&mut connection)
        .await?;
    let outcomes = outcomes
        .iter()
        .map(|row| {
            let (first, last): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            Ok(Outcome { key: row.try_get(0)?, first: unsigned(first), last: unsigned(last) })
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    Ok(Evidence { journal, outcomes, ..Evidence::default() })
}

fn event(row: &PgRow, seed: u64) -> Result<Row, sqlx::Error> {
    let aggregate_type: &str = row.try_get("aggregate_type")?;
    let aggregate_id: &str = row.try_get("aggregate_id")?;
    let payload: &str = row.try_get("payload")?;
    let correlation_id: Option<&str> = row.try_get("correlation_id")?;
    let correlation_id = correlation_id.and_then(|text| Uuid::try_parse(text).ok());
    let is_account = aggregate_type == Account::TYPE;
    Ok(Row {
        position: unsigned(row.try_get("position")?),
        stream: format!("{aggregate_type}/{aggregate_id}"),
        sequence: unsigned(row.try_get("sequence")?),
        event_id: row.try_get("event_id")?,
        op: correlation_id.and_then(|id| operation_of(id, seed)),
        moved: is_account.then(|| serde_json::from_str::<Moved>(payload).ok()).flatten(),
        recorded_at_us: row.try_get("recorded_at_us")?,
    })
}

/// The operation that an id of this cycle names; none for the opening of the shop, and for ids of
/// others.
fn operation_of(correlation_id: Uuid, seed: u64) -> Option<u64> {
    let (high, op) = correlation_id.as_u64_pair();
    (high == seed && op != u64::MAX).then_some(op)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// What is published, if it reaches up to `head`.
pub(super) async fn stream(cycle: &Cycle<'_>, head: u64) -> anyhow::Result<Vec<Message>> {
    let client = async_nats::connect(cycle.testbed.stack.nats.url()).await?;
    let stream = jetstream::new(client).get_stream(StreamConfig::default().name).await?;
    let last = stream.cached_info().state.last_sequence;
    anyhow::ensure!(last >= head, "the stream reaches {last} of {head}");
    if stream.cached_info().state.messages == 0 {
        return Ok(vec![]);
    }
    let config = OrderedConfig { headers_only: true, ..OrderedConfig::default() };
    let mut delivered = stream.create_consumer(config).await?.messages().await?;
    let mut messages = vec![];
    while messages.last().is_none_or(|message: &Message| message.sequence < last) {
        let message = tokio::time::timeout(MESSAGE_PATIENCE, delivered.next()).await?;
        let message = message.context("the consumer ended")??;
        let info =
            message.info().map_err(|error| anyhow::anyhow!("no message of a stream: {error}"))?;
        let headers = message.headers.as_ref();
        let event_id = headers
            .and_then(|headers| Uuid::try_parse(headers.get(EVENT_ID_HEADER)?.as_str()).ok())
            .unwrap_or_default();
        messages.push(Message { sequence: info.stream_sequence, event_id });
    }
    Ok(messages)
}

/// How many orders the journal holds.
pub(super) async fn orders(cycle: &Cycle<'_>) -> anyhow::Result<i64> {
    let mut connection = cycle.ground.connect().await?;
    let orders = sqlx::query_scalar("select count(*) from events where event_type = 'OrderPlaced'");
    Ok(orders.fetch_one(&mut connection).await?)
}

/// The sequence of the last message of the stream.
pub(super) async fn last(cycle: &Cycle<'_>) -> anyhow::Result<u64> {
    let client = async_nats::connect(cycle.testbed.stack.nats.url()).await?;
    let stream = jetstream::new(client).get_stream(StreamConfig::default().name).await?;
    Ok(stream.cached_info().state.last_sequence)
}

/// The journal's last position.
pub(super) async fn head(cycle: &Cycle<'_>) -> anyhow::Result<u64> {
    let mut connection = cycle.ground.connect().await?;
    let head: Option<i64> =
        sqlx::query_scalar("select max(position) from events").fetch_one(&mut connection).await?;
    Ok(unsigned(head.unwrap_or(0)))
}
