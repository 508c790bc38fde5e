//! The kit for process managers: whoever follows the journal and does something about it later.
//!
//! A process is its name, what it reads, its ordering key, which timers an event sets and clears, and what it
//! does when one is due. The rest is here, once: a checkpoint that moves by comparing and setting, in the
//! transaction that changes the timers; events that cannot be read, as dead letters that hold back their
//! ordering key and nothing else; another history; timers on the database's clock that fire at one of all
//! processes, with back-off.
//!
//! **Guarantee.** Every event is taken in once, in order, or is a dead letter. Every timer that is not cleared
//! fires, about a second late at most, and again until its process says that it is done; several processes and
//! crashes can make it fire twice, so what it does may be repeated.
//!
//! The next process is a type with [`Process`], in a folder of its own, and a line in the composition root.

mod checkpoint;
mod follow;
mod timers;

pub use timers::Timer;

use crate::backoff::pause_after;
use crate::dead_letters;
use domain::{EventSource, RecordedEvent};
use serde_json::Value;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The pause between two looks at what is due, and after a failed one; it doubles while looks fail.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause after failed looks.
const LONGEST_LOOK_PAUSE: Duration = Duration::from_secs(30);

/// How long taking in one batch may take.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(30);

/// How long finding out what is due may take.
const TIMERS_PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What makes one process manager different from another.
pub trait Process: Send + Sync + 'static {
    /// Its name among checkpoints, timers and dead letters. For ever: another name begins anew.
    const NAME: &'static str;
    /// The types of aggregates whose events it reads.
    const READS: &'static [&'static str];
    /// How long doing what is due may take. Nobody else does the same meanwhile.
    const PATIENCE: Duration;

    /// What of an event has to be done before the next one of the same.
    fn ordering_key(&self, event: &RecordedEvent) -> String {
        event.aggregate_id.clone()
    }

    /// Which timers the event sets and clears. May be asked about the same event again.
    ///
    /// # Errors
    /// Why the event cannot be read; it holds no personal data. Trying again would not help.
    fn take(&self, event: &RecordedEvent) -> Result<Vec<Change>, String>;

    /// Does what is due. May be asked to do the same again.
    fn due(&self, timer: &Timer) -> impl Future<Output = Next> + Send;
}

/// What an event does to a process's timers.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// One is due so long after the event was recorded; one of the same key stays as it is.
    Set {
        /// Names it within the process.
        key: String,
        /// How long after the event.
        after: Duration,
        /// What it needs to know: ids and facts, no personal data.
        data: Value,
    },
    /// It is not needed any more.
    Clear {
        /// Names it.
        key: String,
    },
}

/// What becomes of a timer that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is done, and goes.
    Done,
    /// It is due again after this pause.
    Again(Duration),
}

/// Runs a process until `cancel`. Errors are logged and tried again with pauses, for ever.
pub async fn run<P: Process>(
    process: Arc<P>,
    pool: PgPool,
    source: Arc<impl EventSource>,
    cancel: CancellationToken,
) {
    let follow = async {
        let (mut failures, mut asked) = (0, false);
        while !cancel.is_cancelled() {
            let followed = within(FOLLOW_PATIENCE, async {
                if !asked {
                    dead_letters::ask_for_newer(&mut *pool.acquire().await?, P::NAME).await?;
                    asked = true;
                }
                follow::once(&*process, &pool, &*source).await
            });
            let followed = followed.await;
            failures = if followed.is_err() { failures + 1 } else { 0 };
            match followed {
                Ok(Some(position)) => {
                    cancel.run_until_cancelled(source.wait_after(position)).await;
                }
                Ok(None) => {}
                Err(error) => {
                    warn!(process.name = P::NAME, %error, "events could not be taken in");
                    cancel.run_until_cancelled(tokio::time::sleep(pause(failures))).await;
                }
            }
        }
    };
    tokio::join!(follow, timers::fire(&*process, &pool, &cancel));
}

/// What is late is dropped with its connection, which may have died without a word.
async fn within<T, E: Into<Failure>>(
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(late) => Err(late.into()),
    }
}

fn pause(failures: u32) -> Duration {
    pause_after(failures.into(), LOOK_PAUSE, LONGEST_LOOK_PAUSE)
}
