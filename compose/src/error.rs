//! What can go wrong around the servers, and what the caller can do about it.

use std::io;
use std::path::PathBuf;

/// Why a stack could not be started, reached or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Another living process owns the data directory. Stop it, or choose another directory.
    #[error(
        "{} is in use by process {owner}: stop that one first, or choose another data directory",
        data_dir.display()
    )]
    AlreadyRunning {
        /// The directory that was asked for, absolute.
        data_dir: PathBuf,
        /// The process whose death would free it.
        owner: u32,
    },

    /// No usable server was found and none could be installed.
    #[error("no usable {server}:\n  {}\n{remedy}", tried.join("\n  "))]
    ServerMissing {
        /// Which server, as a person calls it.
        server: &'static str,
        /// Every place that was tried, each with the reason why it would not do.
        tried: Vec<String>,
        /// The commands that a person can type to get one.
        remedy: String,
    },

    /// A server was started and did not become ready.
    #[error("{server} did not start: {reason}\n{log}")]
    NotStarted {
        /// Which server, as a person calls it.
        server: &'static str,
        /// What was seen from outside.
        reason: String,
        /// The end of the server's own log.
        log: String,
    },

    /// The servers' account cannot reach data that an earlier run left in the data directory.
    #[error(
        "the servers' data below {} cannot be reached by the account {account}: \
         `chmod o+x` its parent directories",
        data_dir.display()
    )]
    Unreachable {
        /// The directory that was asked for, absolute.
        data_dir: PathBuf,
        /// The unprivileged account that the servers run under.
        account: String,
    },

    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path it was done to.
        doing: String,
        /// The refusal.
        source: io::Error,
    },

    /// PostgreSQL refused a statement, or the connection to it was lost.
    #[error("{doing}: {source}")]
    Database {
        /// What was being done.
        doing: String,
        /// The refusal.
        source: sqlx::Error,
    },
}

/// Says what an I/O or database error interrupted. `doing` is only evaluated on failure.
pub(crate) trait Doing<T> {
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, StackError>;
}

impl<T> Doing<T> for Result<T, io::Error> {
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, StackError> {
        self.map_err(|source| StackError::Io { doing: doing().into(), source })
    }
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, StackError> {
        self.map_err(|source| StackError::Database { doing: doing().into(), source })
    }
}
