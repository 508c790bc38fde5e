//! `gomall bench lag`: how long after its commit an event can be read in a read model.
//!
//! First commands are given as fast as they are answered, with the read models kept up to date
//! beside them: that is full load. Then they are given at half that rate, evenly and whatever is
//! still under way, so that a stall shows in every command that falls into it.

use super::bus::Ours;
use super::measure::{Round, Tally};
use super::targets::Targets;
use commands::journal::{JournalReader, Tail};
use domain::Position;
use follow::elections::Elections;
use projections::{Checkpoints, Options, Projection, stock};
use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// The read model that is waited for: the one that shows what is in stock.
const PROJECTION: &dyn Projection = &stock::READ_MODEL;

/// The longest that an event may take to be readable before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Commands under way at once. Far more than half load needs; reached only in a stall, and then
/// the wait for a place counts as well.
const UNDER_WAY: usize = 4_096;

/// The read models of a running shop.
pub(super) struct Following {
    checkpoints: Checkpoints,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Following {
    /// Starts the workers of every projection.
    pub(super) async fn start(ours: &Ours, database: &PgConnectOptions) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let reader = JournalReader::new(ours.pool().clone(), ours.head());
        let tail = Tail::start(reader, stop.child_token()).await?;
        let checkpoints = Checkpoints::start(database.clone(), stop.child_token());
        let elections = Elections::start(database.clone(), stop.child_token());
        let options = Options::new(ours.pool(), checkpoints.clone(), elections);
        let running = tokio::spawn(projections::run(options, Arc::new(tail), stop.clone()));
        Ok(Self { checkpoints, stop, running })
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        Ok(self.running.await?)
    }
}

/// Commands a second at full load: what is given until `length` is over, by the time until all of
/// it can be read.
pub(super) async fn full_load(
    ours: &Ours,
    following: &Following,
    clients: Vec<Targets>,
    length: Duration,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for mut targets in clients {
        let commander = ours.commander();
        running.spawn(async move {
            let (mut commands, mut last) = (0_u64, Position::START);
            while begun.elapsed() < length {
                last = commander.receive(targets.next()).await?;
                commands += 1;
            }
            anyhow::Ok((commands, last))
        });
    }
    let (mut commands, mut last) = (0, Position::START);
    while let Some(ended) = running.join_next().await {
        let (of_one, last_of_one) = ended??;
        commands += of_one;
        last = last.max(last_of_one);
    }
    reach(&following.checkpoints, last).await?;
    Ok(commands as f64 / begun.elapsed().as_secs_f64())
}

/// Gives commands at `per_second`. Returns what they took until their answer, and from there until
/// they could be read.
pub(super) async fn paced(
    ours: &Ours,
    following: &Following,
    mut targets: Targets,
    per_second: f64,
    length: Duration,
) -> anyhow::Result<[Round; 2]> {
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    let mut running = JoinSet::new();
    let begun = Instant::now();
    for index in 0..(per_second * length.as_secs_f64()) as u32 {
        let due = begun + Duration::from_secs_f64(f64::from(index) / per_second);
        tokio::time::sleep_until(due.into()).await;
        let place = Arc::clone(&places).acquire_owned().await?;
        let (commander, checkpoints) = (ours.commander(), following.checkpoints.clone());
        let sku = targets.next().clone();
        running.spawn(async move {
            let _place = place;
            let position = commander.receive(&sku).await?;
            let answered = Instant::now();
            reach(&checkpoints, position).await?;
            anyhow::Ok([answered - due, answered.elapsed()])
        });
    }
    let mut tallies = [Tally::default(), Tally::default()];
    while let Some(ended) = running.join_next().await {
        for (tally, took) in tallies.iter_mut().zip(ended??) {
            tally.add(1, took);
        }
    }
    let took = begun.elapsed();
    Ok(tallies.map(|tally| tally.round(took)))
}

/// Waits until the event can be read.
async fn reach(checkpoints: &Checkpoints, position: Position) -> anyhow::Result<()> {
    Ok(checkpoints.wait_for(PROJECTION.name(), position, PATIENCE).await?)
}
