//! How long PostgreSQL may take to answer one small statement.

use std::time::Duration;

/// Far longer than they take. What is late is dropped with its connection, which may have died without a
/// word.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// The answer, or an error when it is late.
///
/// # Errors
/// What was answered, and [`std::io::ErrorKind::TimedOut`] after [`ANSWER_PATIENCE`].
pub async fn within<T>(
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    within_patience(ANSWER_PATIENCE, asked).await
}

/// The same with a patience of the caller's.
///
/// # Errors
/// As [`within`].
pub async fn within_patience<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| late())
}
