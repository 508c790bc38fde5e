//! `gomall serve`: the whole shop on servers of the operator's own.

use super::told_to_stop;
use crate::server::{Listener, Service};
use crate::settings::{HttpArgs, ServeArgs, ServerArgs, ShopArgs};
use crate::shop::{Provider, Shop, ShopConfig, Workers};
use crate::{database, seed};
use anyhow::Context as _;
use nats::StreamConfig;
use nats::notify::{Mailer, Sender};
use sqlx::postgres::PgConnectOptions;
use std::path::Path;
use std::str::FromStr;
use tokio_util::sync::CancellationToken;

pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    // First, so that an occupied port is said before anything is started.
    let listener = Listener::bind(&args.http).await?;
    let workers = if args.no_workers { Workers::NONE } else { Workers::ALL };
    let config = config(&args.servers, workers, Some(listener.url()))?;
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

/// What the settings say about the shop's parts.
pub(super) fn config(
    args: &ServerArgs,
    workers: Workers,
    shop_url: Option<String>,
) -> anyhow::Result<ShopConfig> {
    let database = PgConnectOptions::from_str(args.database.database_url.reveal())
        .map_err(|_| anyhow::anyhow!("DATABASE_URL is not like postgres://user@host/database"))?;
    let config = shop_config(
        database,
        args.nats_url.reveal(),
        &args.data_dir,
        &args.shop,
        workers,
        shop_url,
    )?;
    Ok(ShopConfig { stream: stream(args), ..config })
}

/// What the settings say about the stream.
pub(super) fn stream(args: &ServerArgs) -> StreamConfig {
    let subject_prefix = args.nats_stream.to_ascii_lowercase();
    StreamConfig { name: args.nats_stream.clone(), subject_prefix, replicas: args.nats_replicas }
}

pub(super) fn shop_config(
    database: PgConnectOptions,
    nats_url: &str,
    data_dir: &Path,
    args: &ShopArgs,
    workers: Workers,
    shop_url: Option<String>,
) -> anyhow::Result<ShopConfig> {
    let mailer = match &args.smtp_url {
        Some(url) => Mailer::smtp(url.reveal()).context("GOMALL_SMTP_URL")?,
        None => Mailer::Folder(data_dir.join("mail")),
    };
    Ok(ShopConfig {
        database,
        nats_url: nats_url.to_owned(),
        stream: StreamConfig::default(),
        keys: args.keys(data_dir),
        password_min_chars: args.password_min,
        provider: provider(args, shop_url)?,
        mail_sender: Sender::parse(&args.mail_from).context("GOMALL_MAIL_FROM")?,
        mailer,
        workers,
    })
}

fn provider(args: &ShopArgs, shop_url: Option<String>) -> anyhow::Result<Provider> {
    if let Some(url) = &args.payment_url {
        return Ok(Provider::Http(url.clone()));
    }
    // Without an address nobody can pay here, and none of the roles without one settles.
    let Some(shop_url) = shop_url else { return Ok(Provider::Nobody) };
    let webhook_secret = match &args.sandbox_webhook_secret {
        Some(secret) => secret.reveal().parse().context("GOMALL_SANDBOX_WEBHOOK_SECRET")?,
        // The sandbox and the shop are one process: nobody else needs to know it.
        None => super::invention::invent_password()?.replace(['-', '_'], "A").parse()?,
    };
    Ok(Provider::Sandbox { shop_url, webhook_secret: Box::new(webhook_secret) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Cli, Role};
    use clap::Parser;

    #[test]
    fn only_a_process_that_serves_starts_a_sandbox() {
        let provider_of = |more: &[&str], shop_url: Option<&str>| {
            let arguments = ["gomall", "relay", "--database-url", "postgres://x@y/z"];
            let cli = Cli::parse_from(arguments.iter().chain(more));
            let Some(Role::Relay(args)) = cli.role else { panic!("a relay was asked for") };
            provider(&args.servers.shop, shop_url.map(str::to_owned))
                .expect("the settings are good")
        };
        assert!(matches!(provider_of(&[], None), Provider::Nobody));
        let serving = provider_of(&[], Some("http://127.0.0.1:1"));
        assert!(matches!(serving, Provider::Sandbox { .. }));
        let url = "http://provider.test";
        for shop_url in [None, Some("http://127.0.0.1:1")] {
            let theirs = provider_of(&["--payment-url", url], shop_url);
            assert!(matches!(theirs, Provider::Http(address) if address == url));
        }
    }
}
