//! Whoever follows the journal and answers no request.

use crate::supervisor::Supervisor;
use commands::bus::Bus;
use commands::checkout::unpaid;
use commands::journal::{Tail, housekeeping};
use commands::payments::settlement;
use follow::elections::Elections;
use nats::{Relay, RelayConfig, RelayStatus, StreamConfig};
use projections::Checkpoints;
use provider::HttpProvider;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::watch;

/// What they share.
pub(super) struct Followers {
    /// What they read.
    pub(super) source: Arc<Tail>,
    /// The connections of workers.
    pub(super) pool: PgPool,
    /// How far the read models are.
    pub(super) checkpoints: Checkpoints,
    /// Which process does what only one should do.
    pub(super) elections: Elections,
}

impl Followers {
    /// The relay, if `when`, and what it does.
    pub(super) fn relay(
        &self,
        when: bool,
        stream: StreamConfig,
        nats: async_nats::Client,
        supervisor: &mut Supervisor,
    ) -> watch::Receiver<RelayStatus> {
        let config = RelayConfig { stream, ..RelayConfig::default() };
        let (source, pool) = (Arc::clone(&self.source), self.pool.clone());
        let relay = Relay::new(source, pool, nats, self.elections.clone(), config);
        let (status, relay) = (relay.status(), Arc::new(relay));
        supervisor.watch("relay", when, move |stop| {
            let relay = Arc::clone(&relay);
            async move { relay.run(stop).await }
        });
        status
    }

    /// A worker for each read model, if `when`.
    pub(super) fn projections(&self, when: bool, supervisor: &mut Supervisor) {
        for projection in projections::ALL.iter().copied() {
            let (checkpoints, elections) = (self.checkpoints.clone(), self.elections.clone());
            let options = projections::Options::new(&self.pool, checkpoints, elections);
            let source = Arc::clone(&self.source);
            supervisor.watch(projection.name(), when, move |stop| {
                let (options, source) = (options.clone(), Arc::clone(&source));
                async move { projections::run_one(projection, &options, source, stop).await }
            });
        }
    }

    /// The process managers, and who keeps the journal's tables in order, if `when`.
    pub(super) fn processes(
        &self,
        when: bool,
        bus: &Arc<Bus>,
        provider: &Arc<HttpProvider>,
        supervisor: &mut Supervisor,
    ) {
        supervisor.watch("housekeeping", when, {
            let pool = self.pool.clone();
            move |stop| housekeeping::run(pool.clone(), stop)
        });
        supervisor.watch("settlement", when, {
            let (bus, provider, source) = (bus.clone(), provider.clone(), self.source.clone());
            move |stop| settlement::run(bus.clone(), provider.clone(), source.clone(), stop)
        });
        supervisor.watch("unpaid_orders", when, {
            let (bus, provider, source) = (bus.clone(), provider.clone(), self.source.clone());
            move |stop| unpaid::run(bus.clone(), provider.clone(), source.clone(), stop)
        });
    }
}
