//! Connections to PostgreSQL: how many, for whom, and how long each side waits for the other.
//!
//! A host that loses its power, a NAT that forgets and a backend that is frozen answer nothing, also no
//! "no". So the server ends sessions of clients that are gone, and a client drops a connection that is
//! late: what a session was in the middle of is never known, and a fresh one costs a millisecond.
//!
//! Requests, workers, mails, searches and reports have pools of their own, so that none can take the others' connections.

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use std::time::Duration;
use tokio::time::timeout;

/// Connections for requests: reads and cold loads. Writes have one of their own, each projection too.
pub const REQUEST_CONNECTIONS: u32 = 16;

/// Connections for what works in the background: the tail, the relay, settlement.
pub const WORKER_CONNECTIONS: u32 = 8;

/// Connections for mails: what waits for their table takes nobody else's.
pub const MAIL_CONNECTIONS: u32 = 4;

/// Connections for searches, which cost more than other reads and matter less than selling.
pub const SEARCH_CONNECTIONS: u32 = 4;

/// Connections for reports over the whole journal, which take long and can wait.
pub const REPORT_CONNECTIONS: u32 = 4;

/// How long somebody waits for a connection before hearing that there is none.
const POOL_WAIT: Duration = Duration::from_secs(2);

/// The longest that the server works on one statement of ours, unless it is told otherwise: longer than
/// any of them takes, shorter than anybody waits.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the server lets a session hold a transaction open without a word.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(30);

/// When the server takes a client for gone that acknowledges nothing.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);

/// How often the server looks, in the middle of a statement, whether its client is still there.
const CLIENT_CHECK: Duration = Duration::from_secs(5);

/// After how much silence the server asks a client for a sign of life, how often, and how many times.
const KEEPALIVES: [(&str, &str); 3] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// Connections that were idle for longer are asked for a sign of life before they are used.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// One in so many uses of the others is looked at, too: what is never idle must not keep a setting for ever
/// that it was opened with.
const LOOKED_AT: u8 = 32;

/// How long that may take: far longer than an idle server needs, short enough for a request to try
/// others in the time that it waits for one.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

/// How long a connection may take to be in order again after its user has left it.
const ORDER: Duration = Duration::from_secs(2);

/// The pools of one process.
pub struct Pools {
    /// For whoever is answered over HTTP.
    pub requests: PgPool,
    /// For what works in the background.
    pub workers: PgPool,
    /// For mails.
    pub mails: PgPool,
    /// For whoever searches the catalogue.
    pub searches: PgPool,
    /// For whoever reads the whole journal.
    pub reports: PgPool,
}

impl Pools {
    /// Opens all of them.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn connect(database: &PgConnectOptions) -> anyhow::Result<Self> {
        Ok(Self {
            requests: open(REQUEST_CONNECTIONS, database, "gomall").await?,
            workers: open(WORKER_CONNECTIONS, database, "gomall worker").await?,
            mails: open(MAIL_CONNECTIONS, database, "gomall mail").await?,
            searches: open(SEARCH_CONNECTIONS, database, "gomall search").await?,
            reports: open(REPORT_CONNECTIONS, database, "gomall report").await?,
        })
    }
}

/// A pool for a tool that runs beside a shop.
///
/// # Errors
/// When the database cannot be reached.
pub async fn connect(database: &PgConnectOptions) -> anyhow::Result<PgPool> {
    open(WORKER_CONNECTIONS, &session(database), "gomall").await
}

async fn open(connections: u32, database: &PgConnectOptions, name: &str) -> anyhow::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(POOL_WAIT)
        // A round trip for every use would be paid by every request: what rested is asked, and one of many.
        .test_before_acquire(false)
        .before_acquire(|connection, resting| {
            Box::pin(async move {
                if resting.idle_for >= FRESH_FOR || rand::random::<u8>().is_multiple_of(LOOKED_AT) {
                    return within(SIGN_OF_LIFE, takes_writes(connection)).await;
                }
                Ok(true)
            })
        })
        // Whoever left in the middle of a statement left its answer behind. sqlx would wait for it
        // without a bound, and let nobody else have the place; an error closes the connection at once.
        // Where nothing was left behind this costs no round trip.
        .after_release(|connection, _| {
            Box::pin(async move {
                within(ORDER, connection.flush()).await?;
                Ok(true)
            })
        })
        .connect_with(database.clone().application_name(name))
        .await
        .context("PostgreSQL cannot be reached; see DATABASE_URL")
}

/// Whether the connection lives, and writes are not refused by a setting that it was opened with: the next
/// one may be opened without, and is known to work or not when it is used.
async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select current_setting('default_transaction_read_only') = 'off'")
        .fetch_one(connection)
        .await
}

async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(patience, answer).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// How every session of ours begins, on the server's side.
#[must_use]
pub fn session(database: &PgConnectOptions) -> PgConnectOptions {
    let ms = |duration: Duration| duration.as_millis().to_string();
    database
        .clone()
        .options([
            ("statement_timeout", ms(STATEMENT_TIMEOUT)),
            ("idle_in_transaction_session_timeout", ms(IDLE_IN_TRANSACTION)),
            ("tcp_user_timeout", ms(TCP_USER_TIMEOUT)),
            ("client_connection_check_interval", ms(CLIENT_CHECK)),
        ])
        .options(KEEPALIVES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use compose::testing::{TestStack, eventually};
    use std::str::FromStr;

    #[tokio::test]
    async fn a_session_that_was_told_to_only_read_is_not_kept_however_busy_it_is() {
        let database = TestStack::shared().await.database("only-reads").await;
        let connect = PgConnectOptions::from_str(database.url()).expect("an address");
        let name = connect.get_database().expect("it has a name").to_owned();
        let mut other = PgConnection::connect_with(&connect).await.expect("it is up");
        let mut say = async |what: &str| {
            let statement = format!("alter database \"{name}\" {what}");
            sqlx::query(&statement).execute(&mut other).await.expect("we are superuser");
        };
        say("set default_transaction_read_only = on").await;
        let pool = open(1, &connect, "test").await.expect("it is up");
        let write = async || sqlx::query("create table written ()").execute(&pool).await;
        let refused = write().await.expect_err("it only reads");
        assert!(refused.to_string().contains("read-only"), "{refused}");
        say("reset default_transaction_read_only").await;
        // Never idle for a second.
        eventually("it writes again", async || write().await.ok().map(drop)).await;
    }
}
