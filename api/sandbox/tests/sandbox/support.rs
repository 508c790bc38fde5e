//! A running sandbox, a receiver of its notifications, and how to wait for either.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use commands::payments::{Charge, ProviderAnswer};
use compose::testing::TestDatabase;
use domain::{Money, PaymentId};
use provider::HttpProvider;
use provider::webhook::{Notification, WebhookSecret, verify};
use sandbox::{SandboxError, SandboxSettings, serve};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;
use testkit::{new_id, usd};
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing here takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A running sandbox, and a client of it.
pub(crate) struct Sandbox {
    pub(crate) base: String,
    pub(crate) provider: HttpProvider,
    pub(crate) pool: PgPool,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SandboxError>>,
}

/// Starts a sandbox that notifies nobody.
pub(crate) async fn sandbox(database: &TestDatabase) -> Sandbox {
    start(database, |_| {}).await
}

/// Starts a sandbox with other settings.
pub(crate) async fn start(
    database: &TestDatabase,
    change: impl FnOnce(&mut SandboxSettings),
) -> Sandbox {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("it is bound"));
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .connect(database.url())
        .await
        .expect("the database is there");
    let mut settings = SandboxSettings::new(base.parse().expect("an address"));
    change(&mut settings);
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, pool.clone(), settings, stop.clone()));
    let provider = HttpProvider::new(&base).expect("an address");
    Sandbox { base, provider, pool, stop, task }
}

impl Sandbox {
    /// Ends the service and everything it holds.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        let ended = ended.expect("it stops in time");
        ended.expect("it does not panic").expect("it had started");
        self.pool.close().await;
    }

    /// How many rows a table of the sandbox has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = format!("select count(*) from sandbox.{table}");
        sqlx::query_scalar(&sql).fetch_one(&self.pool).await.expect("the table is there")
    }
}

/// 9.90 USD.
pub(crate) fn price() -> Money {
    usd(990)
}

/// A charge of [`price`] to the card of that token.
pub(crate) fn charge(payment_id: PaymentId, token: &str) -> Charge {
    Charge {
        payment_id,
        order_id: new_id(),
        amount: price(),
        method: "card".to_owned(),
        token: token.to_owned(),
    }
}

/// The answer about a payment that was captured in full.
pub(crate) fn captured() -> ProviderAnswer {
    ProviderAnswer::Captured { amount: price() }
}

/// The answer about a payment that was declined.
pub(crate) fn declined(code: &str) -> ProviderAnswer {
    ProviderAnswer::Declined { code: code.to_owned() }
}

/// Where notifications will go: the port is ours, and connections are refused until it is opened.
pub(crate) struct Closed {
    socket: TcpSocket,
    url: String,
}

/// What arrived: headers and body as they came.
pub(crate) struct Delivery {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An open receiver that takes everything.
pub(crate) struct Receiver {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
}

impl Closed {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let url = format!("http://{}/hook", socket.local_addr().expect("it is bound"));
        Self { socket, url }
    }

    /// Makes a sandbox notify this receiver.
    pub(crate) fn subscribe(&self, settings: &mut SandboxSettings) {
        settings.webhook_url = Some(self.url.parse().expect("an address"));
        settings.webhook_secret = Some(secret());
    }

    pub(crate) fn open(self) -> Receiver {
        let listener = self.socket.listen(16).expect("the port is ours");
        let (sender, deliveries) = mpsc::unbounded_channel();
        let hook = async move |headers: HeaderMap, body: Bytes| {
            // The receiver is gone when its test is over.
            let _over = sender.send(Delivery { headers, body });
            StatusCode::OK
        };
        let router = axum::Router::new().route("/hook", axum::routing::post(hook));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Receiver { deliveries }
    }
}

impl Receiver {
    pub(crate) async fn delivery(&mut self) -> Delivery {
        let next = tokio::time::timeout(PATIENCE, self.deliveries.recv()).await;
        next.expect("a notification comes in time").expect("the receiver runs")
    }

    /// The next notification, which has to be signed.
    pub(crate) async fn notification(&mut self) -> Notification {
        let Delivery { headers, body } = self.delivery().await;
        verify(&secret(), &headers, &body, now()).expect("it is signed")
    }

    /// Whether nothing is waiting to be looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }
}

/// The secret that sandbox and receiver share.
pub(crate) fn secret() -> WebhookSecret {
    SECRET.parse().expect("the constant is a secret")
}

/// When a notification is looked at.
#[expect(clippy::disallowed_methods, reason = "a test is its own composition root")]
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
