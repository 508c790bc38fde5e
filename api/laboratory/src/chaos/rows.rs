//! Are the read models what the journal says?

use super::check::Violation;
use super::cycle::Cycle;
use anyhow::Context as _;
use commands::journal::JournalReader;
use domain::Position;
use projections::{Projection, REBUILD_BATCH_EVENTS, RebuildOptions, Status, list_projections};
use sqlx::PgConnection;
use std::sync::Arc;
use tokio::sync::watch;

/// Fails while a read model is not at the end of the journal yet.
pub(super) async fn are_at(cycle: &Cycle<'_>, head: u64) -> anyhow::Result<()> {
    let pool = api::pools::connect(&cycle.ground.options).await?;
    let found = list_projections(&pool).await;
    pool.close().await;
    let found = found?;
    for projection in projections::ALL {
        let name = projection.name();
        let status = found.iter().find(|status| status.name == name);
        let status = status.with_context(|| format!("{name} was never kept"))?;
        anyhow::ensure!(status.status == Status::Running, "{name} is parked");
        anyhow::ensure!(
            status.position.get() >= head,
            "{name} is at {} of {head}",
            status.position
        );
    }
    Ok(())
}

/// Builds every read model anew and compares.
pub(super) async fn differ_from_rebuilt(cycle: &Cycle<'_>) -> anyhow::Result<Vec<Violation>> {
    let mut connection = cycle.ground.connect().await?;
    let pool = api::pools::connect(&cycle.ground.options).await?;
    let (_nobody, hints) = watch::channel(Position::START);
    let reader = Arc::new(JournalReader::new(pool.clone(), hints));
    let (_still, head) = watch::channel(reader.head().await?);
    let mut differences = vec![];
    for projection in projections::ALL {
        let live = digests(&mut connection, *projection).await?;
        let options = RebuildOptions {
            connect: cycle.ground.options.clone(),
            head: head.clone(),
            batch_events: REBUILD_BATCH_EVENTS,
        };
        projections::rebuild(*projection, options, Arc::clone(&reader), |_| ())
            .await
            .with_context(|| format!("rebuilding {}", projection.name()))?;
        let rebuilt = digests(&mut connection, *projection).await?;
        for ((table, live), rebuilt) in projection.tables().iter().zip(live).zip(rebuilt) {
            if live != rebuilt {
                let what = format!("{table}: {live:?} live, {rebuilt:?} rebuilt");
                differences.push(Violation { rule: "read models", what });
            }
        }
    }
    pool.close().await;
    Ok(differences)
}

/// How many rows each table has, and a hash of them.
async fn digests(
    connection: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let mut digests = vec![];
    for table in projection.tables() {
        let query = format!(
            "select count(*), coalesce(md5(string_agg(r::text, ';' order by r::text)), '') \
               from {table} r"
        );
        digests.push(sqlx::query_as(&query).fetch_one(&mut *connection).await?);
    }
    Ok(digests)
}
