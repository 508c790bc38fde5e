//! Passwords and e-mail addresses: choosing another one, proving one.

use super::accounts::{note_place, password_hash};
use super::sessions::{self, Holder};
use super::{App, Call, Failure};
use commands::bus::{Executed, Plan};
use commands::registration;
use domain::session::{Session, SessionCommand};
use domain::user::{User, UserCommand, UserRejection};
use domain::{Device, EmailAddress, Name, UserId};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long it takes to ask for another password: as long for an address that nobody has as for one that
/// somebody has, whose answer waits for the journal.
const ASKING_TAKES: Duration = Duration::from_millis(250);

/// Chooses another password. All other sessions of the person end; theirs goes on.
///
/// # Errors
/// `wrong_password` and `weak_password` as [`Failure::Invalid`]; [`Failure::TooManyAttempts`].
pub async fn change_password(
    app: &App,
    call: &Call,
    holder: &Holder,
    (current, new): (String, String),
    from: IpAddr,
) -> Result<Executed, Failure> {
    let user = app.bus.load::<User>(&holder.user_id).await?;
    let look =
        call.keyed(call.plan().look::<Session>(&holder.session_id).look::<User>(&holder.user_id));
    if let Some(first) = app.bus.refuse(look).await? {
        // The fingerprint leaves the passwords out: whoever has another one has another request.
        let hash = password_hash(app, holder.user_id, &user.state).await?;
        let same = app.passwords.verify(new, hash).await?;
        return if same { Ok(first) } else { Err(Failure::KeyReused) };
    }
    app.passwords.check_length(&new, "new")?;
    prove_password(app, holder, &user.state, current, "current", from).await?;
    let password = hash_of_new(app, holder.user_id, &user.state, new).await?;
    let epoch = user.state.session_epoch.saturating_add(1);
    // Decided on the password that was checked, whatever else of the account changes meanwhile.
    let change = UserCommand::ChangePassword { password, current: user.state.password };
    let plan = call
        .plan()
        .step::<Session>(&holder.session_id, SessionCommand::Keep { epoch })
        .step::<User>(&holder.user_id, change);
    sessions::execute_for(app, holder, call.keyed(plan), 2).await
}

/// Asks for a token that lets whoever reads the address' mail choose another password. It says nothing about
/// whether there is an account.
///
/// # Errors
/// [`Failure`] when the shop cannot look.
pub async fn ask_password_reset(
    app: &App,
    call: &Call,
    email: &EmailAddress,
) -> Result<(), Failure> {
    let answers_at = Instant::now() + ASKING_TAKES;
    let found =
        registration::find_by_email(&app.pool, email).await.map_err(Failure::unavailable)?;
    if let Some(user_id) = found {
        let plan = call.plan().step::<User>(&user_id, UserCommand::AskPasswordReset);
        app.bus.execute(call.keyed(plan)).await?;
    }
    sleep_until(answers_at).await;
    Ok(())
}

/// Chooses another password with such a token. All sessions of the user end.
///
/// # Errors
/// `invalid_token`; `weak_password` as [`Failure::Invalid`].
pub async fn reset_password(
    app: &App,
    call: &Call,
    token: &str,
    new: String,
    device: &Device,
) -> Result<Executed, Failure> {
    let spent = || Failure::refused(UserRejection::TokenSpent);
    let (user_id, [number]) = app.reset_tokens.verify(token).ok_or_else(spent)?;
    let user_id: UserId = user_id.into();
    let call = &call.clone().of(&user_id.to_string());
    let user = app.bus.load::<User>(&user_id).await?.state;
    let look = call.keyed(call.plan().look::<User>(&user_id));
    if let Some(first) = app.bus.refuse(look).await? {
        let hash = password_hash(app, user_id, &user).await?;
        let same = app.passwords.verify(new, hash).await?;
        return if same { Ok(first) } else { Err(Failure::KeyReused) };
    }
    // Before the password is looked at: a token that is spent is no way to try passwords on us.
    user.tickets.check_password_reset(number, (app.world.now)()).map_err(Failure::refused)?;
    let password = hash_of_new(app, user_id, &user, new).await?;
    let reset = UserCommand::ResetPassword { number, password };
    let plan = call.keyed(call.plan().step::<User>(&user_id, reset));
    let executed = app.bus.execute(plan).await?;
    app.access.note_user_change(user_id, executed.version(0)).await;
    // They are who they say: what others tried before must not keep them out.
    if let Some(profile) = app.vault.open_optional(user_id, user.profile.as_ref()).await? {
        note_place(app, &profile.email, device.address).await;
    }
    Ok(executed)
}

/// Asks for a token that proves the address.
///
/// # Errors
/// [`Failure`].
pub async fn ask_verification(
    app: &App,
    call: &Call,
    user_id: UserId,
) -> Result<Executed, Failure> {
    let plan = call.plan().step::<User>(&user_id, UserCommand::AskEmailVerification);
    Ok(app.bus.execute(call.keyed(plan)).await?)
}

/// Proves the address with such a token.
///
/// # Errors
/// `invalid_token`.
pub async fn verify_email(app: &App, call: &Call, token: &str) -> Result<Executed, Failure> {
    let spent = || Failure::refused(UserRejection::TokenSpent);
    let (user_id, [number]) = app.verification_tokens.verify(token).ok_or_else(spent)?;
    let user_id: UserId = user_id.into();
    let call = &call.clone().of(&user_id.to_string());
    let plan = call.plan().step::<User>(&user_id, UserCommand::VerifyEmail { number });
    Ok(app.bus.execute(call.keyed(plan)).await?)
}

/// Whether this is the person's password, given as `field`. Wrong ones are braked for each session by itself:
/// what strangers try at sign-in keeps nobody from proving themselves who is in.
pub(super) async fn prove_password(
    app: &App,
    holder: &Holder,
    user: &User,
    password: String,
    field: &'static str,
    from: IpAddr,
) -> Result<(), Failure> {
    let attempt = app.brake.attempt(&holder.session_id.to_string(), from)?;
    let hash = password_hash(app, holder.user_id, user).await?;
    if !app.passwords.verify(password, hash).await? {
        let message = "this is not your password".to_owned();
        return Err(Failure::Invalid { field, code: "wrong_password", message });
    }
    attempt.was_right();
    Ok(())
}

/// The sealed hash of a new password that is good enough.
async fn hash_of_new(
    app: &App,
    user_id: UserId,
    user: &User,
    new: String,
) -> Result<domain::SealedSecret, Failure> {
    let profile = app.vault.open_optional(user_id, user.profile.as_ref()).await?;
    let profile = profile.ok_or(Failure::NotFound)?;
    let name = profile.name.as_ref().map_or("", Name::as_str);
    let known = [profile.email.as_str(), &profile.email.in_words(), name];
    app.passwords.check_strength(&new, &known, "new").await?;
    let hash = app.passwords.hash(new).await?;
    Ok(app.vault.seal(user_id, &hash).await?)
}

/// A password that somebody else chose for a user: by the command line.
///
/// # Errors
/// [`Failure`].
pub async fn set_password(
    app: &App,
    plan: Plan,
    user_id: UserId,
    new: String,
) -> Result<Executed, Failure> {
    let hash = app.passwords.hash(new).await?;
    let password = app.vault.seal(user_id, &hash).await?;
    let change = UserCommand::ChangePassword { password, current: None };
    let plan = plan.step::<User>(&user_id, change).step::<User>(
        &user_id,
        UserCommand::SecondFactor(domain::user::SecondFactorCommand::Remove),
    );
    Ok(app.bus.execute(plan).await?)
}
