//! The sandbox payment provider: somebody else's company, played on our own box.
//!
//! It is a real HTTP service with its own listener and its own books (PostgreSQL schema `sandbox`),
//! reached through the same client as any other provider, so everything that can go wrong between
//! a shop and a provider can go wrong here: slow and lost answers, restarts, notifications that
//! come late, twice or out of order. A card is named by a token:
//!
//! | token | outcome |
//! |---|---|
//! | `tok_ok` | captured after [`SandboxSettings::delay`] |
//! | `tok_capture_<minor>`, `tok_capture_<minor>_<currency>` | as `tok_ok`, but that much is captured, whatever was asked for |
//! | `tok_declined`, `tok_insufficient_funds` | declined: `card_declined`, `insufficient_funds` |
//! | `tok_action_required` | captured or declined when the customer answers on the page |
//! | `tok_timeout` | captured, but the caller never hears of it |
//! | `tok_slow_<ms>` | captured, the caller hears of it after 0 to 10,000 ms |
//! | `tok_unavailable` | 503 `unavailable`, nothing recorded |
//! | anything else | declined: `invalid_token` |
//!
//! | call | answer |
//! |---|---|
//! | POST `/v1/payments` `{id, amount, currency, method, token, reference}`, `Idempotency-Key: <id>` | the first outcome of that id, whatever is sent with it later |
//! | GET `/v1/payments/{id}` | the payment, or 404 `not_found` |
//! | POST `/v1/payments/{id}/cancel` | the payment: `voided`, or as it was settled before. An id that was never heard of is voided in advance |
//! | GET, POST `/sandbox/payments/{id}` | the customer's page, and `{outcome: "approve"\|"decline"}` as JSON or form |
//!
//! A payment on the wire is `{id, status, amount, currency, code, url}`; status is `pending`
//! `action_required` `captured` `declined` `voided`. Every outcome is also sent as a signed webhook
//! (see [`provider::webhook`]) until the receiver takes it, for over an hour.

mod delivery;
mod page;
mod routes;
mod store;
mod token;

use delivery::{Receiver, Worker};
use provider::webhook::WebhookSecret;
pub use reqwest::Url;
use routes::{Service, router};
use sqlx::PgPool;
use std::time::Duration;
use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long `tok_ok` takes by default: about what a card network needs.
pub const DEFAULT_DELAY: Duration = Duration::from_millis(30);

/// The longest [`SandboxSettings::delay`]; more is cut.
pub const MAX_DELAY: Duration = Duration::from_secs(10);

/// How long requests under way may go on after the stop. Long waits end at once.
const DRAIN: Duration = Duration::from_secs(2);

/// How the sandbox behaves.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Where a customer's browser reaches the pages, e.g. `http://127.0.0.1:4001`.
    pub public_url: Url,
    /// Where notifications go. Without it, or without the secret, none are sent.
    pub webhook_url: Option<Url>,
    /// What notifications are signed with.
    pub webhook_secret: Option<WebhookSecret>,
    /// How long `tok_ok` takes; at most [`MAX_DELAY`].
    pub delay: Duration,
}

impl SandboxSettings {
    /// A sandbox with the default delay that notifies nobody.
    #[must_use]
    pub fn new(public_url: Url) -> Self {
        Self { public_url, webhook_url: None, webhook_secret: None, delay: DEFAULT_DELAY }
    }
}

/// Why the sandbox could not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The HTTP client for notifications could not be built.
    #[error("cannot build the HTTP client of the sandbox provider")]
    Client(#[from] reqwest::Error),
}

/// Serves the sandbox on `listener` until `cancel`, then drains for at most two seconds. Several
/// of them on one database are one provider. `pool` must have the migrations.
///
/// # Errors
/// [`SandboxError`], before anything is served.
pub async fn serve(
    listener: TcpListener,
    pool: PgPool,
    settings: SandboxSettings,
    cancel: CancellationToken,
) -> Result<(), SandboxError> {
    // A notification goes to the configured place or nowhere: no proxies, no redirects.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let receiver = settings.webhook_url.clone().zip(settings.webhook_secret.clone());
    let store = Store::new(pool.clone(), receiver.is_some());
    let service = Service::new(store.clone(), &settings, cancel.clone());
    let changed = service.changed.clone();
    let receiver = receiver.map(|(url, secret)| {
        let public_url = settings.public_url.as_str().trim_end_matches('/').to_owned();
        Receiver { url, secret, public_url }
    });
    let worker = Worker { store, pool, client, receiver, changed };
    let server = axum::serve(listener, router(service))
        .with_graceful_shutdown(cancel.clone().cancelled_owned());
    let deadline = async {
        cancel.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    let served = async {
        tokio::select! {
            // `axum::serve` has no error to report: it retries a failing accept itself.
            _ = server => {}
            () = deadline => {}
        }
    };
    tokio::join!(served, worker.run(&cancel));
    Ok(())
}

/// The customer's page alone, for a listener that the customer's browser can reach when the
/// sandbox's own is not open to it: mount it there and let [`SandboxSettings::public_url`] name it.
pub fn pages(pool: PgPool, settings: &SandboxSettings) -> axum::Router {
    let notify = settings.webhook_url.is_some() && settings.webhook_secret.is_some();
    let service = Service::new(Store::new(pool, notify), settings, CancellationToken::new());
    page::routes().with_state(service)
}
