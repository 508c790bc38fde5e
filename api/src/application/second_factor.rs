//! The second factor, and proving again who one is.

use super::credentials::prove_password;
use super::sessions::{self, Holder, SignedIn};
use super::{App, Call, Failure};
use crate::auth::{Attempt, RightCode, SecondFactorSetup, right_code};
use commands::bus::{ExecuteError, Executed, Loaded};
use domain::session::{Session, SessionCommand};
use domain::user::{SecondFactorCommand, User, UserCommand};
use domain::{Device, Sealed, SecondFactorSecret, Timestamp, UserId};
use std::net::IpAddr;

/// What a second factor is set up with; it is never shown again.
pub struct Offered {
    /// The secret, in base32.
    pub secret: String,
    /// The same as an authenticator reads it from a picture.
    pub uri: String,
    /// What is typed in when all is lost.
    pub recovery_codes: Vec<String>,
    /// What was recorded.
    pub executed: Executed,
}

/// How somebody proves again who they are.
pub enum Proof {
    /// With their password, where no second factor is asked for.
    Password(String),
    /// With a code of their second factor.
    Code(String),
}

/// Gives out a second factor. It is not asked for before it is confirmed.
///
/// # Errors
/// [`Failure`].
pub async fn offer(app: &App, call: &Call, user_id: UserId) -> Result<Offered, Failure> {
    let user = app.bus.load::<User>(&user_id).await?.state;
    let profile = app.vault.open_optional(user_id, user.profile.as_ref()).await?;
    let email = profile.ok_or(Failure::NotFound)?.email;
    let setup = SecondFactorSetup::generate().map_err(Failure::internal)?;
    let secret = app.vault.seal(user_id, &setup.kept).await?;
    let offer = UserCommand::SecondFactor(SecondFactorCommand::Offer { secret });
    // Under no key: what is shown once cannot be shown again, and a second one replaces the first.
    let executed = app.bus.execute(call.plan().step::<User>(&user_id, offer)).await?;
    let uri = setup.uri(email.as_str());
    let SecondFactorSetup { kept, recovery_codes } = setup;
    Ok(Offered { secret: kept.secret, uri, recovery_codes, executed })
}

/// Takes the second factor that was given out in use; the session counts as proved by it.
///
/// # Errors
/// `bad_code` as [`Failure::Invalid`], `no_second_factor`, [`Failure::TooManyAttempts`].
pub async fn confirm(
    app: &App,
    call: &Call,
    holder: &Holder,
    code: &str,
    from: IpAddr,
) -> Result<Executed, Failure> {
    let user = app.bus.load::<User>(&holder.user_id).await?.state;
    let attempt = code_attempt(app, holder, from)?;
    let right = right(app, holder.user_id, user.second_factor.offered.as_ref(), code).await?;
    let step = match right {
        Some(RightCode::Step(step)) => step,
        // Whether there is one to be confirmed is decided there, and a code that is none confirms nothing.
        None if user.second_factor.offered.is_none() => 0,
        Some(RightCode::Recovery(_)) | None => return Err(wrong_code()),
    };
    let confirm = UserCommand::SecondFactor(SecondFactorCommand::Confirm { step });
    let executed = prove(app, call, holder, true, Some(confirm)).await?;
    attempt.was_right();
    Ok(executed)
}

/// Asks for no second factor any more.
///
/// # Errors
/// [`Failure`].
pub async fn remove(app: &App, call: &Call, user_id: UserId) -> Result<Executed, Failure> {
    let remove = UserCommand::SecondFactor(SecondFactorCommand::Remove);
    let plan = call.plan().step::<User>(&user_id, remove);
    let executed = app.bus.execute(call.keyed(plan)).await?;
    app.access.note_user_change(user_id, executed.version(0)).await;
    Ok(executed)
}

/// Proves again who the person is: what is dear is done for them for a while.
///
/// # Errors
/// `wrong_password` and `bad_code` as [`Failure::Invalid`]; [`Failure::TooManyAttempts`].
pub async fn step_up(
    app: &App,
    call: &Call,
    holder: &Holder,
    proof: Proof,
    from: IpAddr,
) -> Result<Executed, Failure> {
    let user = app.bus.load::<User>(&holder.user_id).await?.state;
    match proof {
        Proof::Password(_) if user.second_factor.is_asked_for() => {
            Err(Failure::invalid("code", "a code of your second factor is asked for"))
        }
        Proof::Password(password) => {
            prove_password(app, holder, &user, password, "password", from).await?;
            prove(app, call, holder, false, None).await
        }
        Proof::Code(code) => {
            let attempt = code_attempt(app, holder, from)?;
            let kept = user.second_factor.confirmed.as_ref();
            let right = right(app, holder.user_id, kept, &code).await?.ok_or_else(wrong_code)?;
            let spend = UserCommand::SecondFactor(right.command());
            let executed = prove(app, call, holder, true, Some(spend)).await?;
            attempt.was_right();
            Ok(executed)
        }
    }
}

/// Signs in with a code; the password was right.
pub(super) async fn sign_in(
    app: &App,
    call: &Call,
    user_id: UserId,
    user: Loaded<User>,
    created_at: Timestamp,
    code: &str,
    device: Device,
) -> Result<SignedIn, Failure> {
    let attempt = app.code_brake.attempt(&user_id.to_string(), device.address)?;
    let kept = user.state.second_factor.confirmed.as_ref();
    let right = right(app, user_id, kept, code).await?.ok_or(Failure::BadCode)?;
    let spend = UserCommand::SecondFactor(right.command());
    let who = (user_id, user, created_at);
    let signed_in = match sessions::start_with(app, call, who, device, Some(spend)).await {
        Err(Failure::Execute(ExecuteError::Rejected(rejections)))
            if rejections.iter().any(|rejection| rejection.code() == "bad_code") =>
        {
            return Err(Failure::BadCode);
        }
        other => other?,
    };
    attempt.was_right();
    Ok(signed_in)
}

/// An attempt with a code by somebody who is in, braked for each session by itself: who tries codes in one keeps nobody
/// from signing in, nor from proving themselves in another. A session is had with a code of its own.
fn code_attempt<'a>(app: &'a App, holder: &Holder, from: IpAddr) -> Result<Attempt<'a>, Failure> {
    app.code_brake.attempt(&holder.session_id.to_string(), from)
}

/// The person's session is proved from now on; `spend` is what it was proved with.
async fn prove(
    app: &App,
    call: &Call,
    holder: &Holder,
    second_factor: bool,
    spend: Option<UserCommand>,
) -> Result<Executed, Failure> {
    let steps = 1 + usize::from(spend.is_some());
    let plan =
        call.plan().step::<Session>(&holder.session_id, SessionCommand::Prove { second_factor });
    let plan =
        spend.into_iter().fold(plan, |plan, spend| plan.step::<User>(&holder.user_id, spend));
    sessions::execute_for(app, holder, call.keyed(plan), steps).await
}

/// Which right code this is, if it is one.
async fn right(
    app: &App,
    user_id: UserId,
    kept: Option<&Sealed<SecondFactorSecret>>,
    code: &str,
) -> Result<Option<RightCode>, Failure> {
    let kept = app.vault.open_optional(user_id, kept).await?;
    Ok(kept.and_then(|kept| right_code(&kept, code, (app.world.now)())))
}

fn wrong_code() -> Failure {
    let message = "this is no code of your second factor".to_owned();
    Failure::Invalid { field: "code", code: "bad_code", message }
}
