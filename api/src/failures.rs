//! How the failures of the crates below become problems: the rest of the one error map.

use crate::application::Failure;
use crate::http::{FieldError, Problem};
use commands::bus::{ExecuteError, LoadError};
use commands::journal::{AppendError, ReadError};
use commands::vault::VaultError;
use http::StatusCode;
use projections::QueryError;

/// When to come back after others were faster: a hot item's queue is short-lived.
const CONTENDED_RETRY_SECONDS: u64 = 1;

/// When to come back while clocks disagree: somebody has to set them right.
const CLOCK_RETRY_SECONDS: u64 = 60;

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Execute(error) => error.into(),
            Failure::Load(error) => error.into(),
            Failure::Vault(error) => error.into(),
            Failure::Query(error) => error.into(),
            Failure::Read(error) => error.into(),
            Failure::Refused(rejection) => rejection.into(),
            Failure::Invalid { field, code, message } => {
                Self::field(FieldError::at(format!("/{field}"), code, message))
            }
            Failure::NotFound => Self::not_found(),
            Failure::BadCredentials => Self::bad_credentials(),
            Failure::NobodysCredentials => Self::bad_credentials().unexamined(),
            Failure::TooManyAttempts { wait } => Self::too_many_attempts(wait),
            Failure::TooManyDeclines { wait } => Self::too_many_declines(wait),
            Failure::SecondFactorRequired { challenge } => Self::second_factor_required(challenge),
            Failure::BadCode => Self::bad_code(),
            Failure::Unauthenticated(why) => Self::unauthenticated(why),
            Failure::Banned => Self::banned(),
            Failure::KeyReused => Self::idempotency_key_reused(),
            Failure::InProgress => Self::request_in_progress(),
            Failure::Behind => Self::projection_behind(),
            Failure::Overloaded => Self::overloaded(),
            Failure::Unavailable(error) => Self::unavailable(&*error),
            Failure::Internal(error) => Self::internal(&*error),
        }
    }
}

impl From<ExecuteError> for Problem {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Rejected(rejections) => match rejections.into_iter().next() {
                Some(rejection) => rejection.into(),
                None => Self::internal(&ExecuteError::Rejected(vec![])),
            },
            ExecuteError::KeyReused => Self::idempotency_key_reused(),
            ExecuteError::Contended => {
                let detail = "Too many others are changing the same thing. Nothing was changed.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "contended", detail)
                    .retry_after(CONTENDED_RETRY_SECONDS)
            }
            ExecuteError::Append(error) => error.into(),
            ExecuteError::Load(error) => error.into(),
            ExecuteError::Vault(error) => error.into(),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Unstorable(_) => Self::internal(&error),
            AppendError::ClockJumped => {
                let detail = "The shop's clocks disagree. Nothing was changed.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "clock_jumped", detail)
                    .retry_after(CLOCK_RETRY_SECONDS)
            }
            AppendError::Stopped | AppendError::Unreachable | AppendError::Refused(_) => {
                Self::unavailable(&error)
            }
        }
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Read(_) => Self::unavailable(&error),
            LoadError::Decode(_) => Self::internal(&error),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Unreachable(_) => Self::unavailable(&error),
            // Whoever has no key any more has been erased.
            VaultError::NoKey => Self::not_found(),
            VaultError::Cipher => Self::internal(&error),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::InvalidCursor => {
                Self::invalid_parameter("cursor", "expected a next_cursor of this list")
            }
            QueryError::Database(_) => Self::unavailable(&error),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::unavailable(&error)
    }
}
