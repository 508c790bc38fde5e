//! A thousand orders are placed whose mailboxes are full, more than a durable of the stream hands out at a time.
//! Their mails wait, and stand in nobody's way; once there is room each arrives, once.

use super::super::check::{Evidence, Violation};
use super::super::cycle::Cycle;
use super::super::shopper::{MAX_ORDERS, Shoppers};
use super::super::staff::{Duty, Staff};
use super::super::{LOOK, gather, mails, patiently};
use anyhow::Context as _;
use std::time::{Duration, Instant};

/// Customers whose mailboxes are full: with all of their orders more than the thousand messages that a
/// durable hands out unacknowledged.
const FULL: u64 = 11;

/// Customers who order meanwhile.
const OTHERS: u64 = 2;

/// How soon the others' mails are there: one look of the relay, the worker and the read model each, on a busy
/// machine.
const SOON: Duration = Duration::from_secs(10);

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let database = [("DATABASE_URL", cycle.ground.url.as_str())];
    cycle.start("seed", &["seed"], &database)?.ends_well().await?;
    let duties = [Duty::Serve, Duty::Project, Duty::Relay, Duty::Notify];
    let mut staff = Staff::start(cycle, &duties).await?;
    staff.mailbox().be_full(Some("full"));
    let shoppers = Shoppers::start_for(cycle, &staff, 1..FULL + 1, "full")?;
    let mut told = shoppers.end(cycle, &mut staff).await?;
    anyhow::ensure!(told.len() >= usize::try_from(FULL * u64::from(MAX_ORDERS))?);
    let refused = async || {
        let tried = mails::tried(cycle).await?;
        anyhow::ensure!(tried >= told.len(), "{tried} of {} mails were tried", told.len());
        anyhow::Ok(tried)
    };
    let waiting = patiently("the mails", refused).await?;
    cycle.fault(format!("{waiting} mailboxes are full"));

    let mut shoppers = Shoppers::start_for(cycle, &staff, FULL + 1..FULL + OTHERS + 1, "open")?;
    shoppers.more_orders(cycle, i64::try_from(told.len())?).await?;
    let others = shoppers.finish(cycle, &mut staff).await?;
    let mut found = vec![];
    let deadline = Instant::now() + SOON;
    while staff.mailbox().taken().len() < others.len() {
        if Instant::now() >= deadline {
            let there = staff.mailbox().taken().len();
            let what = format!("{there} of {} mails to others arrived in {SOON:?}", others.len());
            found.push(Violation { rule: "mails", what });
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    told.extend(others);
    staff.mailbox().be_full(None);
    cycle.fault("there is room again");

    found.extend(mails::judge(cycle, &mut staff, 0).await.context("mails cannot be judged")?);
    let mut evidence = gather::journal(cycle).await?;
    if gather::orders(cycle).await? != i64::try_from(told.len())? {
        let what = format!("{} were acknowledged", told.len());
        found.push(Violation { rule: "orders", what });
    }
    evidence.found = found;
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}
