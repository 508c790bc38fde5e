use super::view::ChangeRow;
use crate::projection::{ApplyError, decode, stream_id};
use crate::rows::Rows;
use cqrs_es::Aggregate;
use domain::policy::{Policy, PolicyEvent};
use domain::session::{Session, SessionEvent};
use domain::user::{User, UserEvent};
use domain::{RecordedEvent, RoleName, UserId};
use sqlx::PgConnection;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// What a change is about, beside its aggregate.
#[derive(Default)]
struct About {
    user_id: Option<UserId>,
    role: Option<RoleName>,
    entry_id: Option<Uuid>,
}

pub(super) async fn apply(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    let mut users = users_of_sessions(conn, events).await?;
    let mut changes = Rows::new();
    for event in events {
        let about = match event.aggregate_type.as_str() {
            User::TYPE => of_user(event)?,
            Session::TYPE => of_session(event, &mut users)?,
            Policy::TYPE => Some(of_policy(event)?),
            _ => None,
        };
        if let Some(about) = about {
            changes.put(change(event, about)?);
        }
    }
    Ok(changes.save(conn).await?)
}

fn change(event: &RecordedEvent, about: About) -> Result<ChangeRow, ApplyError> {
    let metadata = event.metadata().map_err(|error| ApplyError::Event {
        position: event.position,
        reason: error.to_string(),
    })?;
    let About { user_id, role, entry_id } = about;
    // The second part of a `traceparent`.
    let trace_id = metadata.traceparent.and_then(|trace| Some(trace.split('-').nth(1)?.to_owned()));
    Ok(ChangeRow {
        position: event.position,
        recorded_at: event.recorded_at.into(),
        event_type: event.event_type.clone(),
        aggregate_type: event.aggregate_type.clone(),
        aggregate_id: event.aggregate_id.clone(),
        user_id,
        role,
        entry_id,
        actor: metadata.actor,
        correlation_id: metadata.correlation_id,
        trace_id,
    })
}

fn of_user(event: &RecordedEvent) -> Result<Option<About>, ApplyError> {
    let mut entry_id = None;
    let role = match decode(event)? {
        UserEvent::RoleGranted { role } | UserEvent::RoleRevoked { role } => Some(role),
        UserEvent::ApiKeyIssued { key_id, .. }
        | UserEvent::ApiKeyRotated { key_id, .. }
        | UserEvent::ApiKeyRevoked { key_id } => {
            entry_id = Some(key_id.uuid());
            None
        }
        UserEvent::UserRegistered { .. }
        | UserEvent::ProfileChanged { .. }
        | UserEvent::PasswordChanged { .. }
        | UserEvent::UserBanned { .. }
        | UserEvent::UserUnbanned {}
        | UserEvent::SessionsEnded { .. }
        | UserEvent::PasswordResetAsked { .. }
        | UserEvent::EmailVerified {}
        | UserEvent::SecondFactorOffered { .. }
        | UserEvent::SecondFactorConfirmed { .. }
        | UserEvent::SecondFactorRemoved {}
        | UserEvent::RecoveryCodeUsed { .. }
        | UserEvent::UserErased {} => None,
        // Nothing that anybody may do is another one afterwards.
        UserEvent::UserRegistrationAbandoned {}
        | UserEvent::EmailVerificationAsked { .. }
        | UserEvent::SecondFactorUsed { .. } => return Ok(None),
    };
    Ok(Some(About { user_id: Some(stream_id(event)?), role, entry_id }))
}

fn of_session(
    event: &RecordedEvent,
    users: &mut HashMap<String, UserId>,
) -> Result<Option<About>, ApplyError> {
    let user_id = match decode(event)? {
        SessionEvent::SessionStarted { user_id, .. } => {
            users.insert(event.aggregate_id.clone(), user_id);
            Some(user_id)
        }
        SessionEvent::SessionRevoked { .. } | SessionEvent::SessionProved { .. } => {
            users.get(&event.aggregate_id).copied()
        }
        SessionEvent::SessionKept { .. } | SessionEvent::SessionRefreshed { .. } => {
            return Ok(None);
        }
    };
    Ok(Some(About { user_id, ..About::default() }))
}

fn of_policy(event: &RecordedEvent) -> Result<About, ApplyError> {
    let entry_id = match decode(event)? {
        PolicyEvent::SecondFactorRequired { role } | PolicyEvent::SecondFactorWaived { role } => {
            return Ok(About { role: Some(role), ..About::default() });
        }
        PolicyEvent::RuleAdded { rule_id, .. }
        | PolicyEvent::RuleChanged { rule_id, .. }
        | PolicyEvent::RuleRemoved { rule_id } => rule_id.uuid(),
        PolicyEvent::PublicPathAdded { public_path_id, .. }
        | PolicyEvent::PublicPathRemoved { public_path_id } => public_path_id.uuid(),
        PolicyEvent::AddressBanned { ban_id, .. } | PolicyEvent::AddressUnbanned { ban_id } => {
            ban_id.uuid()
        }
    };
    Ok(About { entry_id: Some(entry_id), ..About::default() })
}

/// Whose the sessions are that are proved or end in this batch: only their beginning says so.
async fn users_of_sessions(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<HashMap<String, UserId>, ApplyError> {
    let names = ["SessionRevoked", "SessionProved"];
    let ended = events.iter().filter(|event| names.contains(&event.event_type.as_str()));
    let ended = ended.map(|event| event.aggregate_id.clone()).collect();
    let begun: Rows<ChangeRow> = Rows::load_by(conn, ("aggregate_id", "text"), ended).await?;
    let begun = begun.iter().filter(|row| row.aggregate_type == Session::TYPE);
    Ok(begun.filter_map(|row| Some((row.aggregate_id.clone(), row.user_id?))).collect())
}
