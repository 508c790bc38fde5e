//! Connections die without a word: a host loses its power, a NAT forgets, a backend is frozen. For a while
//! nobody answers at all; then new connections are answered, and the old ones never are.
//!
//! Nobody may wait for ever, and nobody may say that all is well meanwhile.

use super::super::check::{Evidence, Violation};
use super::super::cycle::Cycle;
use super::super::shopper::Shoppers;
use super::super::staff::{Duty, Staff};
use super::super::{LOOK, gather, patiently, rows};
use anyhow::Context as _;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Customers at once.
const SHOPPERS: u64 = 3;

/// How long nobody is answered, at most: longer than it takes until that is said.
const SILENCE: Duration = Duration::from_secs(25);

/// How long everything may take to go on once new connections are answered: the longest time-outs of
/// those who had begun something, one after the other.
const RECOVERY: Duration = Duration::from_secs(40);

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let database = [("DATABASE_URL", cycle.ground.url.as_str())];
    cycle.start("seed", &["seed"], &database)?.ends_well().await?;
    let mut staff = Staff::start(cycle, &[Duty::Serve, Duty::Project, Duty::Relay]).await?;
    let mut shoppers = Shoppers::start(cycle, &staff, 1..SHOPPERS + 1)?;
    shoppers.more_orders(cycle, 0).await?;
    // A process that starts into the silence has no read models to speak of.
    let addresses = staff.addresses();
    patiently("everybody serves", async || {
        for address in &addresses {
            says(address, |degraded| degraded.is_empty()).await?;
        }
        Ok(())
    })
    .await?;

    staff.be_silent(true);
    cycle.fault("nobody is answered");
    let mut found = is_told(&staff).await?;
    staff.be_silent(false);
    cycle.fault("new connections are answered, the old ones are not");
    let before = gather::orders(cycle).await?;
    found.extend(goes_on(cycle, &staff, before).await?);

    let told = shoppers.finish(cycle, &mut staff).await?;
    let mut evidence = gather::journal(cycle).await?;
    if gather::orders(cycle).await? != i64::try_from(told.len())? {
        let what = format!("{} were acknowledged", told.len());
        found.push(Violation { rule: "orders", what });
    }
    evidence.found = found;
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}

/// Every process that serves has to say that PostgreSQL does not answer.
async fn is_told(staff: &Staff) -> anyhow::Result<Vec<Violation>> {
    let deadline = Instant::now() + SILENCE;
    let mut found = vec![];
    for address in staff.addresses() {
        while let Err(error) = says(&address, |degraded| degraded.contains(&"postgresql")).await {
            if Instant::now() >= deadline {
                let what = format!("{address} says nothing of it: {error:#}");
                found.push(Violation { rule: "readiness", what });
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(found)
}

/// Orders are placed, published and shown again, and nobody complains any more.
async fn goes_on(cycle: &Cycle<'_>, staff: &Staff, before: i64) -> anyhow::Result<Vec<Violation>> {
    let deadline = Instant::now() + RECOVERY;
    let addresses = staff.addresses();
    let works = async || {
        anyhow::ensure!(gather::orders(cycle).await? > before, "nobody orders");
        let head = gather::head(cycle).await?;
        // Orders go on meanwhile; what was there is what has to be shown.
        while rows::are_at(cycle, head).await.is_err() {
            anyhow::ensure!(Instant::now() < deadline, "the read models are not at {head}");
            tokio::time::sleep(LOOK).await;
        }
        gather::stream(cycle, head).await?;
        for address in &addresses {
            says(address, |degraded| degraded.is_empty()).await?;
        }
        anyhow::Ok(())
    };
    while let Err(error) = works().await {
        if Instant::now() >= deadline {
            return Ok(vec![Violation { rule: "recovery", what: format!("{error:#}") }]);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(vec![])
}

/// Whether a process says of itself what it should.
async fn says(address: &str, wanted: impl Fn(&[&str]) -> bool) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(LOOK * 40).build()?;
    let ready: Value = client.get(format!("{address}/readyz")).send().await?.json().await?;
    let degraded = ready["degraded"].as_array().with_context(|| ready.to_string())?;
    let degraded: Vec<&str> = degraded.iter().filter_map(Value::as_str).collect();
    anyhow::ensure!(wanted(&degraded), "{address} says {degraded:?}");
    Ok(())
}
