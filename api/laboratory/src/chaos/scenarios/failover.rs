//! A standby that was behind takes over, or a backup is restored, under running processes: orders that
//! were acknowledged are gone, and others are placed at their positions.
//!
//! What the standby has is a copy of PostgreSQL's files, put in their place while it is stopped. Nothing
//! may go on from what is gone: read models, stream, mails and numbers are those of the journal that
//! there is, what was lost is written down, and whoever looks after the shop is told.

use super::super::check::{Evidence, Violation};
use super::super::cycle::Cycle;
use super::super::shopper::Shoppers;
use super::super::staff::{Duty, Staff};
use super::super::{LOOK, gather, mails, patiently, rows};
use anyhow::Context as _;
use rand::Rng;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;
use uuid::Uuid;

/// Customers at once.
const SHOPPERS: u64 = 3;

/// The longest that customers order in each part.
const ORDERING: Duration = Duration::from_millis(1_500);

/// How soon a process has to say that the journal tells another history.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let database = [("DATABASE_URL", cycle.ground.url.as_str())];
    cycle.start("seed", &["seed"], &database)?.ends_well().await?;
    let duties = [Duty::Serve, Duty::Project, Duty::Relay, Duty::Notify];
    let mut staff = Staff::start(cycle, &duties).await?;

    let mut kept = order(cycle, &mut staff, 0).await?;
    follow(cycle, &mut staff).await?;
    let standby = copy(cycle).await?;
    cycle.fault("the standby is cut off");
    let lost = order(cycle, &mut staff, 1).await?;
    follow(cycle, &mut staff).await?;
    let dead = gather::head(cycle).await?;
    put_back(cycle, &standby).await?;
    let end = gather::head(cycle).await?;
    anyhow::ensure!(end < dead, "nothing was lost: {end} of {dead}");
    cycle.fault(format!("the standby takes over: {} events are gone", dead - end));

    let mut found = is_told(&staff, cycle).await?;
    kept.extend(order(cycle, &mut staff, 2).await?);
    let audit =
        [("DATABASE_URL", cycle.ground.url.clone()), ("NATS_URL", cycle.testbed.stack.nats.url())];
    let audit = audit.each_ref().map(|(name, value)| (*name, value.as_str()));
    cycle.start("audit", &["audit", "--repair"], &audit)?.ends_well().await?;
    cycle.fault("the stream begins a new epoch");

    found.extend(judge_orders(cycle, &kept, &lost).await?);
    found.extend(mails::all_are_sent(cycle, &mut staff).await?);
    let mut evidence = gather::journal(cycle).await?;
    evidence.found = found;
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}

/// Customers of their own order for a while; the ids of all orders that were acknowledged.
async fn order(
    cycle: &mut Cycle<'_>,
    staff: &mut Staff,
    part: u64,
) -> anyhow::Result<BTreeSet<Uuid>> {
    let numbers = part * SHOPPERS + 1..(part + 1) * SHOPPERS + 1;
    let before = gather::orders(cycle).await?;
    let mut shoppers = Shoppers::start(cycle, staff, numbers)?;
    tokio::time::sleep(ORDERING.mul_f64(cycle.rng.random_range(0.3..1.0))).await;
    // At least one order, however slow the machine is.
    shoppers.more_orders(cycle, before).await?;
    Ok(shoppers.finish(cycle, staff).await?.into_iter().collect())
}

/// Waits until whatever follows the journal is at its end.
async fn follow(cycle: &Cycle<'_>, staff: &mut Staff) -> anyhow::Result<()> {
    let head = gather::head(cycle).await?;
    patiently("the stream", async || gather::stream(cycle, head).await.map(drop)).await?;
    patiently("the read models", async || rows::are_at(cycle, head).await).await?;
    let late = mails::all_are_sent(cycle, staff).await?;
    anyhow::ensure!(late.is_empty(), "mails: {late:?}");
    Ok(())
}

/// What the standby has from here on.
async fn copy(cycle: &Cycle<'_>) -> anyhow::Result<PathBuf> {
    let postgres = &cycle.testbed.stack.postgres;
    let standby = postgres.data_path().with_file_name("standby");
    postgres.stop().await;
    copy_files(&postgres.data_path(), &standby).await?;
    postgres.start().await?;
    Ok(standby)
}

async fn put_back(cycle: &Cycle<'_>, standby: &Path) -> anyhow::Result<()> {
    let postgres = &cycle.testbed.stack.postgres;
    let data = postgres.data_path();
    postgres.stop_immediate().await;
    std::fs::remove_dir_all(&data)?;
    std::fs::rename(standby, &data)?;
    postgres.start().await?;
    Ok(())
}

async fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().await?;
    anyhow::ensure!(copied.success(), "copying PostgreSQL's files: {copied}");
    Ok(())
}

/// Every process that serves has to say so by itself, soon.
async fn is_told(staff: &Staff, cycle: &mut Cycle<'_>) -> anyhow::Result<Vec<Violation>> {
    let deadline = Instant::now() + TOLD_WITHIN;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut found = vec![];
    for address in staff.addresses() {
        let says = async || {
            let ready: Value = client.get(format!("{address}/readyz")).send().await?.json().await?;
            let degraded = ready["degraded"].as_array().context("a list")?;
            anyhow::ensure!(degraded.iter().any(|word| word == "journal"), "{ready}");
            anyhow::Ok(())
        };
        while let Err(error) = says().await {
            if Instant::now() >= deadline {
                let what = format!("{address} does not say what happened: {error:#}");
                found.push(Violation { rule: "readiness", what });
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    cycle.fault("every process that serves has told");
    Ok(found)
}

/// The journal holds the orders that were not lost and no other, and each lost one is written down.
async fn judge_orders(
    cycle: &Cycle<'_>,
    kept: &BTreeSet<Uuid>,
    lost: &BTreeSet<Uuid>,
) -> anyhow::Result<Vec<Violation>> {
    let mut connection = cycle.ground.connect().await?;
    let mut found = vec![];
    for (what, query, expected) in [
        ("orders", "select aggregate_id from events where event_type = 'OrderPlaced'", kept),
        ("lost", "select aggregate_id from lost_events where event_type = 'OrderPlaced'", lost),
    ] {
        let there: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut connection).await?;
        let there: BTreeSet<Uuid> = there.iter().filter_map(|id| id.parse().ok()).collect();
        for order in there.symmetric_difference(expected) {
            let what = format!("{what}: {order}, expected {}", expected.contains(order));
            found.push(Violation { rule: "orders", what });
        }
    }
    let keys: i64 =
        sqlx::query_scalar("select count(*) from lost_keys").fetch_one(&mut connection).await?;
    if usize::try_from(keys)? < lost.len() {
        let what = format!("{keys} keys of {} lost orders are written down", lost.len());
        found.push(Violation { rule: "orders", what });
    }
    Ok(found)
}
