//! Roles of one worker a process, for a shop that is spread over several.

use crate::cli::WorkerArgs;
use api::database;
use api::server::{Operations, OperationsListener};
use api::shop::{Shop, Workers};
use api::stop::told_to_stop;
use tracing::info;

pub(super) const RELAY: Workers = Workers { relay: true, ..Workers::NONE };
pub(super) const PROJECT: Workers = Workers { project: true, ..Workers::NONE };
pub(super) const NOTIFY: Workers = Workers { notify: true, ..Workers::NONE };

pub(super) async fn run(args: WorkerArgs, workers: Workers) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    // First, so that an occupied port is said before anything is started.
    let listener = OperationsListener::bind(&args.operations).await?;
    let url = listener.as_ref().map(OperationsListener::url);
    let config = args.servers.config(workers, None)?;
    tokio::select! {
        there = database::wait_for(&config.database) => there?,
        () = stop.cancelled() => return Ok(()),
    }
    let shop = Shop::start(config).await?;
    let operations = Operations::of(&shop);
    operations.ready();
    info!("the worker runs");
    if let Some(url) = url {
        println!("ready {url}");
    }
    let stop = shop.until_lost(stop);
    operations.serve(listener, stop).await;
    shop.stop().await
}
