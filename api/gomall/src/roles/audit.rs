//! `gomall audit`: whether the stream is a copy of the journal, and making it one.

use crate::cli::AuditArgs;
use anyhow::Context as _;
use api::shop;
use api::stop::told_to_stop;
use commands::journal::JournalReader;
use domain::{Position, Timestamp};
use nats::Auditor;
use nats::audit::Report;
use nats::notify::{LostMail, lost_mails};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often a line about the progress is printed.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Ends with an error when the stream is no copy of the journal, also when it cannot be said.
pub(super) async fn run(args: AuditArgs) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    tokio::select! {
        outcome = audit(&args) => outcome,
        () = stop.cancelled() => anyhow::bail!("stopped; it is safe to begin again"),
    }
}

async fn audit(args: &AuditArgs) -> anyhow::Result<()> {
    let servers = &args.servers;
    let database = servers.database.options().clone();
    let pool = api::pools::connect(&database).await?;
    shop::check_schema(&pool).await?;
    let client = nats::connect(servers.nats.nats_url.reveal(), "gomall audit").await?;

    // Nobody hints, and no tail is between: the audit must see what is in the database.
    let (_nobody, hints) = watch::channel(Position::START);
    let reader = JournalReader::new(pool.clone(), hints);
    let stream = servers.nats.stream();
    let auditor = Auditor::new(Arc::new(reader.clone()), pool.clone(), client, stream);
    tell_what_is_lost(&pool).await?;

    let mut last = Instant::now();
    let progress = |position: Position| {
        if last.elapsed() >= REPORT_EVERY {
            last = Instant::now();
            println!("compared up to message {position}");
        }
    };
    let found = auditor.audit(reader.head().await?, progress).await?;
    println!("{found}");
    if !args.repair {
        return verdict(&found);
    }
    let head = reader.head().await?;
    let say = |step: String| println!("{step}");
    let repaired = auditor.repair(found, head, say).await.context("begin the repair again")?;
    println!("{repaired}");
    verdict(&repaired)
}

/// What a fail-over that lost commits has left behind, for whoever has to tell customers.
async fn tell_what_is_lost(pool: &PgPool) -> anyhow::Result<()> {
    let (events, keys): (i64, i64) = sqlx::query_as(
        "select (select count(*) from lost_events), (select count(*) from lost_keys)",
    )
    .fetch_one(pool)
    .await?;
    if events + keys > 0 {
        println!(
            "lost in a fail-over or a restore: {events} events (table lost_events), {keys} commands \
             that were answered for (table lost_keys)"
        );
    }
    for mail in lost_mails(pool).await? {
        let LostMail { position, about, kind, sent_at } = mail;
        let sent =
            sent_at.map_or_else(|| "perhaps".to_owned(), |at| Timestamp::from(at).to_string());
        println!("a mail about what is gone: {about}, {kind}, event {position}, sent {sent}");
    }
    Ok(())
}

fn verdict(report: &Report) -> anyhow::Result<()> {
    anyhow::ensure!(
        report.is_copy(),
        "the stream is no copy of the journal; see docs/operations.md"
    );
    Ok(())
}
