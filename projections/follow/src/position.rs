//! A position as the database has it.

use domain::Position;

/// The position of that number.
///
/// # Errors
/// When it is below 0, which the tables do not allow.
pub fn read(bigint: i64) -> Result<Position, sqlx::Error> {
    Position::try_from(bigint).map_err(|error| sqlx::Error::Decode(error.into()))
}
