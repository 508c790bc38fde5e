//! The database's clock was a day ahead, wrote so, and comes back: what it leaves is put there, for no
//! scenario sets the clock of a machine. Whatever would be written is refused, loudly and at once; what is
//! known is answered; and when the times are right again everything goes on, each key once.

use super::super::check::{Evidence, Violation};
use super::super::cycle::Cycle;
use super::super::gather;
use super::super::shopper::Shoppers;
use super::super::staff::{Duty, Staff};
use serde_json::{Value, json};
use std::time::Duration;

/// Customers at once.
const SHOPPERS: u64 = 3;

/// How long the times are wrong: shorter than a customer asks again.
const WRONG: Duration = Duration::from_secs(5);

/// How long a refusal may take.
const AT_ONCE: Duration = Duration::from_secs(3);

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let database = [("DATABASE_URL", cycle.ground.url.as_str())];
    cycle.start("seed", &["seed"], &database)?.ends_well().await?;
    let mut staff = Staff::start(cycle, &[Duty::Serve, Duty::Project, Duty::Relay]).await?;
    let mut shoppers = Shoppers::start(cycle, &staff, 1..SHOPPERS + 1)?;
    let mut found = vec![];
    for days in [1, 20] {
        let before = gather::orders(cycle).await?;
        shoppers.more_orders(cycle, before).await?;
        shift(cycle, days).await?;
        cycle.fault(format!("the clock was {days} days ahead and comes back"));
        found.extend(refuses(&staff.addresses(), days).await?);
        tokio::time::sleep(WRONG).await;
        shift(cycle, -days).await?;
        cycle.fault("the times are set right");
    }
    let before = gather::orders(cycle).await?;
    shoppers.more_orders(cycle, before).await?;
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

/// Moves everything that was written so far, keys included, in one transaction with the lock of the append.
/// Every read model has it by then: one that shows a time that is set right later shows a wrong one.
async fn shift(cycle: &Cycle<'_>, days: i32) -> anyhow::Result<()> {
    let mut connection = cycle.ground.connect().await?;
    let by = format!("recorded_at + interval '{days} days'");
    let lock = domain::locks::APPEND;
    let statements = format!(
        "begin; set local statement_timeout = '10s'; select pg_advisory_xact_lock({lock}); \
         do $$ begin \
           while exists (select from projections p \
                         where p.position < (select max(e.position) from events e)) loop \
             perform pg_sleep(0.01); \
           end loop; \
         end $$; \
         update events set recorded_at = {by}; update command_outcomes set recorded_at = {by}; commit"
    );
    sqlx::raw_sql(&statements).execute(&mut connection).await?;
    Ok(())
}

/// Whoever would write something new hears at once what is wrong.
async fn refuses(addresses: &[String], days: i32) -> anyhow::Result<Vec<Violation>> {
    let client = reqwest::Client::builder().no_proxy().timeout(AT_ONCE).build()?;
    let mut found = vec![];
    for (number, address) in addresses.iter().enumerate() {
        let account = json!({
            "email": format!("late-{days}-{number}@example.com"), "password": "a quite long password",
        });
        let request = client.post(format!("{address}/api/v1/auth/register")).json(&account);
        let said = match request.send().await {
            Ok(answer) => answer.json::<Value>().await.unwrap_or_default()["code"].clone(),
            Err(error) => Value::String(error.to_string()),
        };
        if said != "clock_jumped" {
            let what = format!("{address} answers {said}");
            found.push(Violation { rule: "clocks", what });
        }
    }
    Ok(found)
}
