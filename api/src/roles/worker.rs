//! Roles without HTTP: one worker a process, for a shop that is spread over several.

use super::{serve, told_to_stop};
use crate::settings::ServerArgs;
use crate::shop::{Shop, Workers};
use tracing::info;

pub(super) const RELAY: Workers = Workers { relay: true, ..Workers::NONE };
pub(super) const PROJECT: Workers = Workers { project: true, ..Workers::NONE };
pub(super) const NOTIFY: Workers = Workers { notify: true, ..Workers::NONE };

pub(super) async fn run(args: ServerArgs, workers: Workers) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    let shop = Shop::start(serve::config(&args, workers, None)?).await?;
    info!("the worker runs");
    stop.cancelled().await;
    shop.stop().await;
    Ok(())
}
