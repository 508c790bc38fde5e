//! Which keyed commands this process has answered for lately: should the database lose commits, their
//! clients believe in something that is gone, and somebody has to be able to name them.

use domain::Position;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// Commands that are remembered: a second of the heaviest load, which is more than a standby that is
/// followed at all lags behind. Some 300 KB.
const KEPT_COMMANDS: usize = 8_192;

/// A keyed command that was answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcknowledgedKey {
    /// Hash of principal, method, path and the client's key.
    pub key: Uuid,
    /// Positions of its first and last event.
    pub positions: (Position, Position),
}

/// The newest of them, in the order of their answers.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged(Mutex<VecDeque<AcknowledgedKey>>);

impl Acknowledged {
    pub(crate) fn note(&self, command: AcknowledgedKey) {
        let mut commands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if commands.len() == KEPT_COMMANDS {
            commands.pop_front();
        }
        commands.push_back(command);
    }

    /// Takes out those with events behind `position`.
    pub(crate) fn take_beyond(&self, position: Position) -> Vec<AcknowledgedKey> {
        let mut commands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_beyond = |command: &AcknowledgedKey| command.positions.1 > position;
        let beyond = commands.iter().filter(|command| is_beyond(command)).copied().collect();
        commands.retain(|command| !is_beyond(command));
        beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_told_once() {
        let acknowledged = Acknowledged::default();
        for number in 1..=10_000_u32 {
            let key = Uuid::from_u128(u128::from(number));
            let position = Position::new(u64::from(number));
            acknowledged.note(AcknowledgedKey { key, positions: (position, position) });
        }
        let beyond = acknowledged.take_beyond(Position::new(9_998));
        assert_eq!(
            beyond.iter().map(|lost| lost.positions.0.get()).collect::<Vec<_>>(),
            [9_999, 10_000]
        );
        assert_eq!(acknowledged.take_beyond(Position::new(9_998)), []);
        assert_eq!(acknowledged.take_beyond(Position::START).len(), KEPT_COMMANDS - 2);
    }
}
