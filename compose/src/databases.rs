//! Databases of a running cluster, by the port that it listens on.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};

use crate::error::{Doing, StackError};

/// The superuser of every cluster of ours.
pub(crate) const SUPERUSER: &str = "gomall";
/// The database that always exists and that nobody but this crate uses.
pub(crate) const MAINTENANCE: &str = "postgres";

/// A template that somebody is still connected to (a pool that is just being closed) is waited for.
const TEMPLATE_PATIENCE: Duration = Duration::from_secs(10);
const TEMPLATE_POLL: Duration = Duration::from_millis(20);

/// Without TLS: on loopback the offer would only cost a round trip per connection. The password, if the cluster
/// has one, is of characters that need no escape.
pub(crate) fn url(port: u16, password: Option<&str>, database: &str) -> String {
    let password = password.map(|password| format!(":{password}")).unwrap_or_default();
    format!("postgres://{SUPERUSER}{password}@127.0.0.1:{port}/{database}?sslmode=disable")
}

pub(crate) async fn connect(
    port: u16,
    password: Option<&str>,
    database: &str,
) -> Result<PgConnection, StackError> {
    PgConnection::connect(&url(port, password, database))
        .await
        .doing(|| format!("connecting to the database {database}"))
}

/// How a template's pages get into the copy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Copying {
    /// Through the log, page by page. Right for a cluster that others work on.
    Logged,
    /// File by file between two checkpoints. Without fsync that is twice as fast for tests that
    /// start side by side, and the log does not grow by every copy.
    Files,
}

/// Creates a database as a copy of `template`; `false` when one of that name exists already.
pub(crate) async fn create(
    connection: &mut PgConnection,
    name: &str,
    template: &str,
    copying: Copying,
) -> Result<bool, StackError> {
    let statement = format!(
        "CREATE DATABASE {} TEMPLATE {} STRATEGY {}",
        quote(name),
        quote(template),
        match copying {
            Copying::Logged => "wal_log",
            Copying::Files => "file_copy",
        }
    );
    let deadline = Instant::now() + TEMPLATE_PATIENCE;
    loop {
        let Err(error) = connection.execute(&*statement).await else {
            return Ok(true);
        };
        match sql_state(&error).as_deref() {
            Some("42P04") => return Ok(false),
            Some("55006") if Instant::now() < deadline => {
                tokio::time::sleep(TEMPLATE_POLL).await;
            }
            _ => return Err(error).doing(|| format!("creating the database {name}")),
        }
    }
}

/// Drops a database and throws out whoever uses it; `false` when there was none.
pub(crate) async fn drop(connection: &mut PgConnection, name: &str) -> Result<bool, StackError> {
    let statement = format!("DROP DATABASE {} WITH (FORCE)", quote(name));
    match connection.execute(&*statement).await {
        Ok(_) => Ok(true),
        Err(error) if sql_state(&error).as_deref() == Some("3D000") => Ok(false),
        Err(error) => Err(error).doing(|| format!("dropping the database {name}")),
    }
}

fn sql_state(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// An identifier, quoted.
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
