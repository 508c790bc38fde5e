//! How long PostgreSQL may take to answer one of our small statements.

use std::time::Duration;

/// Far longer than they take. What is late is dropped with its connection, which may have died without a
/// word.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn within<T>(
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(ANSWER_PATIENCE, asked).await.unwrap_or_else(|_| late())
}
