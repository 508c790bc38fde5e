//! The composition root: every part of a running shop, put together in one place.
//!
//! Nothing else knows how the parts fit. The order of starting is the order of dependence; the
//! order of stopping is its reverse, so that no part loses what it needs while it finishes.

mod config;
mod count;
mod followers;
mod sandbox_beside;
mod schema;
mod wake_up;

pub use config::{Provider, ShopConfig, Workers};
pub use schema::check_schema;

use crate::access::{self, JournalAccess};
use crate::application::{App, Declines, InFlight};
use crate::auth::{AccessTokens, Brake, Keys, NumberedTokens, Passwords, Purpose, SignInPlaces};
use crate::dead_letters;
use crate::directory::{AccountDirectory, OrderDirectory, ShopDirectory};
use crate::guard::{AccessCache, LivePolicy};
use crate::history::{self, Remembered};
use crate::key_uses::KeyUses;
use crate::pools::{self, Pools};
use crate::progress::{self, Stuck};
use crate::routes::default_policy;
use crate::security::{EmailHash, SecurityLog};
use crate::supervisor::{Supervisor, Tasks};
use crate::telemetry::{self, Metrics};
use anyhow::Context as _;
use axum::Router;
use commands::bus::{Bus, EVENTS_BETWEEN_SNAPSHOTS, World};
use commands::journal::{Journal, JournalReader, OtherHistory, Tail, WriterSettings};
use commands::numbers::Numbers;
use commands::vault::Vault;
use domain::Position;
use domain::policy::{CompiledPolicy, Policy};
use follow::elections::Elections;
use followers::Followers;
use nats::notify::{Notifier, NotifyConfig};
use nats::{Hints, RelayStatus};
use projections::Checkpoints;
use provider::HttpProvider;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

/// How long the parts may take to start once PostgreSQL has answered: far longer than they need, so that a
/// server that falls silent meanwhile ends the process, which whoever runs it starts again.
pub const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long the workers may take to finish what is under way.
const WORKERS_STOP: Duration = Duration::from_secs(3);

/// The provider of a process without one: a name that never leads anywhere (RFC 2606), so that a call
/// by mistake hears what a provider that is away would say.
const NOBODY: &str = "http://provider.invalid";

/// A running shop.
pub struct Shop {
    /// What the routes use.
    pub app: Arc<App>,
    /// The pages that the payment provider shows to customers, where that is our sandbox.
    pub provider_pages: Router,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the relay of this process does.
    pub relay: watch::Receiver<RelayStatus>,
    /// Whether the journal told another history, and when.
    pub other_history: watch::Receiver<OtherHistory>,
    /// What does not follow the journal.
    pub stuck: watch::Receiver<Stuck>,
    /// The broker's client, to see whether it is there.
    pub nats: async_nats::Client,
    /// The tasks of this process.
    pub tasks: Tasks,
    supervisor: Supervisor,
    stop: CancellationToken,
}

/// The real clock and real ids.
#[expect(clippy::disallowed_methods, reason = "this is the composition root")]
#[must_use]
pub fn world() -> World {
    World { now: || time::OffsetDateTime::now_utc().into(), new_id: Uuid::now_v7 }
}

impl Shop {
    /// Starts every part. The database must be migrated.
    ///
    /// # Errors
    /// When something that the shop cannot be without is missing, or does not answer within
    /// [`START_PATIENCE`]. NATS is not: it may come later.
    pub async fn start(config: ShopConfig) -> anyhow::Result<Self> {
        tokio::time::timeout(START_PATIENCE, Self::assemble(config))
            .await
            .context("PostgreSQL has fallen silent in the middle of the start")?
    }

    async fn assemble(config: ShopConfig) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone());
        let Workers { relay: relays, project: projects, notify: notifies, settle: settles } =
            config.workers;
        let world = world();
        let database = pools::session(&config.database);
        let Pools { requests: pool, workers: worker_pool, mails, searches, reports } =
            Pools::connect(&database).await?;
        check_schema(&pool).await?;
        let folded = commands::registration::fold_claims(&pool).await?;
        if folded > 0 {
            info!(
                accounts = folded,
                "accounts are found by the one form of their e-mail address now"
            );
        }
        let nats_client = nats::connect(&config.nats_url, "gomall").await?;
        if let Some(epoch) = nats::epoch::another_shops(&pool, &nats_client, &config.stream).await?
        {
            anyhow::bail!(
                "the stream {} on this NATS belongs to another shop (journal {epoch}); give this one a \
                 name of its own with --nats-stream or GOMALL_NATS_STREAM",
                config.stream.name
            );
        }
        let hints = Hints::open(nats_client.clone(), &config.stream, worker_pool.clone()).await?;

        let (journal, writer) =
            Journal::start(pool.clone(), database.clone(), WriterSettings::default(), world.now);
        supervisor.vital("writer", writer);
        let woken = wake_up::start(&journal, &hints, &mut supervisor);
        let reader = JournalReader::new(pool.clone(), woken.subscribe());
        let followed = JournalReader::new(worker_pool.clone(), woken.subscribe());
        let (tail, follow) = Tail::open(followed, stop.child_token()).await?;
        supervisor.vital("tail", tokio::spawn(follow));
        let end = tail.end();
        let keys = Keys::load(&config.keys)?;
        let (bus, snapshots) =
            Bus::open(EVENTS_BETWEEN_SNAPSHOTS, journal, world, keys.fingerprints());
        let bus = Arc::new(bus);
        supervisor.watch("snapshots", true, move |stop| {
            let snapshots = snapshots.clone();
            async move {
                stop.run_until_cancelled(snapshots.run()).await;
            }
        });
        let vault = Vault::new(pool.clone());
        let checkpoints = Checkpoints::unread();
        supervisor.watch("checkpoints", true, {
            let (checkpoints, database) = (checkpoints.clone(), database.clone());
            move |stop| {
                let (checkpoints, database) = (checkpoints.clone(), database.clone());
                async move { checkpoints.poll(database, stop).await }
            }
        });

        let elections = Elections::new();
        supervisor.watch("elections", relays || projects, {
            let (elections, database) = (elections.clone(), database.clone());
            move |stop| {
                let (elections, database) = (elections.clone(), database.clone());
                async move { elections.hold(database, stop).await }
            }
        });

        let metrics = Arc::new(Metrics::new()?);
        metrics.events_seen(end.position.get());
        telemetry::show_write_side(&metrics, bus.counters());
        supervisor.tasks().show(&metrics);
        supervisor.watch("event_counter", true, {
            let (metrics, head) = (Arc::clone(&metrics), tail.head());
            move |stop| count::events(Arc::clone(&metrics), head.clone(), stop)
        });
        let (counts, counted) = watch::channel(dead_letters::Counts::default());
        dead_letters::show(&metrics, &counted);
        supervisor.watch("dead_letter_counter", true, {
            let pool = worker_pool.clone();
            move |stop| dead_letters::count(counts.clone(), pool.clone(), stop)
        });
        let security = Arc::new(SecurityLog::new(&metrics, EmailHash::new(&keys)));
        supervisor.watch("security_log", true, {
            let (security, pool) = (Arc::clone(&security), worker_pool.clone());
            move |stop| Arc::clone(&security).write(pool.clone(), stop)
        });
        telemetry::show_projections(&metrics, &checkpoints);
        telemetry::show_history(&metrics, tail.other_history());

        let access = Arc::new(AccessCache::new(Arc::new(JournalAccess(Arc::clone(&bus)))));
        let unread = CompiledPolicy::compile(&Policy::default(), 0)?;
        let policy = Arc::new(LivePolicy::new(unread));
        supervisor.watch("access", true, {
            let (bus, tail, access) = (Arc::clone(&bus), tail.clone(), Arc::clone(&access));
            let (policy, mut first) = (Arc::clone(&policy), Some(end));
            move |stop| {
                let after = first.take().unwrap_or_else(|| {
                    // What happened meanwhile is not known; what is remembered may be from before.
                    let end = tail.end();
                    access.forget_all();
                    end
                });
                let (bus, access, policy) = (bus.clone(), access.clone(), policy.clone());
                access::follow(bus, tail.clone(), after, access, policy, stop)
            }
        });
        supervisor.watch("rules", true, {
            let (bus, reader, policy) = (Arc::clone(&bus), reader.clone(), Arc::clone(&policy));
            move |stop| access::confirm(bus.clone(), reader.clone(), policy.clone(), stop)
        });

        let [variant_numbers, user_numbers, order_numbers] = [
            Numbers::of_variants(pool.clone()),
            Numbers::of_users(pool.clone()),
            Numbers::of_orders(pool.clone()),
        ]
        .map(Arc::new);
        let remembered = Remembered {
            bus: Arc::clone(&bus),
            access: Arc::clone(&access),
            policy: Arc::clone(&policy),
            numbers: [&variant_numbers, &user_numbers, &order_numbers].map(Arc::clone),
            woken,
        };
        let remembered = Arc::new(remembered);
        supervisor.watch("history", true, {
            let (tail, pool) = (tail.clone(), worker_pool.clone());
            move |stop| history::watch(tail.clone(), Arc::clone(&remembered), pool.clone(), stop)
        });

        let (provider_url, webhook_secret, provider_pages) = match config.provider {
            Provider::Http(url) => (url, None, Router::new()),
            Provider::Nobody => (NOBODY.to_owned(), None, Router::new()),
            Provider::Sandbox { shop_url, webhook_secret } => {
                let secret = Some(*webhook_secret);
                let (url, pages) =
                    sandbox_beside::start(pool.clone(), shop_url, secret.clone(), &mut supervisor)?;
                (url, secret, pages)
            }
        };
        let provider = Arc::new(HttpProvider::new(&provider_url)?);
        let source = Arc::new(tail.clone());

        let followers = Followers {
            source: Arc::clone(&source),
            pool: worker_pool.clone(),
            checkpoints: checkpoints.clone(),
            elections,
        };
        let relay_status =
            followers.relay(relays, config.stream.clone(), nats_client.clone(), &mut supervisor);
        if relays {
            telemetry::show_relay(&metrics, &relay_status, &checkpoints.journal_head());
        }
        followers.projections(projects, &mut supervisor);
        followers.processes(settles, &bus, &provider, &mut supervisor);
        let reset_tokens = Arc::new(NumberedTokens::new(&keys, Purpose::PasswordReset));
        let verification_tokens = Arc::new(NumberedTokens::new(&keys, Purpose::EmailVerification));
        let directory = ShopDirectory {
            orders: OrderDirectory {
                pool: mails.clone(),
                checkpoints: checkpoints.clone(),
                vault: vault.clone(),
                pseudonyms: keys.fingerprints(),
            },
            accounts: AccountDirectory {
                vault: vault.clone(),
                bus: Arc::clone(&bus),
                reset_tokens: Arc::clone(&reset_tokens),
                verification_tokens: Arc::clone(&verification_tokens),
                links: config.mail_links,
                pseudonyms: keys.fingerprints(),
            },
        };
        let mut notify = NotifyConfig::new(config.mail_sender, config.mailer);
        notify.stream = config.stream.clone();
        let notifier = Arc::new(Notifier::new(mails.clone(), directory, notify));
        let notify_status = notifier.status();
        supervisor.watch("notifier", notifies, {
            let (source, nats_client) = (Arc::clone(&source), nats_client.clone());
            move |stop| Arc::clone(&notifier).run(source.clone(), nats_client.clone(), stop)
        });

        let key_uses = Arc::new(KeyUses::default());
        supervisor.watch("api_key_uses", true, {
            let (uses, pool) = (Arc::clone(&key_uses), worker_pool.clone());
            move |stop| {
                let (uses, pool) = (Arc::clone(&uses), pool.clone());
                async move { uses.write(&pool, stop).await }
            }
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let passwords = Passwords::new(config.password_min_chars, cores)
            .map_err(|error| anyhow::anyhow!("no password can be hashed: {error}"))?;
        let other_history = tail.other_history();
        let (stuck, stands_still) = watch::channel(Stuck::new());
        supervisor.watch("progress", true, {
            let watched = progress::Watched {
                checkpoints: checkpoints.clone(),
                tail: tail.clone(),
                requests: pool.clone(),
                relay: relay_status.clone(),
                notifier: notify_status,
                writes: Arc::clone(bus.counters()),
            };
            move |stop| progress::watch(watched.clone(), stuck.clone(), stop)
        });
        let app = Arc::new(App {
            bus,
            vault,
            checkpoints,
            reader,
            searches,
            reports: JournalReader::new(reports, watch::channel(Position::START).1),
            tail,
            access_tokens: Arc::new(AccessTokens::new(&keys)),
            refresh_tokens: NumberedTokens::new(&keys, Purpose::Refresh),
            reset_tokens,
            verification_tokens,
            challenges: NumberedTokens::new(&keys, Purpose::SecondFactor),
            passwords,
            currency: config.currency,
            access,
            policy,
            brake: Brake::default(),
            places: SignInPlaces::new(&keys, pool.clone()),
            code_brake: Brake::default(),
            declines: Declines::default(),
            key_uses,
            security,
            lifelines: default_policy::lifelines(),
            provider,
            webhook_secret,
            in_flight: InFlight::default(),
            variant_numbers,
            user_numbers,
            order_numbers,
            pool,
            world,
        });
        Ok(Self {
            app,
            provider_pages,
            metrics,
            relay: relay_status,
            other_history,
            stuck: stands_still,
            nats: nats_client,
            tasks: supervisor.tasks(),
            supervisor,
            stop,
        })
    }

    /// Cancelled when `stop` is, and when a task has ended that the process cannot be without.
    #[must_use]
    pub fn until_lost(&self, stop: CancellationToken) -> CancellationToken {
        let (either, lost) = (stop.child_token(), self.tasks.lost());
        let told = either.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = lost.cancelled() => told.cancel(),
                () = told.cancelled() => {}
            }
        });
        either
    }

    /// Stops the workers, which finish what is under way, and then the journal's writer. Call it
    /// when no request is served any more.
    ///
    /// # Errors
    /// When it stops because a task has ended that the process cannot be without.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        if tokio::time::timeout(WORKERS_STOP, self.supervisor.finish()).await.is_err() {
            warn!("some workers did not finish in time; what they left is done at the next start");
            self.supervisor.end();
        }
        drop(self.app);
        // The writer ends when nobody can hand it anything any more.
        if tokio::time::timeout(WORKERS_STOP, self.supervisor.finish_vital()).await.is_err() {
            error!("the journal's writer did not finish its queue in time");
        }
        match self.tasks.lost().is_cancelled() {
            true => anyhow::bail!("a task has ended that this process cannot be without"),
            false => Ok(()),
        }
    }
}
