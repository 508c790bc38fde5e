//! What every route may use, put together once by the roles.

use crate::auth::{AccessTokens, Passwords, RefreshTokens};
use crate::guard::{AccessCache, LivePolicy};
use crate::http::{AtLeast, InFlight, Problem};
use crate::provider::HttpProvider;
use crate::sandbox::WebhookSecret;
use commands::bus::{Bus, Executed, Plan, World};
use commands::journal::{JournalReader, Tail};
use commands::numbers::Numbers;
use commands::vault::Vault;
use cqrs_es::Aggregate;
use domain::StreamKey;
use projections::Checkpoints;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;

/// How long a read waits for the position that it was asked for.
const READ_WAIT: Duration = Duration::from_secs(1);

/// The running shop, shared by all requests.
pub struct App {
    /// The way to every change.
    pub bus: Arc<Bus>,
    /// Seals and opens personal data.
    pub vault: Vault,
    /// For reading the read models.
    pub pool: PgPool,
    /// How far the read models are.
    pub checkpoints: Checkpoints,
    /// Reads the journal.
    pub reader: JournalReader,
    /// The journal's newest events.
    pub tail: Tail,
    /// Reads the journal for reports, on connections that nobody else waits for.
    pub reports: JournalReader,
    /// Signs and checks access tokens.
    pub access_tokens: Arc<AccessTokens>,
    /// Computes and checks refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// The payment provider.
    pub provider: Arc<HttpProvider>,
    /// What the payment provider signs its notifications with; none are taken without.
    pub webhook_secret: Option<WebhookSecret>,
    /// Who may do what: users and sessions.
    pub access: Arc<AccessCache>,
    /// Who may do what: the permission rules in force.
    pub policy: Arc<LivePolicy>,
    /// Requests of several steps that are running here.
    pub in_flight: InFlight,
    /// Numbers for variants.
    pub variant_numbers: Arc<Numbers>,
    /// Numbers for users.
    pub user_numbers: Arc<Numbers>,
    /// Numbers for orders.
    pub order_numbers: Arc<Numbers>,
    /// The clock and the source of ids.
    pub world: World,
}

impl App {
    /// Refuses a request with `problem`, unless the plan's key has an outcome: that is the answer
    /// then, see [`Bus::refuse`].
    ///
    /// # Errors
    /// The problem, or that the journal could not be asked.
    pub async fn refuse(&self, plan: Plan, problem: Problem) -> Result<Executed, Problem> {
        self.bus.refuse(plan).await?.ok_or(problem)
    }

    /// Waits until a read model shows what the caller has written.
    ///
    /// # Errors
    /// 503 `projection_behind` after a second.
    pub async fn caught_up(&self, projection: &str, at_least: AtLeast) -> Result<(), Problem> {
        self.checkpoints
            .wait_for(projection, at_least.0, READ_WAIT)
            .await
            .map_err(|_| Problem::projection_behind())
    }

    /// Waits until the journal, as this process reads it, holds what the caller has written.
    ///
    /// # Errors
    /// 503 `projection_behind` after a second.
    pub async fn journal_reached(&self, at_least: AtLeast) -> Result<(), Problem> {
        let mut head = self.tail.head();
        let reached = head.wait_for(|head| *head >= at_least.0);
        match tokio::time::timeout(READ_WAIT, reached).await {
            Ok(Ok(_)) => Ok(()),
            // Whether the time is over or the process is ending: later, or elsewhere.
            Ok(Err(_)) | Err(_) => Err(Problem::projection_behind()),
        }
    }

    /// The position of an aggregate's event `sequence`: what a read model's row shows of it.
    ///
    /// # Errors
    /// 503 when the journal cannot be read.
    pub async fn position_of<A: Aggregate>(
        &self,
        id: impl ToString,
        sequence: u64,
    ) -> Result<u64, Problem> {
        let stream = StreamKey { aggregate_type: A::TYPE, aggregate_id: id.to_string() };
        Ok(self.reader.place_of(&stream, sequence).await?.map_or(0, |(position, _)| position))
    }
}
