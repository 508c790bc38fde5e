use super::view::{AddressBanView, PolicyView, PublicPathView, RuleView};
use crate::page::{Limit, Page, QueryError, parse_cursor};
use crate::rows::Row;
use domain::{BanId, Position, PublicPathId, RuleId};
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

/// The policy as a whole, of one snapshot. Unbounded by design: a rule that is left out would
/// change decisions.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn load(pool: &PgPool) -> Result<PolicyView, QueryError> {
    let all = |columns: &str, table: &str| {
        format!(
            "(select coalesce(json_agg(r order by r.added_position), '[]'::json) \
             from (select {columns} from {table}) r)"
        )
    };
    let select = format!(
        "select json_build_object(\
         'version', coalesce(max(version), 0), 'position', coalesce(max(position), 0), \
         'rules', {}, 'public_paths', {}, 'address_bans', {}) from policies",
        all(RuleView::COLUMNS, RuleView::TABLE),
        all(PublicPathView::COLUMNS, PublicPathView::TABLE),
        all(AddressBanView::COLUMNS, AddressBanView::TABLE),
    );
    let Json(policy) = sqlx::query_scalar(&select).fetch_one(pool).await?;
    Ok(policy)
}

/// The permission rules in the order in which they were added.
///
/// # Errors
/// [`QueryError`].
pub async fn rules(
    pool: &PgPool,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<RuleView>, QueryError> {
    list(pool, cursor, limit, |rule: &RuleView| rule.added_position).await
}

/// One permission rule.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn rule_by_id(pool: &PgPool, rule_id: RuleId) -> Result<Option<RuleView>, QueryError> {
    one(pool, rule_id.uuid()).await
}

/// The public paths in the order in which they were added.
///
/// # Errors
/// [`QueryError`].
pub async fn public_paths(
    pool: &PgPool,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<PublicPathView>, QueryError> {
    list(pool, cursor, limit, |entry: &PublicPathView| entry.added_position).await
}

/// One entry of the public paths.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn public_path_by_id(
    pool: &PgPool,
    public_path_id: PublicPathId,
) -> Result<Option<PublicPathView>, QueryError> {
    one(pool, public_path_id.uuid()).await
}

/// The banned addresses in the order in which they were banned, lapsed bans included.
///
/// # Errors
/// [`QueryError`].
pub async fn address_bans(
    pool: &PgPool,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<AddressBanView>, QueryError> {
    list(pool, cursor, limit, |ban: &AddressBanView| ban.added_position).await
}

/// One ban of addresses.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn address_ban_by_id(
    pool: &PgPool,
    ban_id: BanId,
) -> Result<Option<AddressBanView>, QueryError> {
    one(pool, ban_id.uuid()).await
}

async fn one<R: Row>(pool: &PgPool, id: Uuid) -> Result<Option<R>, QueryError> {
    let (columns, table, (key, _)) = (R::COLUMNS, R::TABLE, R::KEY);
    let select =
        format!("select row_to_json(r) from (select {columns} from {table} where {key} = $1) r");
    let found: Option<Json<R>> = sqlx::query_scalar(&select).bind(id).fetch_optional(pool).await?;
    Ok(found.map(|Json(row)| row))
}

async fn list<R: Row>(
    pool: &PgPool,
    cursor: Option<&str>,
    limit: Limit,
    added_position: impl Fn(&R) -> Position,
) -> Result<Page<R>, QueryError> {
    let after: Position = parse_cursor(cursor)?.unwrap_or_default();
    let (columns, table) = (R::COLUMNS, R::TABLE);
    let select = format!(
        "select row_to_json(r) from (select {columns} from {table} \
         where added_position > $1 order by added_position limit $2) r"
    );
    let found: Vec<Json<R>> = sqlx::query_scalar(&select)
        .bind(after.bigint())
        .bind(limit.look_ahead())
        .fetch_all(pool)
        .await?;
    let rows = found.into_iter().map(|Json(row)| row).collect();
    Ok(Page::cut(rows, limit, added_position))
}
