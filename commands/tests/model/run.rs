//! Carries a script out on real journals and writes down what every client was told.

use super::line::Line;
use super::reference::{Asked, Seen, refusal};
use super::script::{Action, Body, CLIENTS, IfMatch, Key, PROCESSES, SKUS, receive, script};
use crate::support::{Database, context, fingerprints, world};
use commands::bus::{Bus, ExecuteError, Executed, Plan, RequestKey};
use commands::journal::{Journal, JournalReader, WriterSettings};
use domain::stock::{StockCommand, StockItem};
use domain::{Cursor, EventSource, RecordedEvent};
use std::sync::{Arc, RwLock};
use std::task::Poll;
use testkit::{new_id, sku};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

/// A call and what became of it.
#[derive(Debug)]
pub(crate) struct Call {
    /// The causation of its events.
    pub(crate) id: Uuid,
    pub(crate) asked: Asked,
    pub(crate) key: Option<Key>,
    /// Nobody else was asking for anything: there is no excuse for not being served.
    pub(crate) calm: bool,
    /// The journal's head before the call and after the answer.
    pub(crate) called: u64,
    pub(crate) answered: u64,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Done(Done),
    Rejected(Vec<String>),
    KeyReused,
    Contended,
    /// The client went away.
    Dropped,
    /// Nothing that a client should ever hear here.
    Failed(ExecuteError),
}

#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) replayed: bool,
    pub(crate) positions: Option<(u64, u64)>,
    pub(crate) position: u64,
    /// The aggregate of every step.
    pub(crate) after: Vec<Seen>,
}

/// Everything there is to check.
pub(crate) struct Run {
    pub(crate) calls: Vec<Call>,
    pub(crate) events: Vec<Arc<RecordedEvent>>,
    /// What is kept under keys: key, fingerprint, first and last position.
    pub(crate) outcomes: Vec<(Uuid, Vec<u8>, i64, i64)>,
}

struct Process {
    bus: RwLock<Arc<Bus>>,
    line: Line,
    writer: JoinHandle<()>,
}

struct Shop {
    processes: Vec<Process>,
    reader: JournalReader,
}

/// Carries the script of `seed` out on an emptied journal, to the end of every writer's queue.
pub(crate) async fn run(database: &Database, seed: u64) -> Run {
    sqlx::query("truncate events, event_tags, command_outcomes")
        .execute(&database.pool)
        .await
        .expect("the writers of the run before have ended");
    let shop = Arc::new(Shop::open(database).await);
    let mut calls = shop.set_up().await;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let shop = Arc::clone(&shop);
        clients.spawn(async move { shop.serve(seed, client).await });
    }
    calls.extend(clients.join_all().await.into_iter().flatten());
    calls.extend(shop.calm_down().await);
    let shop = Arc::into_inner(shop).expect("the clients have ended");
    for Process { bus, line, writer } in shop.processes {
        // The writer ends when its queue is empty; what dropped calls left is in the journal then.
        drop(bus);
        writer.await.expect("writers do not panic");
        drop(line);
    }
    let outcomes = "select key, fingerprint, first_position, last_position from command_outcomes";
    let outcomes =
        sqlx::query_as(outcomes).fetch_all(&database.pool).await.expect("they are readable");
    let events =
        shop.reader.read_after(Cursor::START, usize::MAX).await.expect("the journal is readable");
    Run { calls, events, outcomes }
}

/// With so many snapshots that most cold loads begin at one, or at one of the run before.
fn bus_on(journal: Journal) -> Bus {
    Bus::with_snapshots_every(4, journal, world(), fingerprints())
}

impl Shop {
    async fn open(database: &Database) -> Self {
        let mut processes = Vec::with_capacity(PROCESSES);
        for _ in 0..PROCESSES {
            let line = Line::to(&database.options).await;
            let settings = WriterSettings::default();
            let (journal, writer) = Journal::start(
                database.pool.clone(),
                line.options.clone(),
                settings,
                crate::support::world().now,
            );
            let bus = RwLock::new(Arc::new(bus_on(journal)));
            processes.push(Process { bus, line, writer });
        }
        let (_, nobody) = tokio::sync::watch::channel(domain::Position::START);
        let reader = JournalReader::new(database.pool.clone(), nobody);
        Self { processes, reader }
    }

    fn bus(&self, process: usize) -> Arc<Bus> {
        Arc::clone(&self.processes[process].bus.read().expect("nobody panics with it"))
    }

    /// A few pieces of every SKU but the last: they run out.
    async fn set_up(&self) -> Vec<Call> {
        let mut calls = vec![];
        for item in 0..SKUS.len() - 1 {
            let open = StockCommand::Open { product_id: Uuid::nil().into() };
            let steps = vec![(item, open, None), (item, receive(8), None)];
            calls.push(self.calm_call(item, Asked { steps, unchanged: vec![] }).await);
        }
        calls
    }

    async fn serve(&self, seed: u64, client: u64) -> Vec<Call> {
        let mut calls = vec![];
        for action in script(seed, client) {
            match action {
                Action::Call { process, body, key, patience } => {
                    let (bus, called) = (self.bus(process), self.head().await);
                    let asked = look_up(&bus, body).await;
                    calls.push(self.call(&bus, called, asked, key, patience).await);
                }
                Action::CutWriter(writer) => self.cut(writer).await,
                Action::LoseAnswer(process) => self.processes[process].line.lose_next_answer(),
                Action::Restart(process) => {
                    let bus = Arc::new(bus_on(self.bus(process).journal().clone()));
                    *self.processes[process].bus.write().expect("nobody panics with it") = bus;
                }
            }
        }
        calls
    }

    /// Every process is asked to change every aggregate, twice, on the condition that its
    /// neighbour is unchanged the second time. Whatever it has in memory, it has to get over it.
    async fn calm_down(&self) -> Vec<Call> {
        let mut calls = vec![];
        for process in 0..PROCESSES {
            // Goes behind what dropped calls have left in the queue.
            let nothing = Plan::new(&context());
            self.bus(process).execute(nothing).await.expect("the journal is up");
        }
        for (process, item) in (0..PROCESSES).flat_map(|p| (0..SKUS.len()).map(move |i| (p, i))) {
            let steps = || vec![(item, receive(1), None)];
            calls.push(self.calm_call(process, Asked { steps: steps(), unchanged: vec![] }).await);
            let other = (item + 1) % SKUS.len();
            let head =
                self.bus(process).load::<StockItem>(&sku(SKUS[other])).await.expect("readable");
            let unchanged = vec![(other, head.head)];
            calls.push(self.calm_call(process, Asked { steps: steps(), unchanged }).await);
        }
        calls
    }

    async fn calm_call(&self, process: usize, asked: Asked) -> Call {
        let bus = self.bus(process % PROCESSES);
        let called = self.head().await;
        Call { calm: true, ..self.call(&bus, called, asked, None, None).await }
    }

    async fn call(
        &self,
        bus: &Bus,
        called: u64,
        asked: Asked,
        key: Option<Key>,
        patience: Option<u32>,
    ) -> Call {
        let id = new_id();
        let mut plan = Plan::new(&commands::bus::Context { causation_id: Some(id), ..context() });
        for (item, command, version) in &asked.steps {
            plan = plan.step_at::<StockItem>(&sku(SKUS[*item]), command.clone(), *version);
        }
        for (item, head) in &asked.unchanged {
            plan = plan.unchanged::<StockItem>(&sku(SKUS[*item]), *head);
        }
        let request = key.map(|key| RequestKey { key: key.id, fingerprint: key.fingerprint() });
        let executed = bus.execute(plan.keyed(request));
        let answer = match with_patience(executed, patience).await {
            None => Answer::Dropped,
            Some(Ok(executed)) => Answer::Done(done(&asked, executed)),
            Some(Err(ExecuteError::Rejected(rejections))) => {
                Answer::Rejected(rejections.iter().map(|each| refusal(&**each)).collect())
            }
            Some(Err(ExecuteError::KeyReused)) => Answer::KeyReused,
            Some(Err(ExecuteError::Contended)) => Answer::Contended,
            Some(Err(error)) => Answer::Failed(error),
        };
        let answered = self.head().await;
        Call { id, asked, key, calm: false, called, answered, answer }
    }

    async fn head(&self) -> u64 {
        self.reader.head().await.expect("the journal is readable").get()
    }

    async fn cut(&self, writer: usize) {
        sqlx::query(
            "select pg_terminate_backend(pid) from \
             (select pid from pg_stat_activity \
               where application_name = 'gomall journal' and datname = current_database() \
               order by pid offset $1 limit 1) writer",
        )
        .bind(i64::try_from(writer).expect("a few"))
        .execute(self.bus(writer).journal().pool())
        .await
        .expect("a superuser may end backends");
    }
}

/// Looks up what the body depends on, as whoever makes plans does: in what this process knows,
/// which may be speculative or outdated.
async fn look_up(bus: &Bus, body: Body) -> Asked {
    let mut asked = Asked::default();
    for (item, command, if_match) in body.steps {
        let known = bus.peek::<StockItem>(&sku(SKUS[item])).await.expect("readable").sequence;
        let version = match if_match {
            IfMatch::Any => None,
            IfMatch::Known => Some(known),
            IfMatch::Outdated => Some(known.saturating_sub(1)),
        };
        asked.steps.push((item, command, version));
    }
    for item in body.unchanged {
        let known = bus.peek::<StockItem>(&sku(SKUS[item])).await.expect("readable");
        asked.unchanged.push((item, known.head));
    }
    asked
}

fn done(asked: &Asked, executed: Executed) -> Done {
    let seen = |step| {
        let loaded = executed.loaded::<StockItem>(step);
        Seen { state: loaded.state, sequence: loaded.sequence, head: loaded.head }
    };
    let after = (0..asked.steps.len()).map(seen).collect();
    let Executed { replayed, positions, position, .. } = executed;
    let positions = positions.map(|(first, last)| (first.get(), last.get()));
    Done { replayed, positions, position: position.get(), after }
}

/// Drops the call when it is pending at poll number `patience`, wherever it is by then.
async fn with_patience<T>(call: impl Future<Output = T>, patience: Option<u32>) -> Option<T> {
    let (mut call, mut polls) = (Box::pin(call), 0);
    std::future::poll_fn(|cx| {
        polls += 1;
        match call.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if patience == Some(polls) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
