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

/// How often the settings that promises rest on are asked for again, before a batch.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

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
    /// It was one when that was asked.
    pub(super) is_standby: bool,
    pub(super) opened: Instant,
    /// When its settings were asked for.
    looked: Instant,
    /// What makes its acknowledgements worth less than they say.
    pub(super) not_durable: Vec<&'static str>,
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
            Self::look(connection, Instant::now(), clock).await
        };
        timeout(CONNECT_TIMEOUT, opening).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// The same session with what is to be known of it as it is now: settings change while one lasts.
    pub(super) async fn looked_at(self, clock: &Clock) -> Result<Self, sqlx::Error> {
        if self.looked.elapsed() < LOOK_INTERVAL {
            return Ok(self);
        }
        let looking = Self::look(self.connection, self.opened, clock);
        timeout(CONNECT_TIMEOUT, looking).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn look(
        mut connection: PgConnection,
        opened: Instant,
        clock: &Clock,
    ) -> Result<Self, sqlx::Error> {
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
        Ok(Self {
            connection,
            backend,
            waits_for_standby: standby,
            is_standby: row.try_get(6)?,
            opened,
            looked: asked,
            not_durable: not_durable(fsync, &commit, standby),
        })
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
fn not_durable(fsync: bool, commit: &str, has_standby: bool) -> Vec<&'static str> {
    let no_fsync = "fsync is off, and a crash of the machine may damage the database";
    let commit = match commit {
        "off" => Some("synchronous_commit is off, and a crash takes the last commits"),
        "local" if has_standby => {
            Some("synchronous_commit is local, and a fail-over takes the last commits")
        }
        _ => None,
    };
    (!fsync).then_some(no_fsync).into_iter().chain(commit).collect()
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
        let said = |fsync, commit, has_standby| not_durable(fsync, commit, has_standby).len();
        assert_eq!(said(true, "on", false), 0);
        assert_eq!(said(true, "remote_apply", true), 0);
        assert_eq!(said(true, "local", false), 0);
        assert_eq!(said(true, "local", true), 1);
        assert_eq!(said(true, "off", false), 1);
        assert_eq!(said(false, "on", false), 1);
        assert_eq!(said(false, "off", false), 2);
    }
}
