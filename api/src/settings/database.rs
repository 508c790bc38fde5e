use clap::Args;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::str::FromStr;

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// PostgreSQL, e.g. `postgres://user:password@host/database`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: DatabaseUrl,
}

impl DatabaseArgs {
    /// How to connect.
    #[must_use]
    pub fn options(&self) -> &PgConnectOptions {
        &self.database_url.options
    }
}

/// The address of a database. Not shown: it may hold a password.
#[derive(Clone)]
pub struct DatabaseUrl {
    text: String,
    options: PgConnectOptions,
}

impl DatabaseUrl {
    /// The address as it was given.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// How to connect.
    #[must_use]
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Not an address of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not like postgres://user@host/database")]
pub struct InvalidDatabaseUrl;

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        let options = PgConnectOptions::from_str(text).map_err(|_| InvalidDatabaseUrl)?;
        Ok(Self { text: text.to_owned(), options })
    }
}
