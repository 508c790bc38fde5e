//! Requests of several steps, each once at a time.

use super::{CommandKey, Failure};
use crate::telemetry;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The requests of several steps that are running in this process, by key. It holds at most as many
/// keys as requests are being served, and those whose clients have left since.
///
/// It saves a second attempt from running beside the first; what makes the pair safe is the
/// journal, also across processes.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<CommandKey>>>);

/// A running request's entry; dropping it lets the key in again.
#[derive(Debug)]
struct Running {
    key: CommandKey,
    all: InFlight,
}

impl InFlight {
    /// Does the request's work in a task of its own and waits for it. A client who leaves ends the
    /// waiting only: the request goes on, and its key is in flight until it has come to its end.
    ///
    /// # Errors
    /// [`Failure::InProgress`] when the key is running already; else what the work answers.
    pub async fn run<T: Send + 'static>(
        &self,
        key: CommandKey,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let running = self.begin(key)?;
        let work = telemetry::spawn(async move {
            let done = work.await;
            drop(running);
            done
        });
        match work.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the process aborts it.
                Err(error) => Err(Failure::unavailable(error)),
            },
        }
    }

    /// Enters `key` until the returned guard is dropped.
    fn begin(&self, key: CommandKey) -> Result<Running, Failure> {
        if self.lock().insert(key) {
            Ok(Running { key, all: self.clone() })
        } else {
            Err(Failure::InProgress)
        }
    }

    /// A panic elsewhere leaves a set of keys intact, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashSet<CommandKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.lock().remove(&self.key);
    }
}

#[cfg(test)]
#[path = "in_flight_tests.rs"]
mod tests;
