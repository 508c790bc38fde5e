//! The anchor `disintegrate`: the same commands as decisions of `disintegrate` on its PostgreSQL
//! event store, in a schema of its own, without snapshots. Only with the feature `peers`: its
//! sqlx brings a second TLS provider, which the shipped binary must not hold.

use super::measure::Client;
use super::targets::{ACTOR, Targets, receive};
use api::shop::world;
use disintegrate::serde::json::Json;
use disintegrate::{Decision, DecisionError, Event, NoSnapshot, StateMutate, StateQuery};
use disintegrate_postgres::{Error as StoreError, PgDecisionMaker, PgEventStore};
use domain::Sku;
use domain::stock::StockCommand;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a client waits for one of the pool's connections: longer than any queue here.
const POOL_WAIT: Duration = Duration::from_secs(60);

/// It writes numbers in a way that PostgreSQL 16 learned.
const OLDEST_SERVER: i32 = 160_000;

/// What our stock events and their metadata hold.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
#[stream(StockStream, [StockItemOpened, StockReceived])]
enum StockFact {
    StockItemOpened {
        #[id]
        sku: String,
        product_id: String,
    },
    StockReceived {
        #[id]
        sku: String,
        quantity: u32,
        reason: String,
        event_id: String,
        actor: String,
        correlation_id: String,
    },
}

#[derive(Debug, Default, Clone, StateQuery, Serialize, Deserialize)]
#[state_query(StockStream)]
struct OnHand {
    #[id]
    sku: String,
    pieces: u64,
}

impl StateMutate for OnHand {
    fn mutate(&mut self, event: Self::Event) {
        match event {
            StockStream::StockItemOpened { .. } => {}
            StockStream::StockReceived { quantity, .. } => self.pieces += u64::from(quantity),
        }
    }
}

/// One more fact about a stock item.
struct Add {
    sku: String,
    fact: StockFact,
}

impl Decision for Add {
    type Event = StockFact;
    type StateQuery = OnHand;
    type Error = Infallible;

    fn state_query(&self) -> OnHand {
        OnHand { sku: self.sku.clone(), pieces: 0 }
    }

    fn process(&self, _seen: &OnHand) -> Result<Vec<StockFact>, Infallible> {
        Ok(vec![self.fact.clone()])
    }
}

fn opened(sku: &str) -> Add {
    let product_id = (world().new_id)().to_string();
    let fact = StockFact::StockItemOpened { sku: sku.to_owned(), product_id };
    Add { sku: sku.to_owned(), fact }
}

fn received(sku: &str, quantity: u32, reason: &str) -> Add {
    let event_id = (world().new_id)().to_string();
    let fact = StockFact::StockReceived {
        sku: sku.to_owned(),
        quantity,
        reason: reason.to_owned(),
        correlation_id: event_id.clone(),
        event_id,
        actor: ACTOR.to_owned(),
    };
    Add { sku: sku.to_owned(), fact }
}

type Maker = PgDecisionMaker<StockFact, Json<StockFact>, NoSnapshot>;

/// One decision maker for all clients.
pub(super) struct Peer {
    maker: Arc<Maker>,
    database: PgConnectOptions,
}

impl Peer {
    /// Makes its tables if they are not there; none on a PostgreSQL that it does not run on.
    pub(super) async fn connect(
        database: &PgConnectOptions,
        clients: u16,
    ) -> anyhow::Result<Option<Self>> {
        let mut connection = database.connect().await?;
        let version: i32 =
            sqlx::query_scalar("select current_setting('server_version_num')::integer")
                .fetch_one(&mut connection)
                .await?;
        if version < OLDEST_SERVER {
            eprintln!("  disintegrate is left out: its SQL needs PostgreSQL 16");
            return Ok(None);
        }
        connection.execute("create schema if not exists disintegrate").await?;
        connection.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(u32::from(clients))
            .acquire_timeout(POOL_WAIT)
            .connect_with(database.clone().options([("search_path", "disintegrate")]))
            .await?;
        let store = PgEventStore::try_new(pool, Json::default()).await?;
        let maker = Arc::new(disintegrate_postgres::decision_maker(store, NoSnapshot));
        Ok(Some(Self { maker, database: database.clone() }))
    }

    /// Opens stock items.
    pub(super) async fn open(&self, skus: &[Sku]) -> anyhow::Result<()> {
        for sku in skus {
            self.maker.make(opened(sku.as_str())).await?;
        }
        // A table that nobody has analysed yet would be read from end to end for each command.
        let mut connection = self.database.connect().await?;
        connection.execute("analyze disintegrate.event").await?;
        Ok(connection.close().await?)
    }

    /// One client.
    pub(super) fn client(&self, targets: Targets) -> impl Client + use<> {
        Commander { maker: Arc::clone(&self.maker), targets }
    }
}

struct Commander {
    maker: Arc<Maker>,
    targets: Targets,
}

impl Client for Commander {
    fn begin(&mut self, round: u32) {
        self.targets.begin(round);
    }

    async fn write(&mut self, until: Instant) -> anyhow::Result<u32> {
        let StockCommand::Receive { quantity, reason } = receive() else {
            anyhow::bail!("a delivery is what is measured")
        };
        let sku = self.targets.next().to_string();
        loop {
            match self.maker.make(received(&sku, quantity, reason.as_str())).await {
                Ok(_) => return Ok(1),
                Err(error) if !may_be_repeated(&error) => return Err(error.into()),
                Err(_) if Instant::now() >= until => return Ok(0),
                Err(_) => {}
            }
        }
    }
}

/// Somebody else was first, as it says itself or as serializable transactions say it.
fn may_be_repeated(error: &DecisionError<Infallible>) -> bool {
    let (DecisionError::EventStore(source) | DecisionError::StateStore(source)) = error else {
        return false;
    };
    match source.downcast_ref::<StoreError>() {
        Some(StoreError::Concurrency) => true,
        Some(StoreError::Database(error)) => {
            let code = error.as_database_error().and_then(|error| error.code());
            matches!(code.as_deref(), Some("40001" | "40P01"))
        }
        _ => false,
    }
}
