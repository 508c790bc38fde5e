//! Every task of a process, watched.
//!
//! A task that ends before it was told to, or panics, is logged, counted and shown, and started again after
//! a pause. One that cannot be started again safely is *vital*: when it ends the process drains and exits
//! non-zero, and whoever runs the process starts it anew.

use crate::telemetry::Metrics;
use opentelemetry::KeyValue;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The first pause before a task is started again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest: what is broken for good must not keep the process busy, and what is mended goes on soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A task that has run for so long is taken for sound: its next end begins with the first pause again, and
/// it is not shown as degraded any more.
const SOUND_AFTER: Duration = Duration::from_secs(30);

/// Starts tasks and keeps them running.
pub struct Supervisor {
    watching: JoinSet<()>,
    vital: JoinSet<()>,
    stop: CancellationToken,
    tasks: Tasks,
}

/// What is known of the tasks. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tasks {
    table: Arc<Mutex<BTreeMap<&'static str, Task>>>,
    /// Cancelled when a vital one has ended.
    lost: CancellationToken,
}

/// One task as it is now.
struct Task {
    is_up: bool,
    restarts: u64,
    since: Instant,
    running: Option<AbortHandle>,
}

impl Supervisor {
    /// Nothing runs yet. `stop` tells every task to finish; from then on an end is expected.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { watching: JoinSet::new(), vital: JoinSet::new(), stop, tasks: Tasks::default() }
    }

    /// What is known of the tasks.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// A task that runs in this process if `when`, started by `how`, again and again if need be.
    pub fn watch<T>(
        &mut self,
        name: &'static str,
        when: bool,
        mut how: impl FnMut(CancellationToken) -> T + Send + 'static,
    ) where
        T: Future<Output = ()> + Send + 'static,
    {
        if !when {
            return;
        }
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        self.watching.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while !stop.is_cancelled() {
                let started = Instant::now();
                let running = AbortOnDropHandle::new(tokio::spawn(how(stop.clone())));
                tasks.started(name, running.abort_handle());
                let ended = running.await;
                if stop.is_cancelled() {
                    return;
                }
                tasks.ended(name);
                if started.elapsed() >= SOUND_AFTER {
                    pause = FIRST_PAUSE;
                }
                tracing::error!(
                    worker = name,
                    pause_ms = pause.as_millis(),
                    why = why(&ended),
                    "a task has ended and is started again"
                );
                stop.run_until_cancelled(sleep(pause)).await;
                pause = LONGEST_PAUSE.min(2 * pause);
            }
        });
    }

    /// A task that the process cannot be without and that nobody can start again.
    pub fn vital(&mut self, name: &'static str, task: JoinHandle<()>) {
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        let running = AbortOnDropHandle::new(task);
        tasks.started(name, running.abort_handle());
        self.vital.spawn(async move {
            let ended = running.await;
            if !stop.is_cancelled() {
                tasks.ended(name);
                tracing::error!(
                    worker = name,
                    why = why(&ended),
                    "a task has ended that this process cannot be without; it stops"
                );
                tasks.lost.cancel();
            }
        });
    }

    /// Returns once every task has finished but the vital ones.
    pub async fn finish(&mut self) {
        while self.watching.join_next().await.is_some() {}
    }

    /// Ends tasks that have not finished, but for the vital ones.
    pub fn end(&mut self) {
        self.watching.abort_all();
    }

    /// Returns once the vital tasks have finished.
    pub async fn finish_vital(&mut self) {
        while self.vital.join_next().await.is_some() {}
    }
}

impl Tasks {
    /// Cancelled when a task has ended that the process cannot be without.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Every task that was started.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.lock().keys().copied().collect()
    }

    /// Tasks that are not running, or were started again a moment ago.
    #[must_use]
    pub fn unsound(&self) -> Vec<&'static str> {
        let table = self.lock();
        let unsound = table.iter().filter(|(_, task)| {
            !task.is_up || (task.restarts > 0 && task.since.elapsed() < SOUND_AFTER)
        });
        unsound.map(|(name, _)| *name).collect()
    }

    /// How often a task was started again.
    #[must_use]
    pub fn restarts(&self, name: &str) -> u64 {
        self.lock().get(name).map_or(0, |task| task.restarts)
    }

    /// Ends a task as a panic would: for tests and drills.
    pub fn end(&self, name: &str) {
        if let Some(running) = self.lock().get(name).and_then(|task| task.running.as_ref()) {
            running.abort();
        }
    }

    /// Shows what runs and how often it was started again.
    pub fn show(&self, metrics: &Metrics) {
        let meter = metrics.meter("supervisor");
        let tasks = self.clone();
        let _up = meter
            .u64_observable_gauge("gomall_worker_up")
            .with_description("Whether a task of this process runs.")
            .with_callback(move |observer| {
                for (name, task) in &*tasks.lock() {
                    observer.observe(task.is_up.into(), &[KeyValue::new("worker", *name)]);
                }
            })
            .build();
        let tasks = self.clone();
        let _restarts = meter
            .u64_observable_counter("gomall_worker_restarts")
            .with_description("How often a task of this process was started again.")
            .with_callback(move |observer| {
                for (name, task) in &*tasks.lock() {
                    observer.observe(task.restarts, &[KeyValue::new("worker", *name)]);
                }
            })
            .build();
    }

    fn started(&self, name: &'static str, running: AbortHandle) {
        let mut table = self.lock();
        let restarts = table.get(name).map_or(0, |task| task.restarts + 1);
        let since = Instant::now();
        table.insert(name, Task { is_up: true, restarts, since, running: Some(running) });
    }

    fn ended(&self, name: &'static str) {
        if let Some(task) = self.lock().get_mut(name) {
            (task.is_up, task.running) = (false, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Task>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn why(ended: &Result<(), JoinError>) -> &'static str {
    match ended {
        Ok(()) => "it returned",
        Err(error) if error.is_panic() => "it panicked",
        Err(_) => "it was ended",
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
