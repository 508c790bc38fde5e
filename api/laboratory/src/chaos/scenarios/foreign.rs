//! Somebody else publishes to the shop's subjects: while the relay has nothing to do, so that the next burst
//! follows the foreign message, and in the middle of its work. The relay must not publish over it.

use super::super::check::{Evidence, Violation};
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::super::staff::{Duty, Staff};
use super::super::{gather, patiently};
use anyhow::Context as _;
use async_nats::HeaderMap;
use async_nats::jetstream;
use nats::stream::EVENT_ID_HEADER;
use std::time::Duration;
use uuid::Uuid;

/// Messages that there have to be before a foreign one comes among them.
const ENOUGH_MESSAGES: u64 = 100;

/// How long a relay is watched that must not write: longer than it takes to look.
const WATCHED: Duration = Duration::from_secs(4);

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let database = [("DATABASE_URL", cycle.ground.url.as_str())];
    cycle.start("seed", &["seed"], &database)?.ends_well().await?;
    let mut staff = Staff::start(cycle, &[Duty::Relay]).await?;
    let seeded = gather::head(cycle).await?;
    patiently("the relay", async || gather::stream(cycle, seeded).await.map(drop)).await?;

    forge(cycle, 1).await?;
    cycle.fault("a foreign message, nobody publishes");
    let mut crew = Crew::start(cycle, &cycle.urls(), Manner::default())?;
    crew.at_work().await?;
    let mut found = vec![];
    found.extend(is_left_alone(cycle).await?);
    repair(cycle).await?;

    let enough = gather::head(cycle).await? + ENOUGH_MESSAGES;
    let published = async || gather::stream(cycle, enough).await.map(drop);
    patiently("the relay", published).await?;
    forge(cycle, 2).await?;
    cycle.fault("a foreign message, amid others");
    found.extend(is_left_alone(cycle).await?);
    crew.enough().await?;
    let mut evidence = crew.finish(cycle).await?;
    repair(cycle).await?;
    evidence.found.extend(found);
    staff.supervise(cycle).await?;
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}

/// Publishes what calls itself an event.
async fn forge(cycle: &Cycle<'_>, number: u64) -> anyhow::Result<()> {
    // Kept until the answer has come.
    let jetstream = jetstream::new(async_nats::connect(cycle.testbed.stack.nats.url()).await?);
    let mut headers = HeaderMap::new();
    headers.insert(EVENT_ID_HEADER, Uuid::from_u64_pair(cycle.seed, number).to_string());
    let subject = "gomall.order.OrderPlaced";
    let stored = jetstream.publish_with_headers(subject, headers, "{}".into()).await?;
    stored.await.context("a foreign message is stored")?;
    Ok(())
}

/// Once the relay has looked nothing more is published. What was on its way with the first message that the
/// stream refused may be there.
async fn is_left_alone(cycle: &Cycle<'_>) -> anyhow::Result<Option<Violation>> {
    tokio::time::sleep(WATCHED).await;
    let before = gather::last(cycle).await?;
    tokio::time::sleep(WATCHED / 4).await;
    let after = gather::last(cycle).await?;
    let what = format!("a relay publishes over a foreign message: from {before} to {after}");
    Ok((after > before).then_some(Violation { rule: "stream", what }))
}

/// What the operator's handbook says.
async fn repair(cycle: &Cycle<'_>) -> anyhow::Result<()> {
    let nats = cycle.testbed.stack.nats.url();
    let servers = [("DATABASE_URL", cycle.ground.url.as_str()), ("NATS_URL", nats.as_str())];
    cycle.start("audit", &["audit", "--repair"], &servers)?.ends_well().await
}
