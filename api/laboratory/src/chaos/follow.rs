//! `gomall chaos follow`: a process that follows the journal's tail and writes down every event in
//! the order in which it gets them, once, also across its own death.

use super::history::{self, Log, Seen};
use super::patiently;
use anyhow::Context as _;
use api::settings::DatabaseArgs;
use clap::Args;
use commands::journal::{JournalReader, Tail};
use domain::{Cursor, EventSource, Position};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Events in one look.
const EVENTS: usize = 500;

/// The pause after a look that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// What a following process is told. On its standard input it is told the position to end at.
#[derive(Debug, Clone, Args)]
pub struct FollowArgs {
    /// What to follow.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The history to go on with.
    #[arg(long)]
    pub history: PathBuf,
}

pub(super) async fn run(args: FollowArgs) -> anyhow::Result<()> {
    let seen: Vec<Seen> = history::read(&args.history)?;
    let mut after = seen.last().map_or(Cursor::START, |seen| Cursor {
        position: Position::new(seen.position),
        event_id: Some(seen.event_id),
    });
    let log = Log::open(&args.history)?;
    let database = super::options(&args.database)?;
    let pool = patiently("PostgreSQL", || api::pools::connect(&database)).await?;
    let (_nobody, hints) = watch::channel(Position::START);
    let reader = JournalReader::new(pool, hints);
    let reading = CancellationToken::new();
    let _ends_reading = reading.clone().drop_guard();
    let tail = patiently("the journal", || async {
        Ok(Tail::start(reader.clone(), reading.clone()).await?)
    })
    .await?;

    let until = tokio::spawn(async {
        let mut line = String::new();
        BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
        line.trim().parse::<Position>().context("expected the position to end at")
    });
    tokio::pin!(until);
    let mut end = None;
    while end.is_none_or(|end| after.position < end) {
        let Ok(events) = tail.read_after(after, EVENTS).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let seen: Vec<_> = events
            .iter()
            .map(|event| Seen { position: event.position.get(), event_id: event.event_id })
            .collect();
        log.write(&seen)?;
        if let Some(last) = events.last() {
            after = Cursor::behind(last);
            continue;
        }
        tokio::select! {
            () = tail.wait_after(after.position) => {}
            told = &mut until, if end.is_none() => end = Some(told??),
        }
    }
    Ok(())
}
