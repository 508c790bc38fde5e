//! The writer's connection: how it is opened, what is to be known of it, and how it is left.

use super::clock::Clock;
use domain::locks;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tracing::warn;

/// The longest that connecting may take: a host that swallows packets must not hold the writer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server may take to end a backend that was left.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// A backend of ours, so that nobody else's is taken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    pid: i32,
    started: OffsetDateTime,
}

/// An open connection with what is known of it.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) backend: Backend,
    /// Commits wait for a standby, so that what is found committed may still be on one host only.
    pub(super) waits_for_standby: bool,
    /// It was one when the connection was made.
    pub(super) is_standby: bool,
    pub(super) opened: Instant,
}

impl Session {
    /// Connects, takes the database's time, and ends a backend that was left in the middle of an
    /// append: nothing may commit any more when its callers have been told that it is not known.
    pub(super) async fn open(
        connect: &PgConnectOptions,
        clock: &Clock,
        left: Option<&Backend>,
    ) -> Result<Self, sqlx::Error> {
        let opening = async {
            let mut connection = connect.connect().await?;
            if let Some(left) = left {
                end(&mut connection, left).await?;
            }
            Self::look(connection, clock).await
        };
        timeout(CONNECT_TIMEOUT, opening).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn look(mut connection: PgConnection, clock: &Clock) -> Result<Self, sqlx::Error> {
        let asked = Instant::now();
        let row = sqlx::query(
            "select pid, backend_start, clock_timestamp(), current_setting('fsync') = 'on', \
                    current_setting('synchronous_commit'), \
                    current_setting('synchronous_standby_names') <> '', pg_is_in_recovery() \
             from pg_stat_activity where pid = pg_backend_pid()",
        )
        .fetch_one(&mut connection)
        .await?;
        clock.set_by(row.try_get(2)?, asked.elapsed());
        let backend = Backend { pid: row.try_get(0)?, started: row.try_get(1)? };
        let (fsync, commit, standby): (bool, String, bool) =
            (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
        if let Some(what) = not_durable(fsync, &commit, standby) {
            warn!("acknowledged commands can be lost: {what}");
        }
        let is_standby = row.try_get(6)?;
        Ok(Self { connection, backend, waits_for_standby: standby, is_standby, opened: asked })
    }

    /// Waits until whatever is committed is on the standby that commits wait for. A batch that is found
    /// there when it is sent again was committed by a transaction that may not have waited to its end:
    /// this one does, behind it.
    pub(super) async fn confirm(&mut self) -> Result<(), sqlx::Error> {
        // Only a transaction that writes something waits.
        sqlx::query("select pg_logical_emit_message(true, 'gomall.confirm', '')")
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Begins a transaction with the lock of `journal_append_v4`: nobody appends until its end.
    pub(super) async fn begin_turn(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query("begin").execute(&mut self.connection).await?;
        let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(locks::APPEND);
        lock.execute(&mut self.connection).await?;
        Ok(())
    }

    /// Ends it, by `commit` or `rollback`.
    pub(super) async fn end_turn(&mut self, how: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(how).execute(&mut self.connection).await?;
        Ok(())
    }

    pub(super) async fn close(self) {
        let _ = timeout(END_TIMEOUT, self.connection.close()).await;
    }
}

/// What makes an acknowledgement worth less than it says.
fn not_durable(fsync: bool, commit: &str, has_standby: bool) -> Option<&'static str> {
    match (fsync, commit) {
        (false, _) => Some("fsync is off, and a crash of the machine may damage the database"),
        (_, "off") => Some("synchronous_commit is off, and a crash takes the last commits"),
        (_, "local") if has_standby => {
            Some("synchronous_commit is local, and a fail-over takes the last commits")
        }
        _ => None,
    }
}

async fn end(connection: &mut PgConnection, left: &Backend) -> Result<(), sqlx::Error> {
    let wait_ms = i64::try_from(END_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
    let ended: Option<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid, $3) from pg_stat_activity \
         where pid = $1 and backend_start = $2",
    )
    .bind(left.pid)
    .bind(left.started)
    .bind(wait_ms)
    .fetch_optional(connection)
    .await?;
    if ended == Some(false) {
        warn!(postgresql.pid = left.pid, "a backend that was left does not end; it may be frozen");
    }
    Ok(())
}

/// The writer's session. The function's plans must not depend on how full the tables were when
/// they were first made: look-ups by key, always. Planned otherwise they cost a third of the
/// throughput, and more as the table grows.
pub(super) fn options(connect: PgConnectOptions, append_timeout: Duration) -> PgConnectOptions {
    let timeout_ms = append_timeout.as_millis().to_string();
    connect
        .application_name("gomall journal")
        .options([
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
            // Whatever the role or the database says: the function refuses any other.
            ("default_transaction_isolation", "read\\ committed"),
        ])
        .options([("statement_timeout", timeout_ms.as_str())])
}

#[cfg(test)]
mod tests {
    use super::not_durable;

    #[test]
    fn what_makes_an_acknowledgement_worth_less_is_said() {
        assert_eq!(not_durable(true, "on", false), None);
        assert_eq!(not_durable(true, "remote_apply", true), None);
        assert_eq!(not_durable(true, "local", false), None);
        assert!(not_durable(true, "local", true).is_some());
        assert!(not_durable(true, "off", false).is_some());
        assert!(not_durable(false, "on", false).is_some());
    }
}
