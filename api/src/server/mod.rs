//! The served shop: the routes in their edge, on their listener.

mod connections;
mod operations;

pub use connections::{BindError, DRAIN, bind, raise_file_limit, serve};
pub(crate) use connections::{Held, Share};
pub use operations::{Operations, OperationsListener};

use crate::application::App;
use crate::edge::{Edge, wrap};
use crate::guard::TrustedProxies;
use crate::limits::{Limits, Rates};
use crate::routes;
use crate::routes::root::ShowsMetrics;
use crate::settings::HttpArgs;
use crate::shop::Shop;
use axum::Router;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between two looks at whether everything is readable; there is no signal for all of it at once.
const READY_POLL: Duration = Duration::from_millis(20);

/// How long one look waits for a read model before it looks whether the process should stop.
const READY_WAIT: Duration = Duration::from_millis(500);

/// An address that the shop listens on already, before it can answer.
pub struct Listener {
    http: TcpListener,
    address: SocketAddr,
    operations: Option<OperationsListener>,
}

impl Listener {
    /// Takes the ports.
    ///
    /// # Errors
    /// [`BindError`], which names port and setting.
    pub async fn bind(args: &HttpArgs) -> anyhow::Result<Self> {
        let http = bind(args.http, "--http or GOMALL_HTTP").await?;
        let operations = OperationsListener::bind(&args.operations).await?;
        let address = http.local_addr()?;
        Ok(Self { http, address, operations })
    }

    /// Where a browser on this machine finds the shop.
    #[must_use]
    pub fn url(&self) -> String {
        local_url(self.address)
    }
}

/// Where a program on this machine reaches what listens on `address`.
fn local_url(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    format!("http://{address}")
}

/// The shop as a service: all routes in their edge.
pub struct Service {
    edge: Arc<Edge>,
    app: Arc<App>,
    provider_pages: Router,
    operations: Operations,
}

impl Service {
    /// Puts the shop's routes into their edge. `is_limited` is false for load generators only.
    #[must_use]
    pub fn new(shop: &Shop, is_limited: bool, trusted_proxies: TrustedProxies) -> Self {
        if !is_limited {
            tracing::warn!("GOMALL_LIMITS=off: nobody's requests are limited");
        }
        let app = Arc::clone(&shop.app);
        let edge = Edge {
            world: app.world,
            tokens: Arc::clone(&app.access_tokens),
            access: Arc::clone(&app.access),
            policy: Arc::clone(&app.policy),
            key_uses: Arc::clone(&app.key_uses),
            limits: is_limited.then(|| Limits::new(Rates::default())),
            trusted_proxies,
            metrics: Arc::clone(&shop.metrics),
            security: Arc::clone(&app.security),
        };
        let provider_pages = shop.provider_pages.clone();
        Self { edge: Arc::new(edge), app, provider_pages, operations: Operations::of(shop) }
    }

    /// Serves in a task of its own until `stop`, then drains. What is counted is shown to everybody
    /// on loopback, and elsewhere only on the listener's second address.
    pub fn serve(&self, listener: Listener, stop: CancellationToken) -> JoinHandle<()> {
        let Listener { http, address: _, operations: listener } = listener;
        let operations = self.operations.clone();
        let root = operations.root(ShowsMetrics::OnLoopback);
        let (shop_routes, _) = routes::all().split_for_parts();
        let router = shop_routes
            .with_state(Arc::clone(&self.app))
            .merge(routes::root::router(root))
            .merge(self.provider_pages.clone());
        let service = wrap(Arc::clone(&self.edge), router);
        let proxies = self.edge.trusted_proxies.clone();
        tokio::spawn(async move {
            let beside = operations.serve(listener, stop.clone());
            tokio::join!(serve(http, service, proxies, stop.clone()), beside);
        })
    }

    /// Returns when everything that was written until now can be read, and says so to `/readyz`;
    /// or when `stop` is cancelled.
    pub async fn wait_until_ready(&self, stop: &CancellationToken) {
        let ready = async {
            while !self.is_readable().await {
                tokio::time::sleep(READY_POLL).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = ready => self.operations.ready(),
        }
    }

    async fn is_readable(&self) -> bool {
        let Ok(head) = self.app.reader.head().await else { return false };
        for projection in projections::ALL {
            let reached = self.app.checkpoints.wait_for(projection.name(), head, READY_WAIT).await;
            // One that is parked waits for somebody to mend it; the shop does not.
            if reached.is_err() && !self.is_parked(projection.name()).await {
                return false;
            }
        }
        self.app.policy.wait_for(1).await.is_ok()
    }

    async fn is_parked(&self, projection: &str) -> bool {
        let Ok(all) = projections::list_projections(&self.app.pool).await else { return false };
        all.iter().any(|one| one.name == projection && one.status == projections::Status::Parked)
    }
}
