//! Customers order through HTTP while those who serve, publish, project and send mail are killed:
//! an order a key, a reservation an order, a mail an order.

use super::super::ChaosArgs;
use super::super::check::{Evidence, Violation};
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::super::proxy::{Moment, Point, Then, Trap};
use super::super::shopper::Shoppers;
use super::super::staff::{Duty, Staff};
use super::super::{LOOK, mails};
use super::MAX_FAULTS;
use async_nats::jetstream;
use clap::Args;
use nats::StreamConfig;
use rand::Rng;
use rand::seq::SliceRandom;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

/// Customers at once.
const SHOPPERS: u64 = 4;

/// The longest undisturbed time before a fault.
const PEACE: Duration = Duration::from_millis(800);

/// Mails that one process may be sending when it is killed: those may arrive a second time, under
/// the same Message-ID.
const IN_FLIGHT: usize = 8;

/// How long a mail may take to be on its way.
const MAILS_PATIENCE: Duration = Duration::from_secs(6);

/// How long that mail and recorded ones may take to be delivered again: shorter than a sender waits
/// for a mail server.
const AGAIN_PATIENCE: Duration = Duration::from_secs(5);

/// How often that is tried: on a busy machine it takes longer.
const AGAIN_TRIES: u32 = 6;

/// Who dies, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// One of a role, at any moment.
    Any(Duty),
    /// One of a role, at a point.
    At(Duty, Point, Moment),
    /// PostgreSQL stops as in a crash.
    Postgres,
    /// NATS is killed.
    Nats,
    /// NATS loses everything.
    NatsWiped,
}

const FAULTS: [Fault; 9] = [
    Fault::At(Duty::Serve, Point::Append, Moment::Answered),
    Fault::At(Duty::Serve, Point::Append, Moment::Sent),
    Fault::At(Duty::Serve, Point::Append, Moment::Half),
    Fault::Any(Duty::Serve),
    Fault::At(Duty::Project, Point::ProjectionCommit, Moment::Answered),
    Fault::Any(Duty::Relay),
    Fault::Postgres,
    Fault::Nats,
    Fault::NatsWiped,
];

/// Whoever sends mail. Their leases of a minute are waited for.
const MAIL_FAULTS: [Fault; 3] = [
    Fault::At(Duty::Notify, Point::MailSent, Moment::Answered),
    Fault::At(Duty::Notify, Point::MailSent, Moment::Sent),
    Fault::Any(Duty::Notify),
];

/// What is killed while orders come.
#[derive(Debug, Clone, Args)]
pub struct OrdersArgs {
    /// How much of it.
    #[command(flatten)]
    pub chaos: ChaosArgs,
    /// Faults in a cycle; each kind happens before one happens again.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_FAULTS)))]
    pub faults: u32,
    /// Kill those who send mail too: the cycle then waits until their leases of a minute are over.
    #[arg(long)]
    pub mailers: bool,
}

pub(super) async fn cycle(
    cycle: &mut Cycle<'_>,
    faults: u32,
    mailers: bool,
) -> anyhow::Result<Evidence> {
    let database = [("DATABASE_URL", cycle.ground.url.as_str())];
    cycle.start("seed", &["seed"], &database)?.ends_well().await?;
    let duties = [Duty::Serve, Duty::Project, Duty::Relay, Duty::Notify];
    let mut staff = Staff::start(cycle, &duties).await?;
    let mut crew = Crew::start(cycle, &cycle.urls()[..1], Manner::default())?;
    crew.at_work().await?;
    let mut shoppers = Shoppers::start(cycle, &staff, 1..SHOPPERS + 1)?;

    let mut schedule = FAULTS.to_vec();
    if mailers {
        schedule.extend(MAIL_FAULTS);
    }
    schedule.shuffle(&mut cycle.rng);
    let mut killed_mailers = 0;
    for fault in schedule.iter().cycle().take(usize::try_from(faults)?) {
        tokio::time::sleep(PEACE.mul_f64(cycle.rng.random())).await;
        if let Some(what) = commit(*fault, cycle, &mut staff).await? {
            killed_mailers += usize::from(what.starts_with("notify"));
            cycle.fault(what);
        }
        staff.supervise(cycle).await?;
    }

    shoppers.more_orders(cycle, 0).await?;
    for _ in 0..AGAIN_TRIES {
        if let Some(what) = deliver_again(cycle, &staff).await? {
            cycle.fault(what);
            break;
        }
    }

    let told = shoppers.finish(cycle, &mut staff).await?;
    crew.enough().await?;
    let mut evidence = crew.finish(cycle).await?;
    let mut found = judge_orders(cycle, &told).await?;
    found.extend(mails::judge(cycle, &mut staff, killed_mailers * IN_FLIGHT).await?);
    evidence.found.extend(found);
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}

async fn commit(
    fault: Fault,
    cycle: &mut Cycle<'_>,
    staff: &mut Staff,
) -> anyhow::Result<Option<String>> {
    let testbed = cycle.testbed;
    match fault {
        Fault::Any(duty) => {
            let members = staff.with(duty);
            let member = members[cycle.rng.random_range(0..members.len())];
            staff.replace(cycle, member).await?;
            Ok(Some(format!("{} killed", staff.name(member))))
        }
        Fault::At(duty, point, moment) => {
            let trap = Trap { point, moment, then: Then::Hang };
            let Some(member) = staff.trap(duty, trap).await else { return Ok(None) };
            staff.replace(cycle, member).await?;
            Ok(Some(format!("{} killed, {point:?} {moment:?}", staff.name(member))))
        }
        Fault::Postgres => {
            testbed.stack.postgres.stop_immediate().await;
            testbed.stack.postgres.start().await?;
            Ok(Some("PostgreSQL stopped at once".to_owned()))
        }
        Fault::Nats => {
            testbed.stack.nats.kill9().await;
            testbed.stack.nats.start().await?;
            Ok(Some("NATS killed".to_owned()))
        }
        Fault::NatsWiped => {
            testbed.stack.nats.wipe().await?;
            Ok(Some("NATS wiped".to_owned()))
        }
    }
}

/// Has mails delivered again of which one is on its way and the others are recorded: the senders'
/// durable is lost, and made again from their cursor, which is behind. Tells what happened, if it
/// came to that.
async fn deliver_again(cycle: &Cycle<'_>, staff: &Staff) -> anyhow::Result<Option<String>> {
    let mut held = staff.mailbox().hold_next();
    if tokio::time::timeout(MAILS_PATIENCE, held.caught()).await.is_err() {
        return Ok(None);
    }
    let again = async {
        while mails::beyond_the_cursor(cycle).await?.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        let client = async_nats::connect(cycle.testbed.stack.nats.url()).await?;
        let stream = jetstream::new(client).get_stream(StreamConfig::default().name).await?;
        stream.delete_consumer("notify").await?;
        let recorded = mails::beyond_the_cursor(cycle).await?.len();
        // Until somebody makes it again, there is none.
        while stream.consumer_info("notify").await.map_or(true, |durable| durable.num_pending > 0) {
            tokio::time::sleep(LOOK).await;
        }
        anyhow::Ok(recorded)
    };
    // A stream that was wiped a moment ago is not there yet either.
    let recorded = tokio::time::timeout(AGAIN_PATIENCE, again).await.ok().and_then(Result::ok);
    drop(held);
    let what = |recorded| format!("a mail on its way and {recorded} recorded ones delivered again");
    Ok(recorded.filter(|recorded| *recorded > 0).map(what))
}

/// An order for every key, and no other; a reservation for every order, and no other.
async fn judge_orders(cycle: &Cycle<'_>, told: &[Uuid]) -> anyhow::Result<Vec<Violation>> {
    let mut found = vec![];
    let mut add = |what| found.push(Violation { rule: "orders", what });
    let mut connection = cycle.ground.connect().await?;
    anyhow::ensure!(!told.is_empty(), "nobody could order anything");
    let placed: Vec<String> = sqlx::query_scalar(
        "select aggregate_id from events where event_type = 'OrderPlaced' order by position",
    )
    .fetch_all(&mut connection)
    .await?;
    let reserved: Vec<String> = sqlx::query_scalar(
        "select payload ->> 'order_id' from events where event_type = 'StockReserved'",
    )
    .fetch_all(&mut connection)
    .await?;
    let once: HashSet<_> = told.iter().map(Uuid::to_string).collect();
    if once.len() != told.len() {
        add(format!("{} keys have {} orders", told.len(), once.len()));
    }
    for (what, orders) in [("orders", placed), ("reservations", reserved)] {
        let there: HashSet<_> = orders.iter().cloned().collect();
        if there.len() != orders.len() {
            add(format!("{} {what} are of {} orders", orders.len(), there.len()));
        }
        for order in once.symmetric_difference(&there) {
            let is_told = once.contains(order);
            add(format!("{what} of {order}: acknowledged {is_told}, recorded {}", !is_told));
        }
    }
    Ok(found)
}
