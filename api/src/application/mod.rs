//! The use cases of the shop, for whichever edge asks: REST today, others later.
//!
//! **Guarantee.** A use case means the same at every edge. Nothing in here knows HTTP: no routes, no
//! headers, no status. What it takes is typed and bounded by its types or by the domain; what it returns
//! is what was decided; why it refuses is a [`Failure`], which each edge maps once.
//!
//! | module | what somebody can do |
//! |---|---|
//! | [`accounts`], [`sessions`] | sign up, in and out |
//! | [`credentials`], [`second_factor`] | choose another password, prove who they are |
//! | [`api_keys`] | let programs act for them |
//! | [`carts`], [`checkouts`], [`payments`] | fill a cart, order it, pay |
//! | [`products`] | write the catalogue, book stock |
//! | [`users`], [`bans`], [`policy`] | say who may do what |
//! | [`dry_run`] | see what other rules would have said |
//!
//! The next use case is a function in one of these, or in a module beside them. It takes the [`App`], a
//! [`Call`] if it changes something, and its own typed request. A handler of an edge takes in, makes one
//! call, and renders.

pub mod accounts;
mod administrators;
pub mod api_keys;
pub mod bans;
mod call;
pub mod carts;
pub mod checkouts;
pub mod credentials;
mod declines;
pub mod dry_run;
mod failure;
mod in_flight;
pub mod ledger;
pub mod payments;
pub mod policy;
pub mod products;
pub mod second_factor;
pub mod sessions;
pub mod users;

pub use call::{Call, CommandKey};
pub use declines::{Declines, Payer};
pub use failure::Failure;
pub use in_flight::InFlight;

use crate::auth::{AccessTokens, Brake, NumberedTokens, Passwords, SignInPlaces};
use crate::guard::{AccessCache, LivePolicy};
use crate::key_uses::KeyUses;
use crate::security::SecurityLog;
use commands::bus::{Bus, Executed, Plan, World};
use commands::journal::{JournalReader, Tail};
use commands::numbers::Numbers;
use commands::vault::Vault;
use domain::policy::Lifeline;
use domain::{Currency, Identified, Position, StreamKey};
use projections::Checkpoints;
use provider::HttpProvider;
use provider::webhook::WebhookSecret;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;

/// How long a read waits for the position that it was asked for.
const READ_WAIT: Duration = Duration::from_secs(1);

/// The running shop, shared by all calls.
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
    /// Connections for searches.
    pub searches: PgPool,
    /// Reads the journal for reports, on connections that nobody else waits for.
    pub reports: JournalReader,
    /// Signs and checks access tokens.
    pub access_tokens: Arc<AccessTokens>,
    /// Computes and checks refresh tokens.
    pub refresh_tokens: NumberedTokens,
    /// The same of tokens that let somebody choose another password.
    pub reset_tokens: Arc<NumberedTokens>,
    /// The same of tokens that prove an e-mail address.
    pub verification_tokens: Arc<NumberedTokens>,
    /// The same of what stands for the password while a second factor is asked for.
    pub challenges: NumberedTokens<2>,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Brakes guessing passwords.
    pub brake: Brake,
    /// Where nobody is braked for what strangers try.
    pub places: SignInPlaces,
    /// Brakes guessing codes of second factors.
    pub code_brake: Brake,
    /// Which cards were declined.
    pub declines: Declines,
    /// The shop's first currency: whose prices are compared where nobody says another.
    pub currency: Currency,
    /// The payment provider.
    pub provider: Arc<HttpProvider>,
    /// What the payment provider signs its notifications with; none are taken without.
    pub webhook_secret: Option<WebhookSecret>,
    /// Who may do what: users and sessions.
    pub access: Arc<AccessCache>,
    /// Who may do what: the permission rules in force.
    pub policy: Arc<LivePolicy>,
    /// When keys of programs were used.
    pub key_uses: Arc<KeyUses>,
    /// Who was refused.
    pub security: Arc<SecurityLog>,
    /// What nobody could repair the permission rules without; they never take it from an administrator.
    pub lifelines: Vec<Lifeline>,
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
    /// Refuses a request for this reason, unless the plan's key has an outcome: that is the answer
    /// then, see [`Bus::refuse`].
    ///
    /// # Errors
    /// The reason, or that the journal could not be asked.
    pub async fn refuse(&self, plan: Plan, why: Failure) -> Result<Executed, Failure> {
        self.bus.refuse(plan).await?.ok_or(why)
    }

    /// Waits until a read model shows what the caller has written, up to `position`.
    ///
    /// # Errors
    /// [`Failure::Behind`] after a second.
    pub async fn caught_up(
        &self,
        projection: &str,
        position: impl Into<Position>,
    ) -> Result<(), Failure> {
        let reached = self.checkpoints.wait_for(projection, position.into(), READ_WAIT);
        reached.await.map_err(|_| Failure::Behind)
    }

    /// The same for all read models that an answer is made of.
    ///
    /// # Errors
    /// [`Failure::Behind`] after a second.
    pub async fn all_caught_up(
        &self,
        projections: &[&str],
        position: impl Into<Position>,
    ) -> Result<(), Failure> {
        let position = position.into();
        let waits = projections.iter().map(|projection| self.caught_up(projection, position));
        futures::future::try_join_all(waits).await.map(drop)
    }

    /// Waits until the journal, as this process reads it, holds what the caller has written, up to
    /// `position`.
    ///
    /// # Errors
    /// [`Failure::Behind`] after a second.
    pub async fn journal_reached(&self, position: impl Into<Position>) -> Result<(), Failure> {
        let (mut head, position) = (self.tail.head(), position.into());
        let reached = head.wait_for(|head| *head >= position);
        match tokio::time::timeout(READ_WAIT, reached).await {
            Ok(Ok(_)) => Ok(()),
            // Whether the time is over or the process is ending: later, or elsewhere.
            Ok(Err(_)) | Err(_) => Err(Failure::Behind),
        }
    }

    /// The position of an aggregate's event `sequence`: what a read model's row shows of it.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn position_of<A: Identified>(
        &self,
        id: &A::Id,
        sequence: u64,
    ) -> Result<Position, Failure> {
        let stream = StreamKey::of::<A>(id);
        let place = self.reader.place_of(&stream, sequence).await?;
        Ok(place.map(|(position, _)| position).unwrap_or_default())
    }
}
