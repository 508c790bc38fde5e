//! The writer task: the one place in a process that appends.

use super::batch::{self, Batch};
use super::{AppendError, Job};
use crate::counters::Counters;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// How the writer behaves when the database is away.
#[derive(Debug, Clone, Copy)]
pub struct WriterSettings {
    /// How long a batch is tried before its commands are told that the database is unreachable.
    pub give_up_after: Duration,
}

impl Default for WriterSettings {
    fn default() -> Self {
        // Longer than a fail-over of PostgreSQL under a supervisor, shorter than a client's
        // patience.
        Self { give_up_after: Duration::from_secs(20) }
    }
}

/// The pause between attempts to connect; the database's own start takes about this long.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The longest that connecting may take: a host that swallows packets must not hold the writer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that one append may take. Other processes' batches and a slow disk are waited for;
/// a connection that died without a word is not.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn run(
    connect: PgConnectOptions,
    mut jobs: mpsc::Receiver<Job>,
    head: watch::Sender<u64>,
    settings: WriterSettings,
    counters: Arc<Counters>,
) {
    let connect = session(connect);
    let mut connection: Option<PgConnection> = None;
    let mut left_over: Option<Job> = None;
    loop {
        let first = match left_over.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => break,
            },
        };
        let mut batch = Batch::default();
        left_over = batch.offer(first).err();
        while left_over.is_none() {
            match jobs.try_recv() {
                Ok(job) => left_over = batch.offer(job).err(),
                Err(_) => break,
            }
        }
        if batch.is_empty() {
            continue;
        }
        if let Some(position) = append(&connect, &mut connection, batch, settings, &counters).await
        {
            // Also back: after a fail-over that lost commits the journal ends before.
            head.send_if_modified(|known| std::mem::replace(known, position) != position);
        }
        // Those who were answered just now are about to give their next command. Let them: taken at
        // once, the first of them would have a commit to himself, and all others wait for it.
        tokio::task::yield_now().await;
    }
    if let Some(connection) = connection {
        let _ = connection.close().await;
    }
    info!("the journal's writer has finished its queue");
}

/// Sends one batch until it is answered, each command exactly once. Returns the journal's head.
async fn append(
    connect: &PgConnectOptions,
    connection: &mut Option<PgConnection>,
    batch: Batch,
    settings: WriterSettings,
    counters: &Counters,
) -> Option<u64> {
    let deadline = Instant::now() + settings.give_up_after;
    let mut resent = false;
    loop {
        let open = match connection {
            Some(open) => open,
            None => match open(connect).await {
                Ok(fresh) => connection.insert(fresh),
                Err(error) => {
                    if Instant::now() >= deadline {
                        warn!(%error, commands = batch.jobs.len(), "the journal is unreachable");
                        batch.fail(&AppendError::Unreachable);
                        return None;
                    }
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                    continue;
                }
            },
        };
        let began = Instant::now();
        let sent = tokio::time::timeout(STATEMENT_TIMEOUT, batch::send(open, &batch, resent)).await;
        match sent {
            Ok(Ok((outcomes, head))) => {
                counters.batch_done(&outcomes, began.elapsed());
                return Some(batch.answer(outcomes, head));
            }
            Ok(Err(sqlx::Error::Database(refused))) if is_data_error(refused.code().as_deref()) => {
                if batch.jobs.len() == 1 {
                    error!(reason = %refused, "the journal cannot store a command");
                    let reason = "the database refused its data".to_owned();
                    batch.fail(&AppendError::Unstorable(reason));
                    return None;
                }
                // A data error aborts the statement and takes innocent neighbours with it: once,
                // each command is sent on its own, so that only the guilty one is refused.
                let mut head = None;
                for single in batch.split() {
                    let done =
                        Box::pin(append(connect, connection, single, settings, counters)).await;
                    head = done.or(head);
                }
                return head;
            }
            // The connection is of no use any more, or the server is going down, or a fence
            // closed: whether the batch is in is open. The same batch again finds out.
            Ok(Err(error)) => {
                warn!(%error, "an append was cut off; sending the same batch again");
            }
            Err(_) => warn!("an append took too long; sending the same batch again"),
        }
        *connection = None;
        resent = true;
        if Instant::now() >= deadline {
            batch.fail(&AppendError::Unreachable);
            return None;
        }
    }
}

/// Class 22 (data) and 23514 (check): the row itself is at fault. 23505 is not among them: it is
/// the fence, closed by somebody who got in between, and the batch is to be tried again.
fn is_data_error(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("22") || code == "23514" || code == "23502")
}

async fn open(connect: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    tokio::time::timeout(CONNECT_TIMEOUT, connect.connect())
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
}

/// The writer's session. The function's plans must not depend on how full the tables were when
/// they were first made: look-ups by key, always. Planned otherwise they cost a third of the
/// throughput, and more as the table grows.
fn session(connect: PgConnectOptions) -> PgConnectOptions {
    connect.application_name("gomall journal").options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("jit", "off"),
    ])
}
