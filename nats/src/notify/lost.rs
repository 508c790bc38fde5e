//! Mails that were sent for events which the journal does not have any more.

use super::MailKind;
use domain::Position;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// The most that are listed.
pub const MAX_LOST_MAILS: i64 = 1_000;

/// A mail about something that is gone: whoever got it believes in it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LostMail {
    /// Where its event stood.
    #[sqlx(try_from = "i64")]
    pub position: Position,
    /// The order or the user that it was about.
    #[sqlx(rename = "order_id")]
    pub about: Uuid,
    /// The kind of mail.
    pub kind: String,
    /// When it was sent, on the database's clock; none when its sender may have died on the way.
    pub sent_at: Option<OffsetDateTime>,
}

/// The first [`MAX_LOST_MAILS`] of them, in order of position, as far as this database knows: a
/// fail-over takes the record of a mail with its event, and then only `lost_events` tells.
///
/// # Errors
/// When the database cannot be read.
pub async fn lost_mails(pool: &PgPool) -> Result<Vec<LostMail>, sqlx::Error> {
    sqlx::query_as(
        "select m.position, m.order_id, m.kind, m.sent_at from mails m \
         where m.state in ('sent', 'sending') and not exists \
           (select from events e where e.position = m.position and e.event_id = m.event_id) \
         union all \
         select l.position, l.aggregate_id::uuid, l.event_type, null from lost_events l \
         where l.aggregate_type in ('order', 'user') and l.event_type = any($1) and not exists \
           (select from mails m where m.event_id = l.event_id) \
         order by 1 limit $2",
    )
    .bind(MailKind::EVENTS.iter().map(|(_, event_type)| *event_type).collect::<Vec<_>>())
    .bind(MAX_LOST_MAILS)
    .fetch_all(pool)
    .await
}
