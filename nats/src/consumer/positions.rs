//! The cursors: up to which position every event of a consumer had its effect.

use sqlx::PgPool;

/// 0 when the consumer has never run.
pub(super) async fn load(pool: &PgPool, name: &str) -> Result<u64, sqlx::Error> {
    let position: Option<i64> =
        sqlx::query_scalar("select position from consumer_positions where name = $1")
            .bind(name)
            .fetch_optional(pool)
            .await?;
    Ok(position.and_then(|position| u64::try_from(position).ok()).unwrap_or(0))
}

/// Never goes back: several processes save what each of them knows.
pub(super) async fn advance(pool: &PgPool, name: &str, position: u64) -> Result<(), sqlx::Error> {
    let position = i64::try_from(position).unwrap_or(i64::MAX);
    sqlx::query(
        "insert into consumer_positions (name, position) values ($1, $2)
         on conflict (name) do update set position = excluded.position
           where consumer_positions.position < excluded.position",
    )
    .bind(name)
    .bind(position)
    .execute(pool)
    .await?;
    Ok(())
}
