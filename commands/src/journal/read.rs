//! Reading the journal by position and by stream.

use domain::{
    Cursor, EventSource, MAX_BATCH_BYTES, Position, RecordedEvent, SourceError, StreamKey,
    Timestamp,
};
use follow::position;
use futures::{Stream, TryStreamExt};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

/// How long a reader waits for a wake-up before it looks by itself. Wake-ups get lost when NATS is
/// away; this bounds what that costs.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(super) const COLUMNS: &str = "position, aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload::text as payload, metadata::text as metadata, event_id, recorded_at";

/// The longest that a reader waits for a batch; the largest takes a second. What is late is dropped with
/// its connection, which may have died without a word.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks of a reader, at least: whoever is woken for nothing again and again must not keep
/// the database busy. Far below what anybody waits for.
const LEAST_PAUSE: Duration = Duration::from_millis(2);

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database could not be asked.
    #[error("the journal could not be read: {0}")]
    Database(#[from] sqlx::Error),
    /// While it was read another journal took its place.
    #[error("the journal was replaced by another one while it was read")]
    OtherHistory,
}

/// Reads the journal. Cheap to clone.
pub struct JournalReader {
    pub(super) pool: PgPool,
    hint: watch::Receiver<Position>,
    /// What ended the last wait, unless that was its time.
    woken: Mutex<Option<Woken>>,
}

/// A hint wakes once: one that is beyond the journal (of another shop, or of a history that is gone)
/// would else never let anybody wait again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Woken {
    after: Position,
    hint: Position,
}

impl Clone for JournalReader {
    fn clone(&self) -> Self {
        Self::new(self.pool.clone(), self.hint.clone())
    }
}

impl JournalReader {
    /// Reads through `pool`, woken by `hint`: the highest position that anybody told us of.
    #[must_use]
    pub fn new(pool: PgPool, hint: watch::Receiver<Position>) -> Self {
        Self { pool, hint, woken: Mutex::new(None) }
    }

    /// The last position; 0 while the journal is empty.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn head(&self) -> Result<Position, ReadError> {
        let head: Option<i64> =
            sqlx::query_scalar("select max(position) from events").fetch_one(&self.pool).await?;
        Ok(position::read(head.unwrap_or(0))?)
    }

    /// The last event, to go on behind it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn end(&self) -> Result<Cursor, ReadError> {
        let last: Option<(i64, Uuid)> =
            sqlx::query_as("select position, event_id from events order by position desc limit 1")
                .fetch_optional(&self.pool)
                .await?;
        let Some((position, event_id)) = last else { return Ok(Cursor::START) };
        Ok(Cursor { position: position::read(position)?, event_id: Some(event_id) })
    }

    /// The last of these events, which are in order, that the journal holds where it was read; none
    /// when it holds none of them.
    pub(super) async fn last_held(
        &self,
        events: &[(Position, Uuid)],
    ) -> Result<Option<Position>, ReadError> {
        let (positions, ids): (Vec<_>, Vec<_>) =
            events.iter().map(|(position, id)| (position.bigint(), *id)).unzip();
        let last: Option<i64> = sqlx::query_scalar(
            "select max(e.position) from unnest($1::bigint[], $2::uuid[]) b(position, event_id) \
             join events e on e.position = b.position and e.event_id = b.event_id",
        )
        .bind(positions)
        .bind(ids)
        .fetch_one(&self.pool)
        .await?;
        Ok(last.map(position::read).transpose()?)
    }

    /// Position and time of one event of one stream; none when it does not exist.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn place_of(
        &self,
        stream: &StreamKey,
        sequence: u64,
    ) -> Result<Option<(Position, Timestamp)>, ReadError> {
        let place: Option<(i64, OffsetDateTime)> = sqlx::query_as(
            "select position, recorded_at from events \
             where aggregate_type = $1 and aggregate_id = $2 and sequence = $3",
        )
        .bind(stream.aggregate_type)
        .bind(&stream.aggregate_id)
        .bind(sequence.cast_signed())
        .fetch_optional(&self.pool)
        .await?;
        let Some((position, at)) = place else { return Ok(None) };
        Ok(Some((position::read(position)?, at.into())))
    }

    /// The events from `from` to `until`; what stands at `known` is read already.
    async fn read(
        &self,
        from: Position,
        until: Position,
        limit: i64,
        known: Position,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let query = format!(
            "select {COLUMNS} from events where position >= $1 and position <= $2 \
             order by position limit $3"
        );
        let rows = sqlx::query(&query)
            .bind(from.bigint())
            .bind(until.bigint())
            .bind(limit)
            .fetch(&self.pool);
        within(READ_PATIENCE, read_batch(rows, known)).await.map_err(SourceError::unavailable)
    }
}

pub(super) async fn within<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| late())
}

/// Rows until those behind `known` are [`MAX_BATCH_BYTES`]. Those behind are thrown away as they
/// arrive: to make the database count would cost every batch, this costs only those of uncommonly
/// large events.
pub(super) async fn read_batch(
    mut rows: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    known: Position,
) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while bytes < MAX_BATCH_BYTES
        && let Some(row) = rows.try_next().await?
    {
        let event = read_event(&row)?;
        if event.position > known {
            bytes += event.bytes();
        }
        events.push(event);
    }
    Ok(events)
}

/// One row of [`COLUMNS`], by their places: a look-up by name for each value of each event costs a
/// long replay more than reading it.
pub(super) fn read_event(row: &PgRow) -> Result<Arc<RecordedEvent>, sqlx::Error> {
    Ok(Arc::new(RecordedEvent {
        position: position::read(row.try_get(0)?)?,
        aggregate_type: row.try_get(1)?,
        aggregate_id: row.try_get(2)?,
        sequence: row.try_get::<i64, _>(3)?.unsigned_abs(),
        event_type: row.try_get(4)?,
        event_version: row.try_get(5)?,
        payload: row.try_get(6)?,
        metadata: row.try_get(7)?,
        event_id: row.try_get(8)?,
        recorded_at: row.try_get(9)?,
    }))
}

impl EventSource for JournalReader {
    async fn read_after(
        &self,
        after: Cursor,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let known = after.position;
        if known == Position::START {
            return self.read(Position::FIRST, Position::LAST, limit, known).await;
        }
        // The event that was read last comes along: one statement, so one snapshot, tells whether it
        // still stands there and what follows it.
        let mut events = self.read(known, Position::LAST, limit.saturating_add(1), known).await?;
        match events.first() {
            Some(first) if first.position == known => {
                if after.event_id.is_some_and(|believed| believed != first.event_id) {
                    return Err(SourceError::OtherHistory(after));
                }
                events.remove(0);
            }
            // Cut in front, behind where the reader is: whether it bears the gap it knows itself.
            Some(_) => {}
            None => return Err(SourceError::OtherHistory(after)),
        }
        Ok(events)
    }

    async fn stored(
        &self,
        positions: RangeInclusive<Position>,
    ) -> Result<Vec<Arc<RecordedEvent>>, SourceError> {
        self.read(*positions.start(), *positions.end(), i64::MAX, Position::START).await
    }

    async fn wait_after(&self, after: Position) {
        let before = *self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let in_vain = before.filter(|woken| woken.after == after);
        if in_vain.is_some() {
            tokio::time::sleep(LEAST_PAUSE).await;
        }
        let mut hint = self.hint.clone();
        let told = async {
            let news =
                |head: &Position| *head > after && in_vain.is_none_or(|woken| woken.hint != *head);
            match hint.wait_for(news).await.map(|head| *head) {
                Ok(hint) => Woken { after, hint },
                // Nobody will tell us any more: polling is all that is left.
                Err(_) => std::future::pending().await,
            }
        };
        let woken = tokio::time::timeout(POLL_INTERVAL, told).await.ok();
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = woken.or(in_vain);
    }
}
