//! Reading the journal: by position, by stream, filtered.

use super::batch::unsigned;
use domain::{
    EventSource, Filter, MAX_BATCH_BYTES, RecordedEvent, SourceError, StreamKey, Timestamp,
    batch_is_full,
};
use futures::{Stream, StreamExt, TryStreamExt};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::watch;

/// How long a reader waits for a wake-up before it looks by itself. Wake-ups get lost when NATS is
/// away; this bounds what that costs.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(100);

const COLUMNS: &str = "position, aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload::text as payload, metadata::text as metadata, event_id, recorded_at";

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the journal could not be read: {0}")]
pub struct ReadError(#[from] sqlx::Error);

/// Reads the journal. Cheap to clone.
#[derive(Clone)]
pub struct JournalReader {
    pool: PgPool,
    hint: watch::Receiver<u64>,
}

impl JournalReader {
    /// Reads through `pool`, woken by `hint`: the highest position that anybody told us of.
    #[must_use]
    pub fn new(pool: PgPool, hint: watch::Receiver<u64>) -> Self {
        Self { pool, hint }
    }

    /// The last position; 0 while the journal is empty.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn head(&self) -> Result<u64, ReadError> {
        let head: Option<i64> =
            sqlx::query_scalar("select max(position) from events").fetch_one(&self.pool).await?;
        Ok(unsigned(head.unwrap_or(0)))
    }

    /// Position and time of one event of one stream; none when it does not exist.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn place_of(
        &self,
        stream: &StreamKey,
        sequence: u64,
    ) -> Result<Option<(u64, Timestamp)>, ReadError> {
        let place: Option<(i64, OffsetDateTime)> = sqlx::query_as(
            "select position, recorded_at from events \
             where aggregate_type = $1 and aggregate_id = $2 and sequence = $3",
        )
        .bind(stream.aggregate_type)
        .bind(&stream.aggregate_id)
        .bind(signed(sequence))
        .fetch_optional(&self.pool)
        .await?;
        Ok(place.map(|(position, at)| (unsigned(position), at.into())))
    }

    /// At most `limit` events after `after` that pass the filter, in order of position, and none behind
    /// the one with which they are [`MAX_BATCH_BYTES`] or more.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn page(
        &self,
        after: u64,
        limit: usize,
        filter: &Filter,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let query = page_query();
        let rows = sqlx::query(&query)
            .bind(signed(after))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(signed(filter.until.unwrap_or(u64::MAX)))
            .bind(&filter.event_types)
            .bind(&filter.aggregate_type)
            .bind(&filter.aggregate_id)
            .fetch(&self.pool);
        Ok(read_batch(rows).await?)
    }

    /// Everything after `after` that passes the filter, up to the end of the journal as it was at
    /// the start: bounded memory, for downloads. A database error ends the stream as an error,
    /// never as if it were complete.
    pub fn export(
        &self,
        after: u64,
        filter: Filter,
    ) -> impl Stream<Item = Result<Arc<RecordedEvent>, ReadError>> + Send + 'static {
        let reader = self.clone();
        let pages = futures::stream::try_unfold(Some(after), move |after| {
            let (reader, filter) = (reader.clone(), filter.clone());
            async move {
                let Some(after) = after else { return Ok(None) };
                let page = reader.page(after, EXPORT_PAGE, &filter).await?;
                let is_last = !batch_is_full(&page, EXPORT_PAGE);
                let next = page.last().filter(|_| !is_last).map(|event| event.position);
                Ok::<_, ReadError>(Some((page, next)))
            }
        });
        pages.map_ok(|page| futures::stream::iter(page).map(Ok)).try_flatten()
    }
}

/// Events in one query of an export.
const EXPORT_PAGE: usize = 1_000;

fn page_query() -> String {
    // Generic on purpose: one statement for every filter, planned by the primary key.
    format!(
        "select {COLUMNS} from events where position > $1 and position <= $3 \
         and (cardinality($4::text[]) = 0 or event_type = any($4)) \
         and ($5::text is null or aggregate_type = $5) \
         and ($6::text is null or aggregate_id = $6) \
         order by position limit $2"
    )
}

/// Rows until they are [`MAX_BATCH_BYTES`]. Those behind are thrown away as they arrive: to make the
/// database count would cost every batch, this costs only those of uncommonly large events.
async fn read_batch(
    mut rows: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while bytes < MAX_BATCH_BYTES
        && let Some(row) = rows.try_next().await?
    {
        let event = read_event(&row)?;
        bytes += event.bytes();
        events.push(event);
    }
    Ok(events)
}

/// One row of [`COLUMNS`], by their places: a look-up by name for each value of each event costs a
/// long replay more than reading it.
pub(super) fn read_event(row: &PgRow) -> Result<Arc<RecordedEvent>, sqlx::Error> {
    Ok(Arc::new(RecordedEvent {
        position: unsigned(row.try_get(0)?),
        aggregate_type: row.try_get(1)?,
        aggregate_id: row.try_get(2)?,
        sequence: unsigned(row.try_get(3)?),
        event_type: row.try_get(4)?,
        event_version: row.try_get(5)?,
        payload: row.try_get(6)?,
        metadata: row.try_get(7)?,
        event_id: row.try_get(8)?,
        recorded_at: row.try_get(9)?,
    }))
}

/// Positions beyond PostgreSQL's bigint are asked for as "everything".
fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

impl EventSource for JournalReader {
    async fn read_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let query =
            format!("select {COLUMNS} from events where position > $1 order by position limit $2");
        let rows = sqlx::query(&query)
            .bind(signed(after))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch(&self.pool);
        read_batch(rows).await.map_err(|error| SourceError(error.into()))
    }

    async fn wait_after(&self, after: u64) {
        let mut hint = self.hint.clone();
        let told = async {
            if hint.wait_for(|head| *head > after).await.is_err() {
                // Nobody will tell us any more: polling is all that is left.
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(POLL_INTERVAL, told).await;
    }
}
