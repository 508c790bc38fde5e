//! The served shop: the routes in their edge, on their listener.

mod connections;

pub use connections::{BindError, DRAIN, bind, serve};

use crate::app::App;
use crate::edge::{Edge, wrap};
use crate::guard::TrustedProxies;
use crate::limits::{Limits, Rates};
use crate::readiness::Readiness;
use crate::routes;
use crate::routes::root::Root;
use crate::settings::HttpArgs;
use crate::shop::Shop;
use ::nats::{RelayState, RelayStatus};
use axum::Router;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
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
    metrics: Option<TcpListener>,
}

impl Listener {
    /// Takes the ports.
    ///
    /// # Errors
    /// [`BindError`], which names port and flag.
    pub async fn bind(args: &HttpArgs) -> anyhow::Result<Self> {
        let http = bind(args.http, "--http").await?;
        let metrics = match args.metrics {
            Some(address) => Some(bind(address, "--metrics").await?),
            None => None,
        };
        let address = http.local_addr()?;
        Ok(Self { http, address, metrics })
    }

    /// Where a browser on this machine finds the shop.
    #[must_use]
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        format!("http://{address}")
    }
}

/// The shop as a service: all routes in their edge.
pub struct Service {
    edge: Arc<Edge>,
    app: Arc<App>,
    provider_pages: Router,
    readiness: Arc<Readiness>,
    nats: async_nats::Client,
    relay: watch::Receiver<RelayStatus>,
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
            limits: is_limited.then(|| Limits::new(Rates::default())),
            trusted_proxies,
            metrics: Arc::clone(&shop.metrics),
        };
        let (nats, relay) = (shop.nats.clone(), shop.relay.clone());
        let provider_pages = shop.provider_pages.clone();
        Self { edge: Arc::new(edge), app, provider_pages, readiness: Arc::default(), nats, relay }
    }

    /// Serves in a task of its own until `stop`, then drains. What is counted is shown to everybody
    /// on loopback, and elsewhere only on the listener's second address.
    pub fn serve(&self, listener: Listener, stop: CancellationToken) -> JoinHandle<()> {
        let Listener { http, address, metrics } = listener;
        let root = Arc::new(Root {
            readiness: Arc::clone(&self.readiness),
            degraded: degraded(self.nats.clone(), self.relay.clone()),
            metrics: Arc::clone(&self.edge.metrics),
            shows_metrics: address.ip().is_loopback(),
        });
        let (shop_routes, _) = routes::all().split_for_parts();
        let router = shop_routes
            .with_state(Arc::clone(&self.app))
            .merge(routes::root::router(root))
            .merge(self.provider_pages.clone());
        let service = wrap(Arc::clone(&self.edge), router);
        let (counted, readiness) = (Arc::clone(&self.edge.metrics), Arc::clone(&self.readiness));
        tokio::spawn(async move {
            let beside = async {
                if let Some(listener) = metrics {
                    serve(listener, routes::root::metrics_router(counted), stop.clone()).await;
                }
            };
            let draining = async {
                stop.cancelled().await;
                readiness.draining();
            };
            tokio::join!(serve(http, service, stop.clone()), beside, draining);
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
            () = ready => self.readiness.ready(),
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

/// What does not work at the moment although the shop does, in stable words.
fn degraded(
    nats: async_nats::Client,
    relay: watch::Receiver<RelayStatus>,
) -> Box<dyn Fn() -> Vec<&'static str> + Send + Sync> {
    Box::new(move || {
        let mut degraded = vec![];
        if nats.connection_state() != async_nats::connection::State::Connected {
            degraded.push("nats");
        }
        if matches!(relay.borrow().state, RelayState::Diverged(_)) {
            degraded.push("relay");
        }
        degraded
    })
}
