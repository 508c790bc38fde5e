use super::checkpoint::Checkpoint;
use domain::Cursor;
use std::time::Duration;
use tokio::time::Instant;

/// Where a worker stands: at its checkpoint, or beyond it as long as nothing concerned the projection.
/// Most of what happens concerns one projection of many, and a commit for every other one would cost
/// more than the work itself.
pub(super) struct Stand {
    pub(super) row: Checkpoint,
    pub(super) loaded_at: Instant,
    /// Everything up to here is applied or does not concern the projection.
    pub(super) seen: Cursor,
    /// When the checkpoint was last at `seen`.
    stored_at: Instant,
}

impl Stand {
    pub(super) fn at(row: Checkpoint) -> Self {
        let now = Instant::now();
        let seen = row.cursor();
        Self { row, loaded_at: now, seen, stored_at: now }
    }

    /// Somebody else may have moved the checkpoint; what was seen beyond the old one counts no more.
    pub(super) fn reload(&mut self, row: Checkpoint) {
        if row.cursor() == self.row.cursor() {
            self.row = row;
            self.loaded_at = Instant::now();
        } else {
            *self = Self::at(row);
        }
    }

    pub(super) fn pass(&mut self, to: Cursor) {
        if self.is_stored() {
            self.stored_at = Instant::now();
        }
        self.seen = to;
    }

    pub(super) fn store(&mut self, row: Checkpoint) {
        self.seen = row.cursor();
        self.row = row;
    }

    pub(super) fn is_stored(&self) -> bool {
        self.seen == self.row.cursor()
    }

    pub(super) fn unstored_for(&self) -> Duration {
        if self.is_stored() { Duration::ZERO } else { self.stored_at.elapsed() }
    }
}
