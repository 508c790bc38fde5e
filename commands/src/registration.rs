//! How somebody becomes a user: one append, which an account that has the e-mail address already makes
//! impossible.
//!
//! The address is a tag of the event that makes the account (`docs/decisions/0022-expectations-over-a-tag.md`).
//! Nothing in the journal itself is derived from it.

mod claims;

pub use claims::{MAX_TWINS, find_by_email, find_twins, fold_claims};

use crate::bus::{Bus, Context, ExecuteError, Executed, LoadError, Plan, RequestKey};
use crate::vault::Vault;
use domain::tag::EMAIL;
use domain::user::{User, UserCommand};
use domain::{
    EmailAddress, Locale, Name, Profile, Rejection, RejectionKind, RoleName, Tag, UserId,
};

/// What somebody signs up with.
pub struct Registration {
    /// The account's id: fresh, or derived from the request's key.
    pub user_id: UserId,
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
    /// Whether they are sent a token that proves their e-mail address.
    pub verify_email: bool,
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
    let keyed = |plan: Plan| plan.keyed(key);
    // Asked before there is a key for the person: neither a repetition for somebody who has been erased
    // since, nor an address that is taken, may leave one.
    let owner = find_by_email(bus.journal().pool(), &registration.email).await;
    let owner = owner.map_err(LoadError::from)?;
    if let Some(first) = bus.refuse(keyed(Plan::new(context).look::<User>(&user_id))).await? {
        return Ok(first);
    }
    if owner.is_some_and(|owner| owner != user_id) {
        return Err(ExecuteError::Rejected(vec![taken()]));
    }
    vault.make_key(user_id).await?;
    let email = Tag { name: EMAIL, value: registration.email.folded(), person_id: Some(user_id) };
    let profile = Profile { email: registration.email, name: registration.name };
    let command = UserCommand::Register {
        number: registration.number,
        profile: vault.seal(user_id, &profile).await?,
        password: vault.seal(user_id, &registration.password_hash).await?,
        locale: registration.locale,
        role: registration.role,
        verify_email: registration.verify_email,
    };
    let plan = Plan::new(context)
        .step::<User>(&user_id, command)
        .tagged(email.clone())
        .at_most(1, email, taken);
    bus.execute(keyed(plan)).await
}

fn taken() -> Box<dyn Rejection> {
    Box::new(EmailTaken)
}
