//! Waits for PostgreSQL at the start of a process.
//!
//! Whoever starts many processes at once, or starts one anew after a crash of the machine, starts it
//! before PostgreSQL takes connections. Once a process works, each of its parts waits by itself.

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// How long a start waits. A server that crashed under load has recovered by then as a rule, and what
/// starts us (systemd, Kubernetes) has not lost its patience: that takes 90 seconds or more.
const SERVER_PATIENCE: Duration = Duration::from_secs(60);
/// How long one attempt may take: longer than a good answer, shorter than the packets of a host that
/// is gone are sent again.
const ATTEMPT_PATIENCE: Duration = Duration::from_secs(5);
/// The first and the longest pause between attempts. Short, because everybody waits for us; an attempt
/// costs the server next to nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// `cannot_connect_now`: it starts, recovers or stops.
const CANNOT_CONNECT_NOW: &str = "57P03";
/// `too_many_connections`: those of whoever was here before us may not have ended yet.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// Returns when PostgreSQL takes connections to this database.
///
/// # Errors
/// When it does not within [`SERVER_PATIENCE`]; at once when waiting cannot help (a wrong password, no
/// such database).
pub async fn wait_for(database: &PgConnectOptions) -> anyhow::Result<()> {
    wait_until(Instant::now() + SERVER_PATIENCE, database).await
}

async fn wait_until(deadline: Instant, database: &PgConnectOptions) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut said = false;
    loop {
        let error = match attempt(database).await {
            Ok(()) => break,
            Err(error) if !may_pass(&error) => {
                return Err(error).context("PostgreSQL cannot be used; see DATABASE_URL");
            }
            Err(error) => error,
        };
        if Instant::now() + pause > deadline {
            let waited = begun.elapsed().as_secs();
            return Err(error).with_context(|| {
                format!("PostgreSQL could not be reached for {waited} s; see DATABASE_URL")
            });
        }
        if !said {
            let patience_s = deadline.duration_since(begun).as_secs();
            warn!(%error, patience_s, "PostgreSQL cannot be reached; waiting for it");
            said = true;
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    if said {
        info!("PostgreSQL is there");
    }
    Ok(())
}

async fn attempt(database: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let connected = async { PgConnection::connect_with(database).await?.close().await };
    timeout(ATTEMPT_PATIENCE, connected)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}

/// Whether the same attempt may succeed later.
fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(refusal) => [CANNOT_CONNECT_NOW, TOO_MANY_CONNECTIONS]
            .map(Some)
            .contains(&refusal.code().as_deref()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use compose::testing::TestStack;
    use std::str::FromStr;

    fn options(url: &str) -> PgConnectOptions {
        PgConnectOptions::from_str(url).expect("an address")
    }

    #[tokio::test]
    async fn waiting_ends_with_the_reason() {
        // Nobody listens on port 1.
        let nobody = options("postgres://somebody@127.0.0.1:1/gomall");
        let deadline = Instant::now() + 3 * FIRST_PAUSE;
        let error = wait_until(deadline, &nobody).await.expect_err("nobody is there");
        assert!(Instant::now() < deadline + FIRST_PAUSE, "it ends in time");
        let text = format!("{error:#}");
        assert!(text.contains("could not be reached for 0 s"), "{text}");
        assert!(text.contains("refused"), "{text}");
    }

    #[tokio::test]
    async fn what_waiting_cannot_mend_is_said_at_once() {
        let database = TestStack::shared().await.database("waiting").await;
        let known = options(database.url());
        wait_for(&known).await.expect("it is there");
        let unknown = known.database("there-is-no-such-database");
        let error = timeout(ATTEMPT_PATIENCE, wait_for(&unknown)).await.expect("at once");
        let text = format!("{:#}", error.expect_err("there is none"));
        assert!(text.contains("cannot be used"), "{text}");
    }
}
