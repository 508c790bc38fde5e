//! Which process relays: whoever holds a session's advisory lock in PostgreSQL.
//!
//! The server gives the lock up when the session ends, and ends the session when nothing was heard
//! from its holder for a moment. So a holder that was killed is followed within a poll interval,
//! and one that hangs, or whose machine is gone, within two seconds. Two holders for a moment do no
//! harm, see the [parent](super).

use domain::locks;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

/// How often others ask for the lock.
const POLL: Duration = Duration::from_millis(250);
/// How often the holder is heard from.
const HEARTBEAT: Duration = Duration::from_millis(300);
/// When the server gives up on a holder: four missed heartbeats. With a poll, and half a second to
/// compare the stream and publish, another one is publishing within two seconds.
const SILENCE_MS: u32 = 1200;
/// A server that does not answer by then is treated as gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks for the lease.
#[derive(Debug)]
pub(super) struct Contender {
    options: Arc<PgConnectOptions>,
    stream: String,
    connection: Option<PgConnection>,
}

/// Held while this value lives, and lost when the connection is.
#[derive(Debug)]
pub(super) struct Lease {
    lost: oneshot::Receiver<()>,
    _heart: AbortOnDropHandle<()>,
}

impl Contender {
    pub(super) fn new(pool: &PgPool, stream: &str) -> Self {
        Self { options: pool.connect_options(), stream: stream.to_owned(), connection: None }
    }

    /// Waits until the lease is ours; `standby` is called when somebody else has it.
    pub(super) async fn lease(&mut self, standby: impl Fn()) -> Result<Lease, sqlx::Error> {
        loop {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => patiently(connect(&self.options)).await?,
            };
            // Never the waiting form of the lock: a statement that waits keeps a snapshot open,
            // which keeps the whole database from being vacuumed.
            let ours: bool = patiently(
                sqlx::query_scalar("select pg_try_advisory_lock($1, hashtext($2))")
                    .bind(locks::RELAY)
                    .bind(&self.stream)
                    .fetch_one(&mut connection),
            )
            .await?;
            if ours {
                return Ok(Lease::held_by(connection));
            }
            self.connection = Some(connection);
            standby();
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Lease {
    fn held_by(mut connection: PgConnection) -> Self {
        let (lose, lost) = oneshot::channel();
        let heart = tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                if patiently(connection.ping()).await.is_err() {
                    let _nobody_waits = lose.send(());
                    return;
                }
            }
        });
        Self { lost, _heart: AbortOnDropHandle::new(heart) }
    }

    /// Returns when the lease is not ours any more.
    pub(super) async fn lost(&mut self) {
        let _either_way = (&mut self.lost).await;
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let options = options.clone().application_name("gomall relay");
    let mut connection = PgConnection::connect_with(&options).await?;
    sqlx::query(&format!("set idle_session_timeout = {SILENCE_MS}"))
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

async fn patiently<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}
