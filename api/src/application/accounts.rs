//! Signing up and in.

use super::sessions::{self, SignedIn};
use super::{App, Call, Failure, second_factor};
use crate::auth::Attempt;
use commands::bus::Loaded;
use commands::registration::{self, Registration};
use domain::user::User;
use domain::{Device, EmailAddress, Locale, Name, RoleName, StreamKey, Timestamp, UserId};
use std::net::IpAddr;

/// For how long the challenge stands for the password: long enough to find the phone.
const CHALLENGE_SECONDS: i64 = 5 * 60;

/// What somebody signs up with.
pub struct SignUp {
    /// Where mail goes, and how they sign in.
    pub email: EmailAddress,
    /// In the clear; it is hashed here.
    pub password: String,
    /// What they want to be called.
    pub name: Option<Name>,
    /// The language that we write to them in.
    pub locale: Locale,
}

/// What somebody signs in with.
pub struct Credentials {
    /// Whose account it is.
    pub email: EmailAddress,
    /// In the clear.
    pub password: String,
    /// A code of the second factor, if it is known that one is asked for.
    pub code: Option<String>,
}

/// Makes an account with the role `customer` and signs it in, from this device. Its address is to be proved by a token that is
/// sent there.
///
/// # Errors
/// [`Failure`].
pub async fn register(
    app: &App,
    call: &Call,
    sign_up: SignUp,
    device: Device,
) -> Result<SignedIn, Failure> {
    let email = sign_up.email.clone();
    let user_id = call.new_id("user", app.world);
    let name = sign_up.name.as_ref().map_or("", Name::as_str);
    let in_words = sign_up.email.in_words();
    let known = [sign_up.email.as_str(), &in_words, name];
    let registered = match app.passwords.check_strength(&sign_up.password, &known, "password").await
    {
        Err(busy @ Failure::Overloaded) => return Err(busy),
        Ok(()) => {
            let number = app.user_numbers.next().await;
            let registration = Registration {
                user_id,
                email: sign_up.email,
                name: sign_up.name,
                password_hash: app.passwords.hash(sign_up.password.clone()).await?,
                locale: sign_up.locale,
                role: RoleName::known("customer"),
                verify_email: true,
                number: number.map_err(Failure::unavailable)?,
            };
            let (context, key) = (&call.context, call.request_key());
            registration::register(&app.bus, &app.vault, registration, context, key).await?
        }
        Err(weak) => {
            let plan = call.plan().look::<User>(&user_id);
            app.refuse(call.keyed(plan), weak).await?
        }
    };
    if registered.replayed {
        // A repetition lets in nobody whom a sign-in would not: neither past the brake, nor past a ban or the
        // second factor.
        let credentials = Credentials { email, password: sign_up.password, code: None };
        let signed_in =
            sign_in(app, call, credentials, device).await.map_err(|failure| match failure {
                // The fingerprint leaves the password out; whoever has another one has another request.
                Failure::BadCredentials => Failure::KeyReused,
                other => other,
            })?;
        return Ok(SignedIn { replayed: true, ..signed_in });
    }
    let created_at = registered.recorded_at.unwrap_or_else(app.world.now);
    let user = registered.loaded::<User>(0);
    note_place(app, &email, device.address).await;
    sessions::start(app, call, user_id, user, created_at, device).await
}

/// Signs in, from this device.
///
/// # Errors
/// [`Failure::BadCredentials`], [`Failure::TooManyAttempts`], [`Failure::Banned`];
/// [`Failure::SecondFactorRequired`] when a code is asked for and there is none, [`Failure::BadCode`].
pub async fn sign_in(
    app: &App,
    call: &Call,
    credentials: Credentials,
    device: Device,
) -> Result<SignedIn, Failure> {
    let Credentials { email, password, code } = credentials;
    if app.passwords.is_too_long(&password) {
        // Found without a look at the account: how long that takes would tell whether there is one.
        return Err(Failure::NobodysCredentials);
    }
    let attempt = attempt(app, &email, device.address).await?;
    // Who is asking is found out every time, also of a repetition: it is no outcome of the command.
    let owner = owner(app, &email, password).await?;
    let (user_id, user) = owner.ok_or(Failure::BadCredentials)?;
    attempt.was_right();
    note_place(app, &email, device.address).await;
    if user.state.is_banned((app.world.now)()) {
        return Err(Failure::Banned);
    }
    let created_at = created_at(app, user_id).await?;
    if !user.state.second_factor.is_asked_for() {
        return sessions::start(app, call, user_id, user, created_at, device).await;
    }
    let Some(code) = code else {
        let ends = (app.world.now)().plus_seconds(CHALLENGE_SECONDS).unix_seconds();
        let ends = u32::try_from(ends).map_err(Failure::internal)?;
        let numbers = [ends, user.state.session_epoch];
        let challenge = app.challenges.issue(user_id.uuid(), numbers);
        return Err(Failure::SecondFactorRequired { challenge });
    };
    second_factor::sign_in(app, call, user_id, user, created_at, &code, device).await
}

/// Whose challenge it is, if it is one of ours, over or not.
#[must_use]
pub fn challenged(app: &App, challenge: &str) -> Option<UserId> {
    app.challenges.verify(challenge).map(|(user_id, _)| user_id.into())
}

/// Goes on signing in with a code of the second factor, where the challenge stands for the password.
///
/// # Errors
/// [`Failure::BadCode`], [`Failure::TooManyAttempts`], [`Failure::Banned`]; [`Failure::Unauthenticated`] when
/// the challenge is not, or not any more, one of ours.
pub async fn answer_challenge(
    app: &App,
    call: &Call,
    challenge: &str,
    code: &str,
    device: Device,
) -> Result<SignedIn, Failure> {
    const OVER: Failure = Failure::Unauthenticated("The challenge is over. Sign in again.");
    let (user_id, [ends, epoch]) = app.challenges.verify(challenge).ok_or(OVER)?;
    let (user_id, now): (UserId, _) = (user_id.into(), (app.world.now)());
    let call = &call.clone().of(&user_id.to_string());
    let user = app.bus.load::<User>(&user_id).await?;
    // A password that is not theirs any more opens nothing.
    let stands = now.unix_seconds() < i64::from(ends) && user.state.session_epoch == epoch;
    if !stands || !user.state.exists() || !user.state.second_factor.is_asked_for() {
        return Err(OVER);
    }
    if user.state.is_banned(now) {
        return Err(Failure::Banned);
    }
    let created_at = created_at(app, user_id).await?;
    second_factor::sign_in(app, call, user_id, user, created_at, code, device).await
}

/// When the user registered.
///
/// # Errors
/// [`Failure::NotFound`] when they have not.
pub async fn created_at(app: &App, user_id: UserId) -> Result<Timestamp, Failure> {
    let stream = StreamKey::of::<User>(&user_id);
    let place = app.reader.place_of(&stream, 1).await?;
    place.map(|(_, at)| at).ok_or(Failure::NotFound)
}

/// Whose address and password these are, of all that have the address: more than one only where twins registered
/// before they were one.
async fn owner(
    app: &App,
    email: &EmailAddress,
    password: String,
) -> Result<Option<(UserId, Loaded<User>)>, Failure> {
    let twins = registration::find_twins(&app.pool, email).await.map_err(Failure::unavailable)?;
    if twins.is_empty() {
        // Without a hash this takes as long as with one: how long it takes tells nobody who is here.
        app.passwords.verify(password, None).await?;
        return Ok(None);
    }
    for user_id in twins {
        let user = app.bus.load::<User>(&user_id).await?;
        let hash = password_hash(app, user_id, &user.state).await?;
        if app.passwords.verify(password.clone(), hash).await? {
            return Ok(Some((user_id, user)));
        }
    }
    Ok(None)
}

/// The hash of the user's password; none when it cannot be opened any more.
pub(super) async fn password_hash(
    app: &App,
    user_id: UserId,
    user: &User,
) -> Result<Option<String>, Failure> {
    Ok(app.vault.open_optional(user_id, user.password.as_ref()).await?)
}

/// An attempt to sign in. Where its owner did before, at whatever process, what others try does not count.
async fn attempt<'a>(
    app: &'a App,
    email: &EmailAddress,
    address: IpAddr,
) -> Result<Attempt<'a>, Failure> {
    let account = email.folded();
    match app.brake.attempt(&account, address) {
        Err(braked @ Failure::TooManyAttempts { .. }) => {
            let known = app.places.knows(&account, address).await.map_err(Failure::unavailable)?;
            if !known || !app.brake.note_place(&account, address) {
                return Err(braked);
            }
            app.brake.attempt(&account, address)
        }
        begun => begun,
    }
}

/// Whoever signs in here is known here. That they are not is no reason to turn them away.
pub(super) async fn note_place(app: &App, email: &EmailAddress, address: IpAddr) {
    let account = email.folded();
    app.brake.note_place(&account, address);
    if let Err(error) = app.places.note(&account, address).await {
        tracing::warn!(%error, "where somebody signed in could not be noted");
    }
}
