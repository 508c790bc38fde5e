//! Why a use case did not do what it was asked.

use commands::bus::{ExecuteError, LoadError};
use commands::journal::ReadError;
use commands::vault::VaultError;
use domain::Rejection;
use projections::QueryError;
use std::error::Error;
use std::time::Duration;

/// The one error of this layer. Each edge has one map from it to what its callers understand.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The plan was not carried out.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// An aggregate could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Personal data could not be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A read model could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The rules forbid it.
    #[error("refused: {0}")]
    Refused(Box<dyn Rejection>),
    /// What was given cannot be meant.
    #[error("{field}: {message}")]
    Invalid {
        /// The member that it is about.
        field: &'static str,
        /// A stable word for what is wrong.
        code: &'static str,
        /// The same for people.
        message: String,
    },
    /// It does not exist, or not for whoever asks.
    #[error("there is no such thing")]
    NotFound,
    /// E-mail address and password do not belong together.
    #[error("the credentials are wrong")]
    BadCredentials,
    /// The same, found without a look at either: the password is longer than any.
    #[error("the credentials cannot be anybody's")]
    NobodysCredentials,
    /// Too many wrong passwords were tried for this account.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When the next one may be made.
        wait: Duration,
    },
    /// Too many cards were declined, of this order, user, network or card.
    #[error("too many declines")]
    TooManyDeclines {
        /// When the next attempt may be made.
        wait: Duration,
    },
    /// The password is right; a code of the second factor is asked for.
    #[error("a second factor is asked for")]
    SecondFactorRequired {
        /// Stands for the password for a while.
        challenge: String,
    },
    /// The code of the second factor is wrong, or was used before.
    #[error("the code is wrong")]
    BadCode,
    /// Who asks is not known any more, for this reason.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Who asks may not do anything.
    #[error("the account is banned")]
    Banned,
    /// The key was used for something else.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// The same request is being worked on.
    #[error("the request is being worked on")]
    InProgress,
    /// The read model has not come as far as was asked in time.
    #[error("the read model is behind")]
    Behind,
    /// Too many others wait for the same.
    #[error("too many requests wait")]
    Overloaded,
    /// Something that it needs is away.
    #[error("something is away: {0}")]
    Unavailable(Box<dyn Error + Send + Sync>),
    /// A fault of ours.
    #[error("a fault of ours: {0}")]
    Internal(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A refusal by the rules.
    pub fn refused(rejection: impl Rejection + 'static) -> Self {
        Self::Refused(Box::new(rejection))
    }

    /// `message` about a member of what was given.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, code: "invalid_field", message: message.into() }
    }

    /// Something that it needs is away.
    pub fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }

    /// A fault of ours.
    pub fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }
}
