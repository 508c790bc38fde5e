use super::view::SessionView;
use crate::projection::{ApplyError, decode, stream_id};
use crate::rows::Rows;
use domain::RecordedEvent;
use domain::session::SessionEvent;
use sqlx::PgConnection;
use std::sync::Arc;

pub(super) async fn apply(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    let ids = events.iter().map(|event| stream_id(event)).collect::<Result<_, _>>()?;
    let mut sessions = Rows::load(conn, &ids).await?;
    for event in events {
        fold(&mut sessions, event)?;
    }
    Ok(sessions.save(conn).await?)
}

fn fold(sessions: &mut Rows<SessionView>, event: &RecordedEvent) -> Result<(), ApplyError> {
    let session_id = stream_id(event)?;
    let fact: SessionEvent = decode(event)?;
    if let SessionEvent::SessionStarted { user_id, expires_at, epoch, device, .. } = fact {
        let started_at = event.recorded_at.into();
        sessions.put(SessionView {
            session_id,
            user_id,
            epoch,
            started_at,
            seen_at: started_at,
            expires_at,
            device,
            version: event.sequence,
            position: event.position,
        });
        return Ok(());
    }
    let session = sessions
        .get_mut(&session_id)
        .ok_or_else(|| ApplyError::contradiction(event, "that is not going on"))?;
    session.version = event.sequence;
    session.position = event.position;
    match fact {
        SessionEvent::SessionStarted { .. } | SessionEvent::SessionProved { .. } => {}
        SessionEvent::SessionKept { epoch } => session.epoch = epoch,
        SessionEvent::SessionRefreshed { refreshed_at, expires_at, .. } => {
            session.seen_at = refreshed_at;
            session.expires_at = expires_at;
        }
        SessionEvent::SessionRevoked { reason: _ } => sessions.remove(&session_id),
    }
    Ok(())
}
