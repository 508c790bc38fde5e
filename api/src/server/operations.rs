//! What the operator sees of a process, whatever its role: whether it lives, whether it is ready, and
//! what is counted.

use super::{bind, local_url, serve};
use crate::guard::TrustedProxies;
use crate::history::TOLD_FOR;
use crate::progress::Stuck;
use crate::readiness::Readiness;
use crate::routes::root::{Progress, Root, ShowsMetrics, operations_router};
use crate::settings::OperationsArgs;
use crate::shop::Shop;
use crate::supervisor::Tasks;
use crate::telemetry::Metrics;
use ::nats::{RelayState, RelayStatus};
use commands::journal::OtherHistory;
use projections::Checkpoints;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// An address that only the operator reaches, listened on already, before it can answer.
pub struct OperationsListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl OperationsListener {
    /// Takes the port, if there is to be one.
    ///
    /// # Errors
    /// [`BindError`](super::BindError), which names port and setting.
    pub async fn bind(args: &OperationsArgs) -> anyhow::Result<Option<Self>> {
        let Some(address) = args.metrics else { return Ok(None) };
        let listener = bind(address, "--metrics or GOMALL_METRICS").await?;
        let address = listener.local_addr()?;
        Ok(Some(Self { listener, address }))
    }

    /// Where a program on this machine finds it.
    #[must_use]
    pub fn url(&self) -> String {
        local_url(self.address)
    }
}

/// What is known of a running process. Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    checkpoints: Checkpoints,
    nats: async_nats::Client,
    relay: watch::Receiver<RelayStatus>,
    other_history: watch::Receiver<OtherHistory>,
    stuck: watch::Receiver<Stuck>,
    tasks: Tasks,
}

impl Operations {
    /// Of the process that runs this shop. It is starting until [`ready`](Self::ready) is called.
    #[must_use]
    pub fn of(shop: &Shop) -> Self {
        let metrics = Arc::clone(&shop.metrics);
        let (nats, relay) = (shop.nats.clone(), shop.relay.clone());
        let other_history = shop.other_history.clone();
        Self {
            readiness: Arc::default(),
            metrics,
            checkpoints: shop.app.checkpoints.clone(),
            nats,
            relay,
            other_history,
            stuck: shop.stuck.clone(),
            tasks: shop.tasks.clone(),
        }
    }

    /// Everything that this process is there for works.
    pub fn ready(&self) {
        self.readiness.ready();
    }

    /// Tells about the process until `stop`, and from then on that it is draining.
    pub async fn serve(&self, listener: Option<OperationsListener>, stop: CancellationToken) {
        let draining = async {
            stop.cancelled().await;
            self.readiness.draining();
        };
        let serving = async {
            if let Some(OperationsListener { listener, .. }) = listener {
                let proxies = TrustedProxies::default();
                serve(
                    listener,
                    operations_router(self.root(ShowsMetrics::ToEverybody)),
                    proxies,
                    stop.clone(),
                )
                .await;
            }
        };
        tokio::join!(serving, draining);
    }

    /// What the routes of the root need to tell it.
    pub(super) fn root(&self, shows_metrics: ShowsMetrics) -> Arc<Root> {
        let (nats, relay) = (self.nats.clone(), self.relay.clone());
        let (other_history, stuck) = (self.other_history.clone(), self.stuck.clone());
        let (tasks, checkpoints) = (self.tasks.clone(), self.checkpoints.clone());
        Arc::new(Root {
            readiness: Arc::clone(&self.readiness),
            degraded: Box::new(move || degraded(&nats, &relay, &other_history, &stuck, &tasks)),
            progress: Box::new(move || progress(&checkpoints)),
            metrics: Arc::clone(&self.metrics),
            shows_metrics,
        })
    }
}

fn progress(checkpoints: &Checkpoints) -> Progress {
    let positions = checkpoints.positions();
    let position = |name: &str| positions.get(name).copied().unwrap_or_default();
    let names = projections::ALL.iter().map(|projection| projection.name());
    Progress {
        journal: *checkpoints.journal_head().borrow(),
        read_models: names.map(|name| (name, position(name))).collect(),
    }
}

/// What does not work at the moment although the shop does, in stable words.
fn degraded(
    nats: &async_nats::Client,
    relay: &watch::Receiver<RelayStatus>,
    other_history: &watch::Receiver<OtherHistory>,
    stuck: &watch::Receiver<Stuck>,
    tasks: &Tasks,
) -> Vec<&'static str> {
    let mut degraded = vec![];
    if nats.connection_state() != async_nats::connection::State::Connected {
        degraded.push("nats");
    }
    if matches!(relay.borrow().state, RelayState::Diverged(_)) {
        degraded.push("relay");
    }
    if other_history.borrow().found_at.is_some_and(|at| at.elapsed() < TOLD_FOR) {
        degraded.push("journal");
    }
    degraded.extend(stuck.borrow().iter());
    degraded.extend(tasks.unsound());
    degraded.sort_unstable();
    degraded.dedup();
    degraded
}
