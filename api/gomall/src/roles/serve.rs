//! `gomall serve`: the whole shop on servers of the operator's own.

use crate::cli::ServeArgs;
use api::server::{Listener, Service};
use api::settings::HttpArgs;
use api::shop::{Shop, Workers};
use api::stop::told_to_stop;
use api::{database, seed};
use tokio_util::sync::CancellationToken;

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    // First, so that an occupied port is said before anything is started.
    let listener = Listener::bind(&args.http).await?;
    let workers = if args.no_workers { Workers::NONE } else { Workers::ALL };
    let config = args.servers.config(workers, Some(listener.url()))?;
    tokio::select! {
        there = database::wait_for(&config.database) => there?,
        () = stop.cancelled() => return Ok(()),
    }
    let shop = Shop::start(config).await?;
    seed::default_policy(&shop.app).await?;
    serve(shop, listener, &args.http, stop, |url| println!("ready {url}")).await
}

/// Serves until `stop`; then drains, and stops the shop. `ready` is called once everything that
/// was written so far can be read.
pub(super) async fn serve(
    shop: Shop,
    listener: Listener,
    args: &HttpArgs,
    stop: CancellationToken,
    ready: impl FnOnce(&str),
) -> anyhow::Result<()> {
    let url = listener.url();
    let stop = shop.until_lost(stop);
    let service = Service::new(&shop, args.is_limited(), args.proxies());
    let serving = service.serve(listener, stop.clone());
    service.wait_until_ready(&stop).await;
    if !stop.is_cancelled() {
        ready(&url);
    }
    serving.await?;
    drop(service);
    shop.stop().await
}
