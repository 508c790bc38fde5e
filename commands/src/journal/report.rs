//! Reading the journal for reports: filtered, a page at a time, to its end.

use super::read::{COLUMNS, JournalReader, ReadError, read_batch, within};
use domain::{AGGREGATES, Cursor, Filter, Position, RecordedEvent, batch_is_full};
use futures::{Stream, StreamExt, TryStreamExt};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The longest that somebody waits for a page: shorter than a request may take.
const PAGE_PATIENCE: Duration = Duration::from_secs(20);

/// Events in one query of an export.
const EXPORT_PAGE: usize = 1_000;

/// Positions in a block. Another number needs an empty `event_blocks`.
const BLOCK_EVENTS: i64 = 4_096;

/// The most blocks that one statement reads: some tenths of a second.
pub(super) const BLOCKS_AT_ONCE: usize = 64;

/// Positions behind `after` up to `until`.
struct Range {
    after: i64,
    until: i64,
}

impl JournalReader {
    /// At most `limit` events after `after` that pass the filter, in order of position, and none behind
    /// the one with which they are [`MAX_BATCH_BYTES`](domain::MAX_BATCH_BYTES) or more. Events of other
    /// streams are not read, and those of other types only where they stand near one that is wanted.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn page(
        &self,
        after: Position,
        limit: usize,
        filter: &Filter,
    ) -> Result<Vec<Arc<RecordedEvent>>, ReadError> {
        let range =
            Range { after: after.bigint(), until: filter.until.unwrap_or(Position::LAST).bigint() };
        let page = async {
            if let Some(aggregate_id) = &filter.aggregate_id {
                self.of_streams(&range, limit, aggregate_id, filter).await
            } else if filter.aggregate_type.is_some() || !filter.event_types.is_empty() {
                self.of_types(range, limit, filter).await
            } else {
                self.of_all(&range, limit).await
            }
        };
        Ok(within(PAGE_PATIENCE, page).await?)
    }

    async fn of_all(
        &self,
        range: &Range,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
        let sql = format!(
            "select {COLUMNS} from events where position > $1 and position <= $2 \
             order by position limit $3"
        );
        let query = sqlx::query(&sql).bind(range.after).bind(range.until).bind(limit_of(limit));
        read_batch(query.fetch(&self.pool), Position::START).await
    }

    /// Of the streams with this id, one for each type of aggregates: within a stream the sequence is in
    /// the order of positions.
    async fn of_streams(
        &self,
        range: &Range,
        limit: usize,
        aggregate_id: &str,
        filter: &Filter,
    ) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
        let aggregate_types = match &filter.aggregate_type {
            Some(aggregate_type) => vec![aggregate_type.as_str()],
            None => AGGREGATES.iter().map(|events| events.aggregate_type).collect(),
        };
        let sql = format!(
            "select {COLUMNS} from unnest($4::text[]) as wanted (of_type) \
             cross join lateral (select * from events e \
               where e.aggregate_type = wanted.of_type and e.aggregate_id = $5 \
                 and e.position > $1 and e.position <= $2 \
                 and (cardinality($6::text[]) = 0 or e.event_type = any($6)) \
               order by e.sequence limit $3) as found order by position limit $3"
        );
        let query = sqlx::query(&sql)
            .bind(range.after)
            .bind(range.until)
            .bind(limit_of(limit))
            .bind(aggregate_types)
            .bind(aggregate_id)
            .bind(&filter.event_types)
            // Planned for these values: a plan for any would expect a tenth of the journal.
            .persistent(false);
        read_batch(query.fetch(&self.pool), Position::START).await
    }

    /// Block by block, over those that hold none: no statement takes long, and whoever leaves is at the
    /// end of one.
    async fn of_types(
        &self,
        mut range: Range,
        limit: usize,
        filter: &Filter,
    ) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
        let sql = format!(
            "select {COLUMNS} from unnest($3::bigint[]) as wanted (block) \
             cross join lateral (select * from events e \
               where e.position > greatest($1, wanted.block * {BLOCK_EVENTS}) \
                 and e.position <= least($2, (wanted.block + 1) * {BLOCK_EVENTS}) \
                 and ($5::text is null or e.aggregate_type = $5) \
                 and (cardinality($6::text[]) = 0 or e.event_type = any($6)) \
               order by e.position limit $4) as found order by position limit $4"
        );
        let kinds = kinds(filter);
        let mut page = Vec::new();
        // What is frequent is found in the first ones.
        let mut at_once = 1;
        loop {
            let blocks = self.blocks(&range, &kinds, at_once).await?;
            let query = sqlx::query(&sql)
                .bind(range.after)
                .bind(range.until)
                .bind(&blocks)
                .bind(limit_of(limit - page.len()))
                .bind(&filter.aggregate_type)
                .bind(&filter.event_types)
                .persistent(false);
            page.extend(read_batch(query.fetch(&self.pool), Position::START).await?);
            match blocks.last() {
                Some(last) if blocks.len() == at_once && !batch_is_full(&page, limit) => {
                    range.after = range.after.max((last + 1) * BLOCK_EVENTS);
                    at_once = BLOCKS_AT_ONCE.min(2 * at_once);
                }
                _ => return Ok(page),
            }
        }
    }

    /// The next blocks in which there may be events of these kinds.
    async fn blocks(
        &self,
        range: &Range,
        kinds: &[String],
        limit: usize,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let sql = format!(
            "select next.block \
             from generate_series($1 / {BLOCK_EVENTS}, \
                    (least($2, (select max(position) from events)) - 1) / {BLOCK_EVENTS}) as next (block) \
             left join event_blocks known using (block) \
             where known.block is null or known.kinds && $3 \
             order by next.block limit $4"
        );
        sqlx::query_scalar(&sql)
            .bind(range.after)
            .bind(range.until)
            .bind(kinds)
            .bind(limit_of(limit))
            .fetch_all(&self.pool)
            .await
    }

    /// Everything after `after` that passes the filter, up to the end of the journal as it was at
    /// the start: bounded memory, for downloads. A database error ends the stream as an error,
    /// never as if it were complete; so does another journal that took this one's place meanwhile.
    pub fn export(
        &self,
        after: Position,
        filter: Filter,
    ) -> impl Stream<Item = Result<Arc<RecordedEvent>, ReadError>> + Send + 'static {
        let reader = self.clone();
        let pages = futures::stream::try_unfold(Some(Cursor::at(after)), move |after| {
            let (reader, filter) = (reader.clone(), filter.clone());
            async move {
                let Some(after) = after else { return Ok(None) };
                let page = reader.page(after.position, EXPORT_PAGE, &filter).await?;
                // Asked after the page, so that what the page is from is what is asked.
                reader.still_holds(after).await?;
                let is_last = !batch_is_full(&page, EXPORT_PAGE);
                let next = page.last().filter(|_| !is_last).map(|event| Cursor::behind(event));
                Ok::<_, ReadError>(Some((page, next)))
            }
        });
        pages.map_ok(|page| futures::stream::iter(page).map(Ok)).try_flatten()
    }

    async fn still_holds(&self, cursor: Cursor) -> Result<(), ReadError> {
        let Some(event_id) = cursor.event_id else { return Ok(()) };
        let there: Option<Uuid> =
            sqlx::query_scalar("select event_id from events where position = $1")
                .bind(cursor.position.bigint())
                .fetch_optional(&self.pool)
                .await?;
        if there == Some(event_id) { Ok(()) } else { Err(ReadError::OtherHistory) }
    }
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What blocks that hold something for the filter say that they hold.
fn kinds(filter: &Filter) -> Vec<String> {
    let Filter { event_types, aggregate_type, .. } = filter;
    if event_types.is_empty() {
        return aggregate_type.iter().cloned().collect();
    }
    let of = |name: &str| aggregate_type.as_ref().is_none_or(|wanted| wanted == name);
    let aggregate_types = AGGREGATES.iter().map(|events| events.aggregate_type);
    aggregate_types
        .filter(|name| of(name))
        .flat_map(|name| event_types.iter().map(move |event| format!("{name}/{event}")))
        .collect()
}

/// Writes down what full blocks hold of which nobody has; how many there were. Harmless when repeated,
/// and at several processes at once.
///
/// # Errors
/// When the database does not do it.
pub async fn summarize(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let sql = format!(
        "insert into event_blocks (block, kinds) \
         select next.block, coalesce(held.kinds, '{{}}') from ( \
           select block \
             from generate_series(0, (select max(position) from events) / {BLOCK_EVENTS} - 1) as whole (block) \
             left join event_blocks known using (block) \
            where known.block is null order by block limit $1) next \
         cross join lateral (select array_agg(distinct kind) as kinds \
           from events e, lateral (values (e.aggregate_type), \
                                          (e.aggregate_type || '/' || e.event_type)) as kinds (kind) \
          where e.position > next.block * {BLOCK_EVENTS} \
            and e.position <= (next.block + 1) * {BLOCK_EVENTS}) as held \
         on conflict do nothing"
    );
    let written = sqlx::query(&sql).bind(limit_of(BLOCKS_AT_ONCE)).execute(pool).await?;
    Ok(written.rows_affected())
}
