//! How somebody becomes a user: the e-mail address is claimed, then the account is recorded.
//!
//! The claim is a row outside the journal (nothing in there may be derived from personal data), so
//! the two cannot be one append. The order makes that safe: a claim without an account is taken
//! over after [`CLAIM_LASTS_SECONDS`], and the take-over first records that the old account will
//! never be, which the journal refuses if it came to be after all.

use crate::bus::{Bus, Context, ExecuteError, Executed, LoadError, Plan, RequestKey};
use crate::vault::{Vault, fresh_key};
use domain::user::{User, UserCommand};
use domain::{EmailAddress, Locale, Name, Profile, Rejection, RejectionKind, RoleName};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

/// How long a claim without an account is respected: far longer than a registration takes.
const CLAIM_LASTS_SECONDS: i32 = 60;

/// How often an address is claimed that is neither free nor anybody's when it is looked at: an
/// erasure is over at the second look.
const MAX_LOOKS: u32 = 4;

/// What somebody signs up with.
pub struct Registration {
    /// The account's id: fresh, or derived from the request's key.
    pub user_id: Uuid,
    /// Where mail goes, and how they sign in.
    pub email: EmailAddress,
    /// What they want to be called.
    pub name: Option<Name>,
    /// The hash of their password.
    pub password_hash: String,
    /// The language we write to them in.
    pub locale: Locale,
    /// Their first role.
    pub role: RoleName,
    /// Their number, from [`crate::numbers::Numbers`].
    pub number: i32,
}

/// Somebody has that address already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the e-mail address belongs to an account already")]
pub struct EmailTaken;

impl Rejection for EmailTaken {
    fn code(&self) -> &'static str {
        "email_taken"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Conflict
    }
}

/// Registers a user.
///
/// # Errors
/// [`ExecuteError`]; [`EmailTaken`] comes as a rejection.
pub async fn register(
    bus: &Bus,
    vault: &Vault,
    registration: Registration,
    context: &Context,
    key: Option<RequestKey>,
) -> Result<Executed, ExecuteError> {
    let user_id = registration.user_id;
    let keyed = |plan: Plan| plan.keyed(key, json!({ "user_id": user_id }));
    let look = || keyed(Plan::new(context).look::<User>(user_id.to_string()));
    // Asked before anything is claimed: a repetition must not take the address again for somebody
    // who has been erased since.
    if let Some(first) = bus.refuse(look()).await? {
        return Ok(first);
    }
    if let Err(refusal) = claim_or_take_over(bus, &registration.email, user_id, context).await {
        // Asked again, because this may be the repetition of what was still on its way just now.
        return match refusal {
            ExecuteError::Rejected(_) | ExecuteError::KeyReused => {
                bus.refuse(look()).await?.ok_or(refusal)
            }
            _ => Err(refusal),
        };
    }
    let profile = Profile { email: registration.email, name: registration.name };
    let command = UserCommand::Register {
        number: registration.number,
        profile: vault.seal(user_id, &profile).await?,
        password: vault.seal(user_id, &registration.password_hash).await?,
        locale: registration.locale,
        role: registration.role,
    };
    bus.execute(keyed(Plan::new(context).step::<User>(user_id.to_string(), command))).await
}

/// The user whom an e-mail address belongs to.
///
/// # Errors
/// When the claims cannot be read.
pub async fn find_by_email(
    pool: &PgPool,
    email: &EmailAddress,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("select person_id from email_claims where email = $1")
        .bind(email.folded())
        .fetch_optional(pool)
        .await
}

async fn claim_or_take_over(
    bus: &Bus,
    email: &EmailAddress,
    user_id: Uuid,
    context: &Context,
) -> Result<(), ExecuteError> {
    let pool = bus.journal().pool();
    if claim(pool, email, user_id).await? {
        return Ok(());
    }
    take_over(bus, email, context).await?;
    if claim(pool, email, user_id).await? { Ok(()) } else { Err(taken()) }
}

/// Claims the address for `user_id`; true when it is theirs now, also from before.
///
/// # Errors
/// [`ExecuteError::KeyReused`] when another address is theirs: ids are derived from keys.
async fn claim(pool: &PgPool, email: &EmailAddress, user_id: Uuid) -> Result<bool, ExecuteError> {
    for _ in 0..MAX_LOOKS {
        insert_claim(pool, email, user_id).await?;
        // A claim that was made at the same time is waited for and not seen by the statement that
        // has waited: whose it is is asked by another one.
        let owner: Option<(bool, bool)> = sqlx::query_as(
            "select email = $1, person_id = $2 from email_claims where email = $1 or person_id = $2 \
             order by email = $1 desc limit 1",
        )
        .bind(email.folded())
        .bind(user_id)
        .fetch_optional(pool)
        .await
        .map_err(LoadError::from)?;
        match owner {
            Some((true, ours)) => return Ok(ours),
            Some((false, _)) => return Err(ExecuteError::KeyReused),
            // Whoever had it has been erased in between.
            None => {}
        }
    }
    Err(ExecuteError::Contended)
}

/// Claims the address unless it is claimed. One statement, so nothing is left open when the caller
/// goes away.
async fn insert_claim(
    pool: &PgPool,
    email: &EmailAddress,
    user_id: Uuid,
) -> Result<(), ExecuteError> {
    sqlx::query(
        "with fresh_key as ( \
           insert into personal_keys (person_id, key) \
           select $2, $3 where not exists (select from email_claims where email = $1) \
           on conflict do nothing) \
         insert into email_claims (email, person_id) \
         select $1, $2 where not exists (select from email_claims where email = $1) \
         on conflict do nothing",
    )
    .bind(email.folded())
    .bind(user_id)
    .bind(fresh_key()?.as_slice())
    .execute(pool)
    .await
    .map_err(LoadError::from)?;
    Ok(())
}

/// Frees the address if its claim led to nothing.
async fn take_over(bus: &Bus, email: &EmailAddress, context: &Context) -> Result<(), ExecuteError> {
    let pool = bus.journal().pool();
    let stale: Option<Uuid> = sqlx::query_scalar(
        "select person_id from email_claims \
         where email = $1 and claimed_at < now() - make_interval(secs => $2)",
    )
    .bind(email.folded())
    .bind(f64::from(CLAIM_LASTS_SECONDS))
    .fetch_optional(pool)
    .await
    .map_err(LoadError::from)?;
    let Some(stale) = stale else { return Err(taken()) };
    let abandon =
        Plan::new(context).step::<User>(stale.to_string(), UserCommand::AbandonRegistration);
    match bus.execute(abandon).await {
        Ok(_) => {}
        Err(ExecuteError::Rejected(_)) => return Err(taken()),
        Err(error) => return Err(error),
    }
    sqlx::query("delete from personal_keys where person_id = $1")
        .bind(stale)
        .execute(pool)
        .await
        .map_err(LoadError::from)?;
    Ok(())
}

fn taken() -> ExecuteError {
    ExecuteError::Rejected(vec![Box::new(EmailTaken)])
}
