//! `gomall dead-letters`: what waits and what to do about it, when HTTP is away.

use crate::cli::DeadLettersAction;
use anyhow::Context as _;
use api::settings::DatabaseArgs;
use api::shop;
use projections::Limit;
use projections::dead_letters::{self, DeadLetter, DeadLetterStatus, Decided};
use sqlx::PgPool;
use tracing::warn;

/// Who decides, in the log: whoever has the database's address.
const ACTOR: &str = "system:dead-letters";

pub(super) async fn run(action: DeadLettersAction) -> anyhow::Result<()> {
    match action {
        DeadLettersAction::List(database) => list(&connect(&database).await?).await,
        DeadLettersAction::Retry { id, database } => {
            let decided = dead_letters::request_retry(&connect(&database).await?, &id).await?;
            check(decided)?;
            warn!(dead_letter.id = %id, actor = ACTOR, "a dead letter is tried again");
            println!(
                "{id}: its ordering key is tried again within about a second by the running workers"
            );
            Ok(())
        }
        DeadLettersAction::GiveUp { id, database } => {
            let decided = dead_letters::give_up(&connect(&database).await?, &id).await?;
            check(decided)?;
            warn!(dead_letter.id = %id, actor = ACTOR, "a dead letter is given up");
            println!("{id}: has no effect from now on, unless it can be applied after all");
            Ok(())
        }
    }
}

async fn connect(database: &DatabaseArgs) -> anyhow::Result<PgPool> {
    let database = database.options().clone();
    let pool = api::pools::connect(&database).await?;
    shop::check_schema(&pool).await?;
    Ok(pool)
}

async fn list(pool: &PgPool) -> anyhow::Result<()> {
    let mut cursor = None;
    loop {
        let page = dead_letters::list(pool, cursor.as_deref(), Limit::MAX).await;
        let page = page.context("the dead letters cannot be read")?;
        page.items.iter().for_each(|letter| println!("{}", describe(letter)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn describe(letter: &DeadLetter) -> String {
    let status = match letter.status {
        DeadLetterStatus::Failed => "failed",
        DeadLetterStatus::Waiting => "waiting",
        DeadLetterStatus::GivenUp => "given up",
    };
    let DeadLetter { id, event_type, aggregate_type, aggregate_id, attempts, .. } = letter;
    let reason = letter.reason.as_deref().unwrap_or("behind one that failed");
    format!(
        "{id}  {status}  {event_type} of {aggregate_type}/{aggregate_id}  tried {attempts}x: {reason}"
    )
}

fn check(decided: Decided) -> anyhow::Result<()> {
    match decided {
        Decided::Accepted => Ok(()),
        Decided::Unknown => {
            anyhow::bail!("there is no such dead letter; see `gomall dead-letters list`")
        }
        Decided::OnlyWaits => {
            anyhow::bail!("it waits behind one that failed; retry or give up that one")
        }
        Decided::GivenUp => anyhow::bail!("it was given up before; a rebuild tries it again"),
    }
}
