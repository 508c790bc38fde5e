//! How many mails a recipient gets within an hour, counted by all processes together.

use follow::patience::within;
use sqlx::PgPool;
use std::time::Duration;

/// The most mails of one recipient within an hour from the first on: more than anybody orders, and a nuisance at most
/// to somebody whose address a stranger gives. What is over waits for its turn.
pub const MAX_MAILS_AN_HOUR: u32 = 30;

/// That hour, in seconds.
const HOUR_SECONDS: f64 = 3600.0;

/// Takes one of the places of the recipient's hour, of so many; or says in how long there will be some.
pub(super) async fn take(
    pool: &PgPool,
    recipient: &str,
    most: u32,
) -> Result<Result<(), Duration>, sqlx::Error> {
    // Whoever comes second waits for the row, and sees what the first has taken.
    let taken = sqlx::query(
        "insert into mails_of_an_hour as h (recipient, began_at, mails) values ($1, clock_timestamp(), 1)
         on conflict (recipient) do update
           set mails = case when h.began_at > clock_timestamp() - make_interval(secs => $3)
                            then h.mails + 1 else 1 end,
               began_at = case when h.began_at > clock_timestamp() - make_interval(secs => $3)
                               then h.began_at else clock_timestamp() end
         where h.mails < $2 or h.began_at <= clock_timestamp() - make_interval(secs => $3)",
    )
    .bind(recipient)
    .bind(i32::try_from(most).unwrap_or(i32::MAX))
    .bind(HOUR_SECONDS)
    .execute(pool);
    if within(taken).await?.rows_affected() > 0 {
        return Ok(Ok(()));
    }
    let left = sqlx::query_scalar(
        "select (extract(epoch from began_at - clock_timestamp()) + $2)::float8
           from mails_of_an_hour where recipient = $1",
    )
    .bind(recipient)
    .bind(HOUR_SECONDS)
    .fetch_optional(pool);
    let left: Option<f64> = within(left).await?;
    Ok(Err(Duration::try_from_secs_f64(left.unwrap_or(0.0)).unwrap_or_default()))
}

/// Gives a place back: its mail was not sent.
pub(super) async fn give_back(pool: &PgPool, recipient: &str) -> Result<(), sqlx::Error> {
    let given = sqlx::query(
        "update mails_of_an_hour set mails = mails - 1 where recipient = $1 and mails > 0",
    )
    .bind(recipient)
    .execute(pool);
    within(given).await?;
    Ok(())
}

/// Forgets the recipients whose hour is over.
pub(super) async fn forget(pool: &PgPool) -> Result<(), sqlx::Error> {
    let forgotten = sqlx::query(
        "delete from mails_of_an_hour where began_at <= clock_timestamp() - make_interval(secs => $1)",
    )
    .bind(HOUR_SECONDS)
    .execute(pool);
    within(forgotten).await?;
    Ok(())
}
