use super::view::{BanView, UserView};
use crate::page::{Limit, Page, QueryError, parse_cursor};
use crate::rows::Row;
use domain::{RoleName, Timestamp, UserId};
use sqlx::types::Json;
use sqlx::{PgPool, Postgres, QueryBuilder};
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// One user; none when they never registered or are erased.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_id(pool: &PgPool, user_id: UserId) -> Result<Option<UserView>, QueryError> {
    let mut query = select();
    query.push("user_id = ").push_bind(user_id.uuid()).push(") r");
    Ok(fetch(pool, query).await?.pop())
}

/// One user by the number that people and old clients use.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_number(pool: &PgPool, number: i32) -> Result<Option<UserView>, QueryError> {
    let mut query = select();
    query.push("number = ").push_bind(number).push(" order by user_id limit 1) r");
    Ok(fetch(pool, query).await?.pop())
}

/// All users by number, lowest first.
///
/// # Errors
/// [`QueryError`].
pub async fn list(
    pool: &PgPool,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<UserView>, QueryError> {
    let after: (i32, UserId) = parse_cursor(cursor)?.unwrap_or((i32::MIN, Uuid::nil().into()));
    let mut query = select();
    query.push("(number, user_id) > (").push_bind(after.0).push(", ").push_bind(after.1.uuid());
    query.push(") order by number, user_id limit ").push_bind(limit.look_ahead()).push(") r");
    let users = fetch(pool, query).await?;
    Ok(Page::cut(users, limit, |user| (user.number, user.user_id)))
}

/// Everybody who has a ban, lapsed ones included, for whoever enforces them.
///
/// Unbounded by design: leaving one out would let a banned user in. A row is some 100 bytes.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn banned(pool: &PgPool) -> Result<Vec<(UserId, BanView)>, QueryError> {
    let found: Vec<(Uuid, Json<BanView>)> =
        sqlx::query_as("select user_id, ban from users where ban is not null order by user_id")
            .fetch_all(pool)
            .await?;
    Ok(found.into_iter().map(|(user_id, Json(ban))| (user_id.into(), ban)).collect())
}

/// Who holds a role, beside `except`, and is not banned at `now`: of those who have all their roles in
/// common the oldest account. At most `limit`, those with the fewest roles first.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn one_of_each_kind(
    pool: &PgPool,
    role: &RoleName,
    except: Option<UserId>,
    now: Timestamp,
    limit: u16,
) -> Result<Vec<(UserId, BTreeSet<RoleName>)>, QueryError> {
    // Rows of before hold roles in the case in which they were granted.
    let found: Vec<(Uuid, Json<BTreeSet<RoleName>>)> = sqlx::query_as(
        "select user_id, to_jsonb(roles) from \
         (select distinct on (roles) user_id, roles, number from users \
          where $1 = any(lower(roles::text)::text[]) and user_id is distinct from $2 \
          and (ban is null or (ban->>'until')::timestamptz <= $3) order by roles, number) kinds \
         order by cardinality(roles), number limit $4",
    )
    .bind(role.as_str())
    .bind(except.map(UserId::uuid))
    .bind(OffsetDateTime::from(now))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(|(user_id, Json(roles))| (user_id.into(), roles)).collect())
}

/// Whether anybody has the role.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn is_held(pool: &PgPool, role: &RoleName) -> Result<bool, QueryError> {
    Ok(sqlx::query_scalar(
        "select exists (select 1 from users where $1 = any(lower(roles::text)::text[]))",
    )
    .bind(role.as_str())
    .fetch_one(pool)
    .await?)
}

fn select() -> QueryBuilder<'static, Postgres> {
    let columns = UserView::COLUMNS;
    QueryBuilder::new(format!("select row_to_json(r) from (select {columns} from users where "))
}

async fn fetch(
    pool: &PgPool,
    mut query: QueryBuilder<'_, Postgres>,
) -> Result<Vec<UserView>, QueryError> {
    let found: Vec<Json<UserView>> = query.build_query_scalar().fetch_all(pool).await?;
    Ok(found.into_iter().map(|Json(user)| user).collect())
}
