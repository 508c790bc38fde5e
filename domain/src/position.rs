//! Where events stand in the one order of all.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// An event's place in the one order of all: 1, 2, 3, … without a gap. The sequence within a stream is not one.
///
/// Stored, sent and shown it is a number, and this is the one place that knows so: were a journal in several
/// databases one day, the shard's number would join here.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first event: of an empty journal, and of whoever has read nothing.
    pub const START: Self = Self(0);

    /// Where the first event stands.
    pub const FIRST: Self = Self(1);

    /// No event stands behind it.
    pub const LAST: Self = Self(u64::MAX);

    /// The position of that number: of JSON, of a header, of the message in JetStream.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number, for the same.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As PostgreSQL has it. What is beyond its numbers is as good as the last one.
    #[must_use]
    pub fn bigint(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// So many events further on.
    #[must_use]
    pub const fn plus(self, events: u64) -> Self {
        Self(self.0.saturating_add(events))
    }

    /// Where the next event stands.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// So many events back; nothing is before the start.
    #[must_use]
    pub const fn minus(self, events: u64) -> Self {
        Self(self.0.saturating_sub(events))
    }

    /// Where the event before stands.
    #[must_use]
    pub const fn previous(self) -> Self {
        self.minus(1)
    }

    /// Where all later events stand, in order.
    pub fn following(self) -> impl Iterator<Item = Self> {
        (self.0..u64::MAX).map(|before| Self(before + 1))
    }

    /// How many events follow up to `head`; 0 when it is not behind.
    #[must_use]
    pub const fn lag(self, head: Self) -> u64 {
        head.0.saturating_sub(self.0)
    }
}

/// PostgreSQL gave a number below 0 for a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no position")]
pub struct NoPosition(i64);

impl TryFrom<i64> for Position {
    type Error = NoPosition;

    /// From PostgreSQL's.
    fn try_from(bigint: i64) -> Result<Self, NoPosition> {
        u64::try_from(bigint).map(Self).map_err(|_| NoPosition(bigint))
    }
}

impl FromStr for Position {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl JsonSchema for Position {
    fn inline_schema() -> bool {
        u64::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        u64::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        u64::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_number_wherever_it_is_stored_or_shown() {
        let position = Position::new(7);
        assert_eq!(serde_json::to_string(&position).ok().as_deref(), Some("7"));
        assert_eq!(serde_json::from_str("7").ok(), Some(position));
        assert_eq!((position.to_string().as_str(), "7".parse()), ("7", Ok(position)));
        assert_eq!(Position::try_from(position.bigint()), Ok(position));
        assert_eq!(Position::try_from(-1), Err(NoPosition(-1)));
        assert_eq!(Position::LAST.bigint(), i64::MAX);
    }

    #[test]
    fn a_follower_is_behind_by_what_it_has_not_read() {
        let head = Position::START.plus(3);
        assert_eq!((Position::START.lag(head), head.lag(head), head.next().lag(head)), (3, 0, 0));
        assert_eq!((Position::START.next(), head.previous()), (Position::FIRST, Position::new(2)));
        assert_eq!(Position::START.previous(), Position::START);
        let following: Vec<_> = head.following().take(2).collect();
        assert_eq!(following, [Position::new(4), Position::new(5)]);
    }
}
