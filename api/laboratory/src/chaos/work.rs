//! `gomall chaos work`: a process with a write side of its own and many clients on it, who write
//! down what they ask for and what they are told.
//!
//! Its predecessor may have been killed: then its clients go on where their history ends, and ask
//! once more for what they have no answer to and have a key for.

use super::account::{Account, Marks, Move};
use super::history::{self, Leg, Line, Log};
use super::operations::{Operation, SKUS, operation, sku};
use super::patiently;
use anyhow::Context as _;
use api::settings::DatabaseArgs;
use api::shop::world;
use clap::Args;
use commands::bus::{Bus, Context, ExecuteError, Executed, FingerprintKey, Plan, RequestKey};
use commands::journal::{AppendError, Journal, WriterSettings};
use domain::product::{Product, ProductCommand, Variant};
use domain::stock::{StockCommand, StockItem};
use domain::{Currency, Description, Money, Name, ProductId, Reason};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

/// How often an operation is tried whose outcome is not known or that others were in the way of:
/// a server that is being restarted is waited for, and a client does end.
const TRIES: u32 = 12;

/// The pause after the first try; it grows by as much with every further one. Together they are
/// longer than a restart of PostgreSQL.
const PAUSE: Duration = Duration::from_millis(25);

/// The most often that a request is polled before its client leaves: more than a request needs on
/// an idle machine, so that some stay to the end.
const POLLS_BEFORE_LEAVING: u32 = 14;

/// What a working process is told.
#[derive(Debug, Clone, Args)]
pub struct WorkArgs {
    /// Where to write.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The history to go on with.
    #[arg(long)]
    pub history: PathBuf,
    /// What the operations are drawn from.
    #[arg(long)]
    pub seed: u64,
    /// Which of the working processes this is.
    #[arg(long)]
    pub slot: u32,
    /// Which life of it.
    #[arg(long)]
    pub life: u32,
    /// Clients at once.
    #[arg(long)]
    pub clients: u32,
    /// Operations of each client.
    #[arg(long)]
    pub operations: u32,
    /// Whether clients leave in the middle of their requests.
    #[arg(long)]
    pub leave: bool,
}

pub(super) async fn run(args: WorkArgs) -> anyhow::Result<()> {
    let past = Past::of(&history::read(&args.history)?);
    let log = Arc::new(Log::open(&args.history)?);
    let database = super::options(&args.database)?;
    let pool = patiently("PostgreSQL", || api::pools::connect(&database)).await?;
    let (journal, writer) =
        Journal::start(pool.clone(), database, WriterSettings::default(), world().now);
    let bus = Arc::new(Bus::new(journal, world(), FingerprintKey::new(&[7; 32])));
    open_shop(&bus, args.seed).await?;

    let enough = told_enough();
    let marks = Arc::new(Marks::new(format!("{}.{}", args.slot, args.life)));
    let mut clients = JoinSet::new();
    for number in 0..args.clients {
        let client = Client {
            bus: Arc::clone(&bus),
            log: Arc::clone(&log),
            marks: Arc::clone(&marks),
            leaving: args.leave.then(|| StdRng::seed_from_u64(args.seed ^ u64::from(number))),
            seed: args.seed,
            enough: Arc::clone(&enough),
        };
        let todo: Vec<_> = (0..args.operations)
            .map(|index| operation(args.seed, args.slot, number, index))
            .filter(|operation| past.leaves(operation))
            .collect();
        clients.spawn(client.work(todo));
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    drop(bus);
    // It ends when its queue is empty, also of commands whose clients have left.
    writer.await?;
    pool.close().await;
    Ok(())
}

/// Becomes true when a line arrives on the standard input. Its thread ends with the process, which
/// does not wait for it.
fn told_enough() -> Arc<AtomicBool> {
    let enough = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&enough);
    std::thread::spawn(move || {
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            told.store(true, Ordering::Relaxed);
        }
    });
    enough
}

/// What the history tells of what has been asked for already.
struct Past {
    begun: HashSet<u64>,
    answered: HashSet<u64>,
}

impl Past {
    fn of(lines: &[Line]) -> Self {
        let (mut begun, mut answered) = (HashSet::new(), HashSet::new());
        for line in lines {
            match line {
                Line::Began { op, .. } => begun.insert(*op),
                Line::Done { op, .. }
                | Line::Nothing { op, .. }
                | Line::Refused { op, .. }
                | Line::Absent { op }
                | Line::Unknown { op } => answered.insert(*op),
            };
        }
        Self { begun, answered }
    }

    /// Whether something is still to be done. Without a key nobody can ask a second time.
    fn leaves(&self, operation: &Operation) -> bool {
        let unanswered = !self.answered.contains(&operation.op);
        !self.begun.contains(&operation.op) || (unanswered && operation.key.is_some())
    }
}

struct Client {
    bus: Arc<Bus>,
    log: Arc<Log>,
    marks: Arc<Marks>,
    /// When this client leaves, if it is one that does.
    leaving: Option<StdRng>,
    seed: u64,
    /// Nothing new is to be begun.
    enough: Arc<AtomicBool>,
}

impl Client {
    async fn work(mut self, todo: Vec<Operation>) -> anyhow::Result<()> {
        for operation in todo {
            if self.enough.load(Ordering::Relaxed) {
                break;
            }
            let answer = self.insist(&operation).await?;
            let acknowledged = matches!(answer, Line::Done { .. } | Line::Nothing { .. });
            if operation.asks_again && acknowledged {
                self.ask(&operation).await?;
            }
        }
        Ok(())
    }

    /// Asks until there is an answer, as far as asking again is harmless.
    async fn insist(&mut self, operation: &Operation) -> anyhow::Result<Line> {
        for number in 1..TRIES {
            let answer = self.ask(operation).await?;
            match answer {
                Line::Unknown { .. } if operation.key.is_some() => {}
                Line::Absent { .. } => {}
                answer => return Ok(answer),
            }
            if self.leaving.is_none() {
                tokio::time::sleep(PAUSE * number).await;
            }
        }
        self.ask(operation).await
    }

    async fn ask(&mut self, operation: &Operation) -> anyhow::Result<Line> {
        let Operation { op, key, legs, .. } = operation;
        self.log.write(&[Line::Began { op: *op, key: *key, legs: legs.clone() }])?;
        let executing = self.bus.execute(self.plan(operation));
        let outcome = match &mut self.leaving {
            Some(rng) => leave_after(rng.random_range(0..POLLS_BEFORE_LEAVING), executing).await,
            None => Some(executing.await),
        };
        let answer = answer(operation, outcome);
        self.log.write(&[&answer])?;
        Ok(answer)
    }

    fn plan(&self, operation: &Operation) -> Plan {
        let context = context(Uuid::from_u64_pair(self.seed, operation.op));
        let key = operation.key.map(|key| RequestKey { key, fingerprint: [1; 32] });
        let plan = Plan::new(&context).keyed(key);
        operation.legs.iter().fold(plan, |plan, leg| match leg {
            Leg::Move { account, amount } => {
                let command = Move { amount: *amount, marks: Arc::clone(&self.marks) };
                plan.step::<Account>(account, command)
            }
            Leg::Receive { sku } => {
                plan.step::<StockItem>(sku, StockCommand::Receive { quantity: 1, reason: reason() })
            }
        })
    }
}

/// What the client is told, as its history has it.
fn answer(operation: &Operation, outcome: Option<Result<Executed, ExecuteError>>) -> Line {
    let op = operation.op;
    match outcome {
        Some(Ok(Executed { positions: Some((first, last)), replayed, .. })) => {
            Line::Done { op, first: first.get(), last: last.get(), replayed }
        }
        Some(Ok(executed)) => {
            let saw = executed.state::<Account>(0).now.clone();
            Line::Nothing { op, saw, replayed: executed.replayed }
        }
        Some(Err(ExecuteError::Rejected(rejections))) => {
            let saw = rejections.iter().find_map(|rejection| {
                serde_json::from_value(
                    rejection.extra().filter(|_| rejection.code() == "overdrawn")?,
                )
                .ok()
            });
            saw.map_or(Line::Absent { op }, |saw| Line::Refused { op, saw })
        }
        Some(Err(ExecuteError::Contended)) => Line::Absent { op },
        // State is loaded before a decision is handed over, or to answer a key that is known.
        Some(Err(ExecuteError::Load(_))) if operation.key.is_none() => Line::Absent { op },
        Some(Err(
            ExecuteError::Append(AppendError::Unstorable(_))
            | ExecuteError::KeyReused
            | ExecuteError::Vault(_),
        )) => Line::Absent { op },
        Some(Err(ExecuteError::Load(_) | ExecuteError::Append(_))) | None => Line::Unknown { op },
    }
}

/// Drops a request when it has been polled so often without an answer.
async fn leave_after<F: Future>(polls: u32, request: F) -> Option<F::Output> {
    let mut request = Box::pin(request);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        let polled = request.as_mut().poll(cx).map(Some);
        if polled.is_pending() {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
        }
        polled
    })
    .await
}

/// Sees to it that there is something to book pieces in of. All processes try at once, under one
/// key.
async fn open_shop(bus: &Bus, seed: u64) -> anyhow::Result<()> {
    let product_id = ProductId::from(Uuid::from_u64_pair(seed, u64::MAX));
    let context = context(product_id.uuid());
    let opening = || {
        let variant = |number: u32| {
            let sku = sku(number);
            let number = i32::try_from(number).expect("there are few") + 1_000;
            (Variant { sku, number, name: None }, Money::new(100, Currency::USD).expect("in range"))
        };
        let create = ProductCommand::Create {
            name: Name::parse("Chaos").expect("valid"),
            description: Description::parse("").expect("valid"),
            picture: None,
            categories: vec![],
            variants: (0..SKUS).map(variant).collect(),
        };
        let key = RequestKey { key: product_id.uuid(), fingerprint: [1; 32] };
        let plan = Plan::new(&context)
            .keyed(Some(key))
            .step::<Product>(&product_id, create)
            .step::<Product>(&product_id, ProductCommand::Publish);
        (0..SKUS).fold(plan, |plan, number| {
            plan.step::<StockItem>(&sku(number), StockCommand::Open { product_id })
        })
    };
    patiently("the journal", || async { Ok(bus.execute(opening()).await.map(|_| ())?) })
        .await
        .context("the shop cannot be opened")
}

fn context(correlation_id: Uuid) -> Context {
    let actor = "system:chaos".to_owned();
    Context { actor, correlation_id, causation_id: None, traceparent: None }
}

fn reason() -> Reason {
    Reason::parse("chaos").expect("valid")
}
