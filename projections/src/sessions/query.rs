use super::view::SessionView;
use crate::page::{Limit, Page, QueryError, parse_cursor};
use crate::rows::Row;
use domain::{SessionId, Timestamp, UserId};
use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;

/// The sessions of a user that go on at `now`, when all of them have ended `epoch` times: newest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    user_id: UserId,
    epoch: u32,
    now: Timestamp,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<SessionView>, QueryError> {
    let before: Option<(Timestamp, SessionId)> = parse_cursor(cursor)?;
    let columns = SessionView::COLUMNS;
    let select = format!(
        "select row_to_json(r) from (select {columns} from sessions \
         where user_id = $1 and epoch = $2 and expires_at > $3 \
         and ($4::timestamptz is null or (started_at, session_id) < ($4, $5)) \
         order by started_at desc, session_id desc limit $6) r"
    );
    let found: Vec<Json<SessionView>> = sqlx::query_scalar(&select)
        .bind(user_id.uuid())
        .bind(i64::from(epoch))
        .bind(OffsetDateTime::from(now))
        .bind(before.map(|(at, _)| OffsetDateTime::from(at)))
        .bind(before.map(|(_, id)| id.uuid()))
        .bind(limit.look_ahead())
        .fetch_all(pool)
        .await?;
    let sessions = found.into_iter().map(|Json(session)| session).collect();
    Ok(Page::cut(sessions, limit, |session| (session.started_at, session.session_id)))
}
