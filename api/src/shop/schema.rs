use anyhow::Context as _;
use sqlx::PgPool;

/// Refuses to run on a database that `gomall migrate` has not brought up to this build.
///
/// # Errors
/// When a migration is missing.
pub async fn check_schema(pool: &PgPool) -> anyhow::Result<()> {
    let applied: Vec<i64> =
        sqlx::query_scalar("select version from _sqlx_migrations where success order by version")
            .fetch_all(pool)
            .await
            .context("the database has no schema yet; run `gomall migrate`")?;
    let missing = commands::MIGRATOR.iter().find(|one| !applied.contains(&one.version));
    match missing {
        None => Ok(()),
        Some(one) => anyhow::bail!("migration {} is missing; run `gomall migrate`", one.version),
    }
}
