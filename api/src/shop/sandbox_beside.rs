//! The payment sandbox, started beside a shop that was told of no provider.

use crate::supervisor::Supervisor;
use anyhow::Context as _;
use axum::Router;
use provider::webhook::WebhookSecret;
use sandbox::SandboxSettings;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tracing::error;

/// The address of a sandbox on a free port of loopback, and its pages for customers.
pub(super) fn start(
    pool: PgPool,
    shop_url: String,
    webhook_secret: Option<WebhookSecret>,
    supervisor: &mut Supervisor,
) -> anyhow::Result<(String, Router)> {
    // Kept, so that one that is started again has the same port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port for the sandbox")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    // A customer is sent to the shop's own address, which a restart does not change.
    let webhook_url = format!("{shop_url}/api/v1/webhooks/payments/sandbox");
    let settings = SandboxSettings {
        public_url: shop_url.parse()?,
        webhook_url: Some(webhook_url.parse()?),
        webhook_secret,
        delay: sandbox::DEFAULT_DELAY,
    };
    let pages = sandbox::pages(pool.clone(), &settings);
    supervisor.watch("sandbox", true, move |stop| {
        let (listener, pool, settings) = (listener.try_clone(), pool.clone(), settings.clone());
        async move {
            let served = async {
                let listener = TcpListener::from_std(listener?)?;
                anyhow::Ok(sandbox::serve(listener, pool, settings, stop).await?)
            };
            if let Err(error) = served.await {
                error!(%error, "the payment sandbox has stopped");
            }
        }
    });
    Ok((url, pages))
}
