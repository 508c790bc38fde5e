use super::view::{BanView, UserView};
use crate::projection::{ApplyError, decode, stream_id};
use crate::rows::Rows;
use domain::RecordedEvent;
use domain::user::UserEvent;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) async fn apply(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    let ids = events.iter().map(|event| stream_id(event)).collect::<Result<_, _>>()?;
    let mut users = Rows::load(conn, &ids).await?;
    for event in events {
        fold(&mut users, event)?;
    }
    Ok(users.save(conn).await?)
}

fn fold(users: &mut Rows<UserView>, event: &RecordedEvent) -> Result<(), ApplyError> {
    let user_id = stream_id(event)?;
    let fact: UserEvent = decode(event)?;
    if let UserEvent::UserRegistered { number, profile, password: _, locale } = fact {
        users.put(UserView {
            user_id,
            number,
            profile,
            locale,
            roles: BTreeSet::new(),
            ban: None,
            created_at: event.recorded_at.into(),
            version: event.sequence,
            position: event.position,
        });
        return Ok(());
    }
    // An erased user leaves no row to tell "gone" from "never there", so whatever may still
    // follow an erasure has nothing to change and is no contradiction.
    let Some(user) = users.get_mut(&user_id) else { return Ok(()) };
    user.version = event.sequence;
    user.position = event.position;
    match fact {
        UserEvent::UserRegistered { .. }
        | UserEvent::PasswordChanged { password: _ }
        | UserEvent::SessionsEnded { .. }
        | UserEvent::EmailVerificationAsked { .. }
        | UserEvent::EmailVerified {}
        | UserEvent::PasswordResetAsked { .. }
        | UserEvent::SecondFactorOffered { .. }
        | UserEvent::SecondFactorConfirmed { .. }
        | UserEvent::SecondFactorUsed { .. }
        | UserEvent::RecoveryCodeUsed { .. }
        | UserEvent::SecondFactorRemoved {}
        | UserEvent::ApiKeyIssued { .. }
        | UserEvent::ApiKeyRotated { .. }
        | UserEvent::ApiKeyRevoked { .. } => {}
        UserEvent::ProfileChanged { profile, locale } => {
            user.profile = profile;
            user.locale = locale;
        }
        UserEvent::RoleGranted { role } => {
            user.roles.insert(role);
        }
        UserEvent::RoleRevoked { role } => {
            user.roles.remove(&role);
        }
        UserEvent::UserBanned { reason, until } => user.ban = Some(BanView { reason, until }),
        UserEvent::UserUnbanned {} => user.ban = None,
        UserEvent::UserRegistrationAbandoned {} | UserEvent::UserErased {} => {
            users.remove(&user_id);
        }
    }
    Ok(())
}
